"""The processes that a step's command leaves behind, and all that a worker has started: found, and ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable, Iterator, Mapping

import psutil  # type: ignore[import-untyped]

GRACE_S = 1.0
_KILLED_S = 0.2
# Something that forks faster than it is ended is for the service manager's cgroup.
_ROUNDS = 10
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

_adopting = False


def adopt() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can be lost sight of (Linux)."""
    global _adopting  # noqa: PLW0603 - a property of the process
    if sys.platform == "linux":
        _adopting = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def end_marked(marks: Mapping[str, str], but: Iterable[int] = (), grace_s: float = GRACE_S) -> None:
    """End every process whose environment has all of `marks`, but those pids: SIGTERM, and SIGKILL after `grace_s`.

    Blocks for as long as that takes. Where nothing adopts orphans (macOS) it looks through all processes.
    """
    spared = {os.getpid(), *but}
    if grace_s and (found := _marked(marks, spared)):
        for process in found:
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile, or changed its user
                process.terminate()
        psutil.wait_procs(found, timeout=grace_s)
    for _ in range(_ROUNDS):
        found = _marked(marks, spared)
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.Error):  # likewise
                process.kill()
        psutil.wait_procs(found, timeout=_KILLED_S)


def kill_all() -> None:
    """Kill every descendant of this process, at once."""
    for _ in range(_ROUNDS):
        children = psutil.Process().children(recursive=True)
        alive = [child for child in children if _lives(child)]
        if not alive:
            return
        for child in alive:
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile, or changed its user
                child.kill()


def _marked(marks: Mapping[str, str], spared: set[int]) -> list[psutil.Process]:
    return [process for process in _candidates() if process.pid not in spared and _has(process, marks)]


def _candidates() -> Iterator[psutil.Process]:
    if _adopting:
        yield from psutil.Process().children(recursive=True)
    else:
        yield from psutil.process_iter()


def _has(process: psutil.Process, marks: Mapping[str, str]) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):  # ended, or another user's
        return False
    return all(environment.get(name) == value for name, value in marks.items())


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    except psutil.Error:
        return False
