"""Fixtures for every room."""

from __future__ import annotations

import pathlib
import shutil
import signal
import tempfile
from typing import TYPE_CHECKING

import hypothesis
import pytest

import memory
from daemon_process import RunningDaemon, end_all

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marks mean; and that no example of a property is late, however busy the machine is."""
    config.addinivalue_line("markers", "disk: the home lies on a disk: the time that takes to sync is part of the test")
    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")
    _pass_no_ignored_signal_on()


def _pass_no_ignored_signal_on() -> None:
    """Have what tests start hear what they are told, also under nohup(1) or in a script's `make test &`.

    What is ignored here would be ignored by each process that a test starts, and Ctrl-C on its terminal be lost. What
    is caught is not passed on, and does no more here.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture
def short_dir(request: pytest.FixtureRequest) -> Iterator[pathlib.Path]:
    """A directory whose paths fit into a socket address: pytest's own may be longer than 107 bytes."""
    on_disk = request.node.get_closest_marker("disk") is not None
    path = pathlib.Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder(disk=on_disk)))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(short_dir: pathlib.Path) -> Iterator[pathlib.Path]:
    """A home that is not there yet. No daemon of it outlives the test, however that ends."""
    path = short_dir / "home"
    yield path
    end_all(path)


@pytest.fixture
def daemon(home: pathlib.Path) -> RunningDaemon:
    """A daemon with the default settings."""
    return RunningDaemon.start(home)
