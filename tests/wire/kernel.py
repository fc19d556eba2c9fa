"""What the kernel says of a daemon, whatever it says of itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def open_sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(fd.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # closed in between
    return found


def rss_bytes(pid: int) -> int:
    """Return the memory a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks into /proc, which only Linux has")
