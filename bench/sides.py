"""What is measured, started and ended: a torpor daemon, a redis-server on the same disk, and the load on either."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

BIN = pathlib.Path(sys.executable).parent
HERE = pathlib.Path(__file__).parent
# Nothing is to happen by itself while something else is measured.
AWAKE = '[lifecycle]\ndrowsy_after = "10h"\nsleep_after = "20h"\n[agents]\nheartbeat_timeout = "10h"\n'
# Both sides' files lie here: on one disk, and a real one.
PLACE = os.environ.get("BENCH_DIR", "/tmp")  # noqa: S108 - each round makes folders of its own in it
TICKS_S = os.sysconf("SC_CLK_TCK")


def environment(home: str = "") -> dict[str, str]:
    """Give this environment, with a home of the benchmark's own."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("TORPOR_")}
    return {**env, "TORPOR_HOME": home} if home else env


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
    """Give an empty folder of a short name: a socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tb-", dir=PLACE) as made:
        yield pathlib.Path(made)


def until(holds: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    """Wait for something. Raises TimeoutError."""
    end_at = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end_at:
            raise TimeoutError(what)
        time.sleep(0.002)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is measured, and its socket."""

    pid: int
    socket: str

    def cpu_s(self) -> float:
        """How much CPU time it has used, of the kernel's too, in steps of 10 ms."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_S

    def rss_bytes(self) -> int:
        """How much memory it has now."""
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def switches(self) -> int:
        """How often its threads went to sleep and woke up again."""
        counts = 0
        for status in pathlib.Path(f"/proc/{self.pid}/task").glob("*/status"):
            (line,) = (each for each in status.read_text().splitlines() if each.startswith("voluntary_ctxt"))
            counts += int(line.split()[1])
        return counts


@contextlib.contextmanager
def torpord(home: pathlib.Path, settings: str = AWAKE) -> Iterator[Process]:
    """Run a daemon on a home, and end it."""
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "torpor.toml").write_text(settings)
    with (home / "bench.log").open("ab") as log:
        command = [BIN / "torpord", "run", "--home", str(home)]
        process = subprocess.Popen(command, env=environment(), stderr=log)
    try:
        until((home / "torpor.sock").exists, "the daemon's socket")
        found = Process(process.pid, str(home / "torpor.sock"))
        load(found, "torpor", seconds=0.2)
        yield found
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def redis(home: pathlib.Path) -> Iterator[Process]:
    """Run a redis-server that makes each change durable before it answers, and end it."""
    home.mkdir(exist_ok=True)
    options = [
        "--port",
        "0",
        "--unixsocket",
        str(home / "s"),
        "--dir",
        str(home),
        "--save",
        "",
        "--loglevel",
        "warning",
    ]
    command = ["redis-server", *options, "--appendonly", "yes", "--appendfsync", "always"]
    # No rewriting of its log within a measurement: torpor's checkpoints are in its figures, and cannot be put off.
    process = subprocess.Popen([*command, "--auto-aof-rewrite-percentage", "0"], stdout=subprocess.DEVNULL)
    try:
        until((home / "s").exists, "redis's socket")
        yield Process(process.pid, str(home / "s"))
    finally:
        process.terminate()
        process.wait(60)


def built() -> pathlib.Path:
    """Compile the load program, if it is newer than what was made of it."""
    made = HERE / "results" / "load"
    source = HERE / "load.c"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        made.parent.mkdir(exist_ok=True)
        subprocess.run([shutil.which("cc") or "gcc", "-O2", "-Wall", "-Wextra", "-o", made, source], check=True)
    return made


def load(
    to: Process, kind: str, connections: int = 1, pipelined: int = 1, seconds: float = 1.5, warm_up_s: float = 0.2
) -> dict[str, Any]:
    """Put load on it; returns what bench/load.c prints, with the server's CPU time a request."""
    before_s = to.cpu_s()
    command = [str(built()), kind, to.socket, str(connections), str(pipelined), str(seconds), str(warm_up_s)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    asked = max(1, found["requests"]) * (seconds + warm_up_s) / seconds  # the warming up is paid for as well
    return {**found, "server_cpu_us": (to.cpu_s() - before_s) / asked * 1e6}


def redis_benchmark(to: Process, connections: int, pipelined: int, requests: int) -> dict[str, float]:
    """Let redis-benchmark put load on a redis-server; returns requests a second, and the median in microseconds."""
    command = ["redis-benchmark", "-s", to.socket, "-t", "set", "-c", str(connections), "-P", str(pipelined)]
    done = subprocess.run(
        [*command, "-n", str(requests), "--csv"], capture_output=True, text=True, timeout=120, check=True
    )
    (row,) = [each for each in csv.DictReader(io.StringIO(done.stdout)) if each.get("test") == "SET"]
    return {"per_s": float(row["rps"]), "p50_us": float(row["p50_latency_ms"]) * 1000}
