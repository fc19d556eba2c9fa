"""What keeps a daemon that could go: shadow_run, min_up, no way back. And that an overrun goes one state at a time."""

from __future__ import annotations

import shutil
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.reading import assert_whole, ledger, state_file, transitions
from process.timers import resettle, settings
from process.trap import Trap
from torpord.core import records as r
from waiting import until

QUICK = {"drowsy_after": "0.1s", "sleep_after": "0.2s", "hibernate_grace": "0.1s"}
DOWN = [("WAKE", "DROWSY"), ("DROWSY", "SLEEP"), ("SLEEP", "HIBERNATION")]


def test_shadow_run_keeps_the_process_and_says_what_it_would_have_done(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(**QUICK, shadow_run="true"))
    with daemon.connect() as client:
        client.call("wait", state="HIBERNATION", timeout_s=10)
        warning = client.call("log", kinds=["shadow_run_warning"])["records"][-1]["data"]
        assert (warning["would_action"], warning["blocked_by"]) == ("exit", "shadow_run")
        assert warning["note"]
        until(lambda: state_file(home)["current_state"] == "HIBERNATION", what="the state file")
        assert state_file(home)["pid"] == daemon.pid
        assert state_file(home)["shadow_run"] is True
        assert client.call("event", event="request_arrived")["state"] == "WAKE"
    daemon.stop()
    assert transitions(home)[:4] == [*DOWN, ("HIBERNATION", "WAKE")]
    assert_whole(home)


def test_it_stays_up_for_min_up(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(**QUICK, min_up="1.5s"))
    assert daemon.wait_gone() == 0
    entries = ledger(home)
    up_s = entries[-1].awake_s - next(e.awake_s for e in entries if isinstance(e.record, r.Started))
    assert 1.5 <= up_s < 3, up_s
    assert transitions(home) == DOWN


def test_a_whole_life_by_deadlines_alone(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(**QUICK))
    assert daemon.wait_gone() == 0
    assert transitions(home) == DOWN
    world = assert_whole(home)
    assert (world.lifecycle.state.value, world.process.ended) == ("HIBERNATION", True)
    assert state_file(home)["current_state"] == "HIBERNATION"
    assert not daemon.socket.exists()
    following = daemon.again()
    assert following.call("status")["generation"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the venv is laid out as on Linux")
def test_without_a_way_back_it_stays_and_says_why(home: Path, short_dir: Path) -> None:
    """The interpreter goes away under the daemon, as in an upgrade of the machine's Python."""
    place = short_dir / "venv"
    (place / "bin").mkdir(parents=True)
    prefix = Path(sys.prefix)
    (place / "bin" / "python").symlink_to(prefix / "bin" / "python")
    (place / "lib").symlink_to(prefix / "lib")
    if (prefix / "pyvenv.cfg").exists():
        shutil.copy(prefix / "pyvenv.cfg", place)
    trap = Trap(short_dir / "trap", constants={"torpord.core.descent:RECHECK_S": 0.3})
    launcher = [str(place / "bin" / "python"), *trap.launcher[1:]]
    daemon = RunningDaemon.start(home, settings(), launcher=launcher)
    (place / "bin" / "python").unlink()
    with daemon.connect() as client:
        resettle(daemon, settings(**QUICK))
        until(lambda: client.call("status")["next"]["blocked_by"], what="something that forbids the exit")
        until(lambda: any("no way back" in each["why"] for each in client.call("why")["not_yet_because"]))
        assert client.call("status")["state"] == "SLEEP"
        assert len(client.call("log", kinds=["hibernation_blocked"])["records"]) == 1
    (place / "bin" / "python").symlink_to(prefix / "bin" / "python")
    assert daemon.wait_gone() == 0
    assert_whole(home)


def test_deadlines_that_were_overrun_go_one_state_at_a_time(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(drowsy_after="1s", sleep_after="1.2s", hibernate_grace="0.1s"))
    daemon.call("event", event="request_arrived")
    daemon.process.send_signal(signal.SIGSTOP)
    begin_s = time.monotonic()
    until(lambda: time.monotonic() > begin_s + 2)
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.wait_gone() == 0
    assert transitions(home) == DOWN
    assert_whole(home)


def test_a_request_that_was_there_before_the_overrun_was_noticed_goes_first(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(drowsy_after="1s", sleep_after="1.2s", hibernate_grace="0.1s"))
    with daemon.connect() as client:
        client.call("status")
        daemon.process.send_signal(signal.SIGSTOP)
        begin_s = time.monotonic()
        client.request("event", event="request_arrived")
        until(lambda: time.monotonic() > begin_s + 2)
        daemon.process.send_signal(signal.SIGCONT)
        assert client.read_line()["result"]["state"] == "WAKE"
        assert daemon.call("status")["pid"] == daemon.pid


def test_a_stop_is_a_file_before_it_is_answered_and_gone_with_the_next_start(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", {"writer.released": "kill"}, armed=False)
    daemon = RunningDaemon.start(home, launcher=trap.launcher)
    trap.arm()
    with daemon.connect() as client:
        client.request("stop")
        assert daemon.wait_gone() == -signal.SIGKILL
    assert (home / "stopped").read_text() == "stopped by `torpor stop`; `torpor start` starts it again\n"
    assert stat.S_IMODE((home / "stopped").stat().st_mode) == 0o600
    following = RunningDaemon.start(home)
    assert not (home / "stopped").exists()
    assert following.stop() == 0
    assert not (home / "stopped").exists(), "a signal is no stop"


def test_a_home_that_cannot_take_the_file_is_stopped_all_the_same(home: Path) -> None:
    daemon = RunningDaemon.start(home)
    (home / "stopped").mkdir()
    assert daemon.call("stop") == {"state": "WAKE"}
    assert daemon.wait_gone() == 0
    assert state_file(home)["reason"] == "stop"
    assert [line["event"] for line in daemon.log_lines() if "not_written" in line["event"]] == ["stop_not_written"]
    following = RunningDaemon.start(home)
    assert following.call("status")["state"] == "WAKE"
    assert any(line["event"] == "stop_not_taken_back" for line in following.log_lines())


def test_safe_mode_is_stopped_for_good_too(home: Path) -> None:
    daemon = RunningDaemon.start(home, args=["--safe"])
    assert state_file(home)["safe_mode"] is not None
    assert daemon.call("stop") == {"state": "WAKE"}
    assert daemon.wait_gone() == 0
    assert (home / "stopped").exists()
    assert daemon.again().call("status")["safe_mode"] is not None
    assert not (home / "stopped").exists()
    assert state_file(home)["reason"] != "stop"
