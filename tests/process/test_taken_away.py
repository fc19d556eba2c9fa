"""torpor is uninstalled under a daemon whose socket is a service manager's: who goes then could not come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.handed import manager
from process.installation import Installation
from process.reading import assert_whole, state_file
from process.timers import settings
from waiting import until

QUICK = {"min_up": "0.1s", "hibernate_grace": "0.1s"}
RECHECKED = "import torpord.core.descent as d; d.RECHECK_S = 0.3"


@pytest.fixture
def installed(short_dir: Path) -> Installation:
    return Installation.made(short_dir / "site")


@pytest.fixture
def daemon(home: Path, installed: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningDaemon]:
    monkeypatch.setenv("PYTHONPATH", str(installed.folder))
    (installed.folder / "sitecustomize.py").write_text(RECHECKED)
    with manager(home) as opened:
        started = opened.start(settings(**QUICK))
        yield started
        started.end()


def test_it_stays_and_says_why_until_there_is_one_again(
    home: Path, installed: Installation, daemon: RunningDaemon
) -> None:
    """The manager would start nothing, and whoever connects would wait at its socket for ever."""
    installed.remove()
    with daemon.connect() as client:
        client.call("hibernate", now=True)
        until(lambda: any("no way back" in each["why"] for each in client.call("why")["not_yet_because"]))
        assert client.call("status")["state"] == "SLEEP"
    installed.bring_back()
    assert daemon.wait_gone() == 0
    assert_whole(home)


def test_it_stops_in_peace_all_the_same(home: Path, installed: Installation, daemon: RunningDaemon) -> None:
    installed.remove()
    assert daemon.call("stop") == {"state": "WAKE"}
    assert daemon.wait_gone() == 0, daemon.log_lines()[-3:]
    assert (home / "stopped").exists()
    assert state_file(home)["pid"] is None
    assert any(line["event"] == "still_startable" for line in daemon.log_lines())
