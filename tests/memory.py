"""Where files are best made by tests that are about no disk: in memory.

Nothing that a process has written is lost with the process, on a disk or not: what `kill -9` shows is shown there, too.
A disk only takes its time for each commit, some of it for every other test on the machine. What is about that time, or
about a kill in the middle of it, has the mark `disk` (`tests/conftest.py`).
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

_IN_MEMORY, _ON_DISK = "/dev/shm", "/tmp"
# A container may have given it 64 MB, and a few of the homes are some dozen.
_LEAST_FREE_BYTES = 1 << 30


@functools.cache
def folder(*, disk: bool = False) -> str:
    """Return it; /tmp where the machine has none, or little of it, or where it is to be on a disk."""
    if disk or not Path(_IN_MEMORY).is_dir():
        return _ON_DISK
    found = os.statvfs(_IN_MEMORY)
    return _IN_MEMORY if found.f_bavail * found.f_frsize >= _LEAST_FREE_BYTES else _ON_DISK
