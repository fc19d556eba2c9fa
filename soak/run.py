"""Run the long parts one after the other, print what they found, and write a record of each.

    python soak/run.py [PART]... [--for 10m] [--into soak/results]

A record is one JSON object: the part, when, on which machine, of which commit, the command, how long, whether it held,
and what the part has counted. Exit 1 where one did not hold.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # in place of this folder: its fuzz.py is not tests/fuzz

# part: how long it goes where nobody says, in seconds; each is soak/PART.py
PARTS: dict[str, float] = {
    "flaps": 600,
    "flood": 180,
    "fuzz": 3600,
    "hammer": 3600,
    "kills": 3600,
    "mixed": 3600,
    "models": 3600,
    "power_cut": 600,
}
_UNITS = {"s": 1, "m": 60, "h": 3600}


def machine() -> dict[str, Any]:
    """Return what the figures were seen on."""
    return {
        "uname": " ".join(platform.uname()[i] for i in (0, 2, 3, 4)),
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def commit() -> str:
    """Return which source it was, and whether it was changed since."""
    found = [
        subprocess.run(["git", *words], cwd=ROOT, text=True, capture_output=True, check=False).stdout.strip()
        for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "daemon", "client"])
    ]
    return f"{found[0]}{' and changes' if found[1] else ''}"


def run(part: str, for_s: float, into: Path) -> bool:
    """Run a part and write its record; returns whether it held."""
    began_s = time.time()
    record: dict[str, Any] = {
        "part": part,
        "began": datetime.fromtimestamp(began_s, UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": f"python soak/run.py {part} --for {for_s:g}s",
        "machine": machine(),
    }
    print(f"{part}: {for_s:g} s, of {record['commit']}", flush=True)
    try:
        record["found"] = importlib.import_module(f"soak.{part}").soak(for_s)
        record["held"] = True
    except Exception as error:  # noqa: BLE001 - whatever it was is the record's, and the exit status says so
        traceback.print_exc()
        record |= {"held": False, "error": f"{type(error).__name__}: {error}"}
    record["took_s"] = round(time.time() - began_s, 1)
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{part}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{part}: {'held' if record['held'] else 'DID NOT HOLD'}, {record['took_s']} s; {path}", flush=True)
    return bool(record["held"])


def _seconds(text: str) -> float:
    return float(text[:-1]) * _UNITS[text[-1]] if text[-1:] in _UNITS else float(text)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description="the long versions of what make test shows in short")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without one")
    parser.add_argument(
        "--for", dest="for_s", type=_seconds, help="how long each goes: 90s, 10m, 1h (kills: until all are done)"
    )
    parser.add_argument("--into", type=Path, default=ROOT / "soak" / "results", help="where the records go")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    chosen = options.parts or list(PARTS)
    held = [run(part, options.for_s or PARTS[part], options.into) for part in chosen]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
