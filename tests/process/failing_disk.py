"""A disk that fails with EIO while a test says so: real answers of system calls to a process that is running.

strace is attached to the process and has every call that reads, writes, syncs or names one of some files come back with
EIO instead of being made. What the process sees is what a dying disk gives it, down to the system call; what is not
shown is what such a disk does to its own pages behind a sync that has failed (the power cut's tests are about those).
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from power import recorded
from waiting import until

LET_GO_S = 5.0
_CALLS = "pread64,pwrite64,write,fsync,fdatasync,ftruncate,openat,rename,unlink"
# All of a home that a daemon at work reads or writes, but for what clients and tests put there themselves.
OF_A_HOME = (
    "",
    "torpor.db",
    "torpor.db-wal",
    "torpor.db-journal",
    "lifecycle_state.json",
    "tmp/lifecycle_state.json",
    "starts.json",
    "tmp/starts.json",
    "stopped",
)


def missing() -> str:
    """Return why no disk can be made to fail here; "" where it can."""
    return recorded.missing()


@contextmanager
def failing(
    pid: int, home: Path, names: Sequence[str] = OF_A_HOME, error: str = "EIO", calls: str = _CALLS
) -> Iterator[None]:
    """Have a process's calls on these files of its home fail within the context."""
    told = home.parent / f"strace.{pid}"
    paths = [word for name in names for word in ("-P", str(home / name) if name else str(home))]
    command = ["strace", "-f", "-p", str(pid), *paths, "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    with told.open("w") as words:
        process = subprocess.Popen([*command, "-o", "/dev/null"], stderr=words)
    try:
        until(lambda: "attached" in told.read_text() or process.poll() is not None, what="strace to attach")
        assert process.poll() is None, told.read_text()
        yield
    finally:
        process.send_signal(signal.SIGINT)  # it lets the process go on, and ends
        try:
            process.wait(LET_GO_S)
        except subprocess.TimeoutExpired:
            # Just in a vfork(2), the one cannot be stopped to be let go of before its child has begun, and the child
            # waits for strace. The kernel lets go of both when there is no strace any more.
            process.kill()
            process.wait(LET_GO_S)
