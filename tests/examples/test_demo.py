"""`torpor demo`: the tour checks each of its steps itself, and ends where one does not do what it says."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys


def test_its_sleep_cycle_survives_a_request_and_a_hibernation_and_it_leaves_nothing_behind(
    short_dir: pathlib.Path,
) -> None:
    command = [sys.executable, "-P", "-m", "torpor", "demo"]
    env = {**os.environ, "TMPDIR": str(short_dir)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = iter(done.stdout.splitlines())
    for line in (
        r"\* the sleep cycle begins",
        r"index .* of 20000, notes",
        r"a request in the middle of that step +[\d.]+ ms   WAKE",
        r"its step has ended by itself, and is kept: \d+ of 20000 notes",
        r"\* the sleep cycle goes on at index",
        r"process \d+ is gone",
        r"the cycle stands where it was left: at index, \d+ of 20000 notes",
        r"\* the sleep cycle goes on at index",
        r"> SLEEP -> HIBERNATION by sleep_cycle_done",
        r"all 20000 notes are indexed, each batch of them once",
        r"housekeeping \w+ completed",
        r"Every step did what it says",
    ):
        assert any(re.search(line, each) for each in told), f"not told, or not in its turn: {line}\n{done.stdout}"
    assert list(short_dir.iterdir()) == []
