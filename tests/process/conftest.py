"""A home on a disk so small that a test can fill it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon_process import end_all
from process.disk import SmallDisk


@contextmanager
def mounted(home: Path, size: str) -> Iterator[SmallDisk]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes Linux and root")
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "torpor-test", str(home)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this root may not mount: {done.stderr.strip()}")
    yield SmallDisk(home)
    end_all(home)
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.fixture
def disk(short_dir: Path) -> Iterator[SmallDisk]:
    """A tmpfs of 1.5 MB, mounted where the home is to be."""
    with mounted(short_dir / "home", "1500k") as small:
        yield small


@pytest.fixture
def roomy_disk(short_dir: Path) -> Iterator[SmallDisk]:
    """One that holds a run of some hundred steps and the log of their commits."""
    with mounted(short_dir / "home", "24m") as small:
        yield small
