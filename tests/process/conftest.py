"""A home on a disk so small that a test can fill it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import end_all
from process.disk import SmallDisk


@pytest.fixture
def disk(short_dir: Path) -> Iterator[SmallDisk]:
    """A tmpfs of 1.5 MB, mounted where the home is to be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes Linux and root")
    home = short_dir / "home"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k,mode=0700", "torpor-test", str(home)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this root may not mount: {done.stderr.strip()}")
    yield SmallDisk(home)
    end_all(home)
    subprocess.run(["umount", "--lazy", str(home)], check=True)
