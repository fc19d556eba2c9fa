"""Durable events: beside redis, beside the classic way, and over the number of connections."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import time
from typing import Any

from rows import AT_LEAST, AT_MOST, Row
from sides import Process, folder, load, redis, redis_benchmark, torpord

LOADS = ((50, 1), (1, 1), (50, 16))  # connections, and requests on their way at once on each
SECONDS = 1.5
CONNECTIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
REDIS = "redis-server, appendfsync always, redis-benchmark"


def beside_redis(rounds: int) -> tuple[list[Row], dict[str, Any]]:
    """Measure the rows beside redis, that beside the classic way, and the curve."""
    many = Row("durable events, 50 connections, one outstanding each", REDIS, "a second", AT_LEAST, 0.5)
    one = Row("the same, 1 connection, median latency", REDIS, "us", AT_MOST, 2)
    piped = Row("the same, 50 connections, pipelined 16", REDIS, "a second", AT_LEAST, 0.15)
    plain = Row("events at 50 connections", "the classic way, one by one", "a second", AT_LEAST, 8)
    same: dict[str, list[Any]] = {}
    with folder() as at, torpord(at / "t") as torpor, redis(at / "r") as other:
        for _ in range(rounds):
            for row, (connections, pipelined) in zip((many, one, piped), LOADS, strict=True):
                ours = load(torpor, "torpor", connections, pipelined, SECONDS)
                alike = load(other, "redis", connections, pipelined, SECONDS)
                # It knows counts only: as many as take it about as long.
                theirs = redis_benchmark(other, connections, pipelined, max(500, int(alike["per_s"] * SECONDS)))
                what = "p50_us" if row is one else "per_s"
                row.ours.append(ours[what])
                row.theirs.append(theirs[what])
                same.setdefault(f"{connections}x{pipelined}", []).append({"torpor": ours, "redis": alike})
                if row is many:
                    plain.ours.append(ours["per_s"])
            plain.theirs.append(classic(at / "classic", 1.0))
        return [many, one, piped, plain], {"same_load": same, "curve": curve(torpor, other, max(1, rounds // 2))}


def curve(torpor: Process, other: Process, rounds: int) -> list[dict[str, Any]]:
    """Measure throughput and latency over connections, of both with the same load program."""
    found = []
    for _ in range(rounds):
        for connections in CONNECTIONS:
            found.append({"torpor": load(torpor, "torpor", connections, seconds=1.0)})
            found[-1]["redis"] = load(other, "redis", connections, seconds=1.0)
    return found


def classic(home: pathlib.Path, for_s: float) -> float:
    """Do events a second the classic way: lock file, read the state, write, fsync, rename, append and fsync a log."""
    home.mkdir(exist_ok=True)
    state, fresh, log, lock = (home / name for name in ("state.json", "state.json.new", "log", "lock"))
    state.write_text(json.dumps({"state": "WAKE", "last_activity_ts": 0.0, "seq": 0}))
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < for_s:
        with contextlib.ExitStack() as files:
            held = files.enter_context(lock.open("w"))
            fcntl.flock(held, fcntl.LOCK_EX)
            now = json.loads(state.read_text())
            now |= {"last_activity_ts": time.time(), "seq": now["seq"] + 1}
            with fresh.open("w") as file:
                json.dump(now, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(state)
            with log.open("a") as file:
                file.write(json.dumps({"event": "request_arrived", **now}) + "\n")
                file.flush()
                os.fsync(file.fileno())
        count += 1
    return count / (time.perf_counter() - begun)
