"""How little a worker asks of the machine: whatever else wants the processor, the disk or the memory goes first."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]

NICEST = 19


def step_back() -> None:
    """Take the lowest priority there is, as far as this machine has one. Commands inherit it."""
    process = psutil.Process()
    process.nice(NICEST)
    if sys.platform == "linux":
        # A sandbox may forbid either; then it runs as it is, and the daemon goes first by its niceness.
        with contextlib.suppress(psutil.Error, OSError):
            process.ionice(psutil.IOPRIO_CLASS_IDLE)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # proc(5): the first to go where memory runs out
