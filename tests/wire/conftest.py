"""One daemon for the tests of a file that leave it as they found it; the others take `daemon`, or start their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import memory
from daemon_process import LineClient, RunningDaemon, end_all
from wire.runs import daemon_with_flows


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningDaemon]:
    """A daemon with the default settings, in WAKE and without holds."""
    folder = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
    home = folder / "home"
    try:
        yield RunningDaemon.start(home)
    finally:
        end_all(home)
        shutil.rmtree(folder)


@pytest.fixture
def line(shared: RunningDaemon) -> Iterator[LineClient]:
    """A connection to the shared daemon."""
    with shared.connect() as client:
        yield client


@pytest.fixture(scope="module")
def toys() -> Iterator[RunningDaemon]:
    """A daemon with flows (`wire.runs`). Its runs are left to it: each test looks at its own."""
    with daemon_with_flows() as daemon:
        yield daemon


@pytest.fixture
def toy(toys: RunningDaemon) -> Iterator[LineClient]:
    """A connection to it."""
    with toys.connect() as client:
        yield client
