"""All that torpor promises of its speed and its cost, beside what people would use instead.

    make bench                     (with ARGS="[--rounds N] [--only GROUP]... [--to DIR]")

Both sides of a row are measured in turns, round by round, and the ratio is that of their medians: what else runs on the
machine then meets both. Absolute figures mean little on shared machines. Every round is written to bench/results, a
JSON file a group, and the plots beside them. The exit status is 1 where a promise was not kept. `--show DIR` measures
nothing, and prints the table of what is kept there.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from events import beside_redis
from flow_rows import burnt, steps
from plot import svg
from processes import resting, sending, starting
from rows import Row, table
from sides import HERE
from sizes import growing

GROUPS = ("events", "send", "start", "rest", "size", "steps", "burn")
IDLE_S = 20.0


def machine() -> dict[str, Any]:
    """Say where the figures are from."""
    versions = {}
    for program in ("redis-server", "redis-cli"):
        if shutil.which(program):
            done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
            versions[program] = done.stdout.strip()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": commit.stdout.strip(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        **versions,
    }


def curves(points: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Draw throughput and latency over connections: medians of the rounds."""
    pictures = {}
    for picture, key, name in (
        ("throughput", "per_s", "durable changes a second"),
        ("latency", "p50_us", "median latency, us"),
    ):
        series = {}
        for side in ("torpor", "redis"):
            by_count: dict[int, list[float]] = {}
            for point in points:
                if point[side]["requests"]:  # a disk that hung for all of the second tells nothing
                    by_count.setdefault(point[side]["connections"], []).append(point[side][key])
            series[side] = [(float(count), statistics.median(found)) for count, found in by_count.items()]
        pictures[picture] = svg(f"{name}, one outstanding each", "connections", name, series)
    return pictures


def sizes(points: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Draw what an event costs over what is kept; none is drawn as 1."""
    series = {}
    for key, name in (("cpu_us", "CPU time, 50 connections"), ("p50_us", "median latency, 1 connection")):
        by_size: dict[int, list[float]] = {}
        for point in points:
            by_size.setdefault(max(1, point["ledger"]), []).append(point[key])
        series[name] = [(float(size), statistics.median(found)) for size, found in by_size.items()]
    return {"size": svg("cost of an event, us", "ledger records (and a tenth as many agents)", "us", series)}


def group(name: str, rounds: int) -> tuple[list[Row], dict[str, Any], dict[str, str]]:
    """Measure a group of rows: the rows, what else was found, and the pictures."""
    if name == "events":
        rows, found = beside_redis(rounds)
        return rows, found, curves(found["curve"])
    if name == "size":
        rows, points = growing(rounds)
        return rows, {"points": points}, sizes(points)
    plain: dict[str, Callable[[int], list[Row]]] = {
        "send": sending,
        "start": lambda rounds: starting(3 * rounds),
        "rest": lambda rounds: resting(max(1, rounds // 2), IDLE_S),
        "steps": steps,
        "burn": burnt,
    }
    return plain[name](rounds), {}, {}


def measured(name: str, rounds: int, to: pathlib.Path) -> list[Row]:
    """Measure a group, and write what was found: of one that is broken off the ones before it are kept."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    where = machine()
    rows, beside, pictures = group(name, rounds)
    where["load_after"] = os.getloadavg()
    document = {"machine": where, "rounds": rounds, "rows": [row.document() for row in rows], **beside}
    (to / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for picture, drawn in pictures.items():
        (to / f"{picture}.svg").write_text(drawn)
    return rows


def kept(at: pathlib.Path) -> list[Row]:
    """Read the rows of the groups that are kept there."""
    files = [at / f"{name}.json" for name in GROUPS]
    return [Row.of(each) for file in files if file.exists() for each in json.loads(file.read_text())["rows"]]


def main() -> int:
    asked = argparse.ArgumentParser(description="what torpor's speed and cost are, beside others'")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--only", action="append", choices=GROUPS, help="a group of rows; may be given several times")
    asked.add_argument("--to", type=pathlib.Path, default=HERE / "results", help="where to write what was found")
    asked.add_argument("--show", type=pathlib.Path, metavar="DIR", help="print the table of what was found before")
    options = asked.parse_args()
    if options.show is not None:
        print(table(kept(options.show)))
        return 0
    options.to.mkdir(parents=True, exist_ok=True)
    rows = [row for name in options.only or GROUPS for row in measured(name, options.rounds, options.to)]
    print(table(rows))
    return 0 if all(row.is_met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
