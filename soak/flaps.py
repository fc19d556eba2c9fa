"""A disk that comes and goes within moments, at every point of a worker: one home after the other, and new moments."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import memory
from daemon_process import end_all
from process.fault_table import TABLE
from process.flaps import flap

POINTS = [point for point, row in TABLE.items() if row.by == "step"]


def soak(for_s: float) -> dict[str, Any]:
    """Go through the points, one new home for each round. Raises AssertionError with what was not found again."""
    end_at, first = time.monotonic() + for_s, time.time_ns() % 1_000_000
    rounds = failures = 0
    while time.monotonic() < end_at or not rounds:
        with tempfile.TemporaryDirectory(prefix="tp-", dir=memory.folder(disk=False)) as name:
            try:
                failures += flap(Path(name), POINTS, first + rounds)
            finally:
                end_all(Path(name) / "home")
        rounds += 1
    return {"homes": rounds, "failures": failures, "first_seed": first}
