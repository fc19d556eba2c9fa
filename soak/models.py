"""The larger models of going down and coming back, and thousands of histories: `tests/model` and `tests/world` in full.

They end by themselves: what they are given is the longest they may take.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

TESTS = ("tests/model", "tests/world")


def soak(for_s: float) -> dict[str, Any]:
    """Check them all. Raises AssertionError with what failed, and subprocess.TimeoutExpired."""
    # -s: each model says how many states it has; without a plugin's workers the lines keep their order. What is long
    # here is no hang.
    command = [sys.executable, "-m", "pytest", "-v", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS]
    command += ["-o", "faulthandler_timeout=0"]
    done = subprocess.run(
        command, env={**os.environ, "SOAK": "1"}, stdout=subprocess.PIPE, text=True, timeout=for_s, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    summary = done.stdout.strip().splitlines()[-1].strip("= ")
    return {"summary": summary, "states": _states(done.stdout)}


def _states(said: str) -> dict[str, int]:
    """Read how many states each model has, by what happens in it."""
    found = re.findall(r"::(test_\w+)\[([^\]]*)\]\s+(\d[\d.e+]*) states, stored", said)
    return {f"{name.removeprefix('test_').split('_')[0]}: {words}": int(float(states)) for name, words, states in found}
