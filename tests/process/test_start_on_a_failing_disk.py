"""A start that the disk, or a machine short of something, keeps from looking: that is told, and no file is blamed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process import failing_disk
from process.timers import settings

pytestmark = pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())

# All by which lstat(2) and fstat(2) are made, by the age of the C library.
LOOKS = "?lstat,?newfstatat,?statx"


def start(home: Path, name: str, calls: str, error: str) -> tuple[int, str]:
    """Start a daemon with these calls on one file of its home failing; returns its exit status and its last line."""
    inject = ["-P", str(home / name) if name else str(home), "-e", f"inject={calls}:error={error}"]
    daemon = [sys.executable, "-m", "torpord", "run", "--home", str(home)]
    command = ["strace", "-f", *inject, "-o", os.devnull, *daemon]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TORPOR_")}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "calls", "error"),
    [
        ("torpor.toml", "openat", "EIO"),
        ("torpor.toml", "openat", "EMFILE"),
        ("torpor.toml", "read", "EIO"),
        ("", LOOKS, "EIO"),
        ("tmp", LOOKS, "EIO"),
        ("wake.d", "mkdir", "ENOMEM"),
        ("wake.rejected", LOOKS, "EIO"),
    ],
)
def test_it_is_the_machines_fault_and_may_pass(name: str, calls: str, error: str, home: Path) -> None:
    RunningDaemon.start(home, settings()).stop()
    status, said = start(home, name, calls, error)
    assert status == 75, said
    assert "now" in said
    assert "the disk fails, or the machine is short of something" in said
    assert str(home / name if name else home) in said
    assert "remove" not in said
    following = RunningDaemon.start(home)
    assert following.call("status")["generation"] == 2
    assert following.stop() == 0


@pytest.mark.parametrize(
    ("name", "calls", "error", "status"),
    [
        ("torpor.toml", "openat", "EACCES", 78),
        ("torpor.toml", "openat", "ELOOP", 78),
        ("tmp", LOOKS, "EACCES", 77),
        ("tmp", LOOKS, "ENOTDIR", 78),
        ("", LOOKS, "ELOOP", 78),
    ],
)
def test_what_a_file_or_its_owner_is_to_blame_for_stays_so(
    name: str, calls: str, error: str, status: int, home: Path
) -> None:
    RunningDaemon.start(home, settings()).stop()
    found, said = start(home, name, calls, error)
    assert (found, "the disk fails" in said) == (status, False), said
