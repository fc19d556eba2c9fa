"""What this process uses, and how much it may."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

# 1,024 connections, and room for the store, the watches and a hook's pipes.
WANTED_DESCRIPTORS = 4096


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files towards what the connections may take, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def usage() -> dict[str, Any]:
    """Return `rss_bytes` and `cpu_s` of this process.

    The memory is its peak where the system tells no more (macOS), or there is no descriptor left to look with.
    """
    times = os.times()
    return {"rss_bytes": _rss_bytes(), "cpu_s": round(times.user + times.system, 3)}


def _rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":
        return peak
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak * 1024  # getrusage(2): kilobytes here, bytes on macOS
    return pages * os.sysconf("SC_PAGE_SIZE")
