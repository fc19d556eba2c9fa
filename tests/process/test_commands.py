"""The command `torpor` against the real daemon, where it could do harm or mislead."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import pytest

from daemon_process import RunningDaemon
from process import failing_disk
from process.timers import settings


def torpor(home: pathlib.Path, *words: str, under: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [*under, sys.executable, "-P", "-m", "torpor", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_restart_that_could_not_start_again_stops_nothing(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    (home / "torpor.toml").write_text("[lifecycle]\ndrowsy_afterr = '1s'\n")
    done = torpor(home, "restart")
    assert done.returncode == 78
    assert "drowsy_afterr" in done.stderr
    assert daemon.call("status")["pid"] == daemon.pid


@pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())
@pytest.mark.parametrize("error", ["EIO", "EMFILE"])
def test_a_restart_that_cannot_look_whether_it_could_start_again_stops_nothing(error: str, home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    path = str(home / "torpor.toml")
    strace = ["strace", "-f", "-P", path, "-e", f"inject=openat:error={error}", "-o", os.devnull]
    done = torpor(home, "restart", under=strace)
    assert done.returncode == 69
    assert "it goes on as it is, as it cannot be told whether it could start again" in done.stderr
    assert path in done.stderr
    assert daemon.call("status")["pid"] == daemon.pid


def test_a_restart_that_might_not_come_to_its_start_stops_nothing(home: pathlib.Path, short_dir: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    (short_dir / "hangs.py").write_text("import signal\nsignal.pause()\n")
    flow = f'[flows.hangs]\npython = "hangs:flow"\npath = "{short_dir}"\n'
    (home / "torpor.toml").write_text(settings(flow))
    done = torpor(home, "restart", "--timeout", "2s")
    assert done.returncode == 75
    assert "`torpord check` did not end within 2.0s" in done.stderr
    assert daemon.call("status")["pid"] == daemon.pid


def test_bad_settings_at_a_start_are_78(home: pathlib.Path) -> None:
    home.mkdir(mode=0o700)
    (home / "torpor.toml").write_text("[lifecycle]\ndrowsy_afterr = '1s'\n")
    done = torpor(home, "start")
    assert done.returncode == 78
    assert "drowsy_afterr" in done.stderr


def test_status_has_one_shape_for_the_state_up_and_down(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    assert json.loads(torpor(home, "status", "--json").stdout)["state"] == "WAKE"
    daemon.stop()
    down = torpor(home, "status", "--json")
    assert down.returncode == 3
    assert json.loads(down.stdout)["state"] == "WAKE"


def test_a_key_that_means_something_else_is_bad_data_and_a_hold_is_worth_another_try(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    assert torpor(home, "send", "request_arrived", "--key", "k").returncode == 0
    assert torpor(home, "send", "wake_signal", "--key", "k").returncode == 65
    with daemon.connect() as client:
        client.call("hold.acquire", who="make", why="a build")
        assert torpor(home, "sleep").returncode == 75


def test_hibernate_where_nothing_ever_ran_says_so(home: pathlib.Path) -> None:
    done = torpor(home, "hibernate")
    assert (done.returncode, done.stdout) == (0, "not running: it has never run here\n")


def test_what_is_no_length_of_time_is_said_in_words(home: pathlib.Path) -> None:
    done = torpor(home, "status", "--timeout", "banana")
    assert done.returncode == 64
    assert "'banana' is no length of time: write 5m" in done.stderr
