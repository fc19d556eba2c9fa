"""Ends that somebody asked for, ends that nobody did, and what the next start makes of each."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import CallRefusedError, RunningDaemon
from process.reading import assert_whole, ledger, state_file
from process.timers import resettle, settings
from torpord.core import records as r
from waiting import until

STAYS = settings(min_up="1h")


def fall(daemon: RunningDaemon, state: str) -> None:
    """Bring it into a state."""
    if state == "DROWSY":
        resettle(daemon, settings(min_up="1h", drowsy_after="0.05s"))
        daemon.call("wait", state="DROWSY", timeout_s=5)
    elif state == "SLEEP":
        daemon.call("event", event="force_sleep")
    assert daemon.call("status")["state"] == state


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stop"])
@pytest.mark.parametrize("state", ["WAKE", "DROWSY", "SLEEP"])
def test_an_asked_for_end_keeps_the_state_and_is_recorded(how: str, state: str, home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    fall(daemon, state)
    counted = daemon.call("status")["wrapper_event_seq"]
    if how == "stop":
        assert daemon.call("stop")["state"] == state
    else:
        daemon.process.send_signal(signal.Signals[how])
    assert daemon.wait_gone() == 0
    assert not daemon.socket.exists()
    assert (home / "torpor.lock").exists()
    shown = state_file(home)
    assert (shown["current_state"], shown["pid"], shown["wrapper_event_seq"]) == (state, None, counted)
    stopped = ledger(home)[-1].record
    assert isinstance(stopped, r.Stopped)
    assert (stopped.reason, stopped.state) == ("stop" if how == "stop" else "signal", state)

    following = daemon.again()
    status = following.call("status")
    assert (status["generation"], status["start_cause"]) == (2, "manual")
    assert status["wrapper_event_seq"] == counted
    started = following.call("log", kinds=["started"])["records"][-1]
    assert started["data"]["after_crash"] is False
    moves = following.call("log", after=started["seq"], kinds=["state_transition"])["records"]
    # On a busy machine it may have become drowsy again by now.
    assert [state, *(move["data"]["to"] for move in moves)][state != "WAKE"] == "WAKE"
    following.stop()
    assert_whole(home)


def test_signals_that_come_twice_or_while_it_leaves_do_no_harm(home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    with daemon.connect() as client:
        client.request("stop")
        for _ in range(5):
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.send_signal(signal.SIGINT)
        assert daemon.wait_gone() == 0
    assert [entry.record.kind for entry in ledger(home)].count("stopped") == 1
    assert_whole(home)


def test_what_was_asked_before_the_end_was_asked_for_is_answered(home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    line = (
        '{{"jsonrpc": "2.0", "id": {0}, "method": "event", "params": {{"event": "request_arrived", "key": "k{0}"}}}}\n'
    )
    with daemon.connect() as client:
        client.send("".join(line.format(n) for n in range(200)).encode())
        daemon.process.terminate()
        replies = []
        while not replies or "result" in replies[-1]:
            text = client.read_bytes_line()
            if text is None:
                break
            replies.append({"result": True} if b'"result"' in text else {"error": text})
    assert daemon.wait_gone() == 0
    done = sum("result" in each for each in replies)
    assert all(b"draining" in each["error"] for each in replies if "error" in each)
    assert assert_whole(home).activity.event_seq >= done


def test_a_reload_by_signal(home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    (home / "torpor.toml").write_text(settings(min_up="1h", drowsy_after="0.1s"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.call("wait", state="DROWSY", timeout_s=5)
    (home / "torpor.toml").write_text("nonsense")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: any(line.get("event") == "settings_not_reloaded" for line in daemon.log_lines()))
    assert daemon.call("status")["state"] == "DROWSY"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed, for holds to hang on."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
def test_holds_over_a_restart(crash: bool, home: Path, child: subprocess.Popen[bytes]) -> None:
    """Those by time and by process go on; those by connection end with the daemon that had it."""
    daemon = RunningDaemon.start(home, STAYS)
    gone = subprocess.Popen(["cat"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with daemon.connect() as client, daemon.connect() as other:
        other.call("hold.acquire", who="connection", why="test")
        client.call("hold.acquire", who="time", why="test", ttl_s=600)
        client.call("hold.acquire", who="short", why="test", ttl_s=0.2)
        client.call("hold.acquire", who="process", why="test", pid=child.pid)
        daemon.kill() if crash else daemon.stop()
    gone.communicate()
    following = daemon.again()
    names = {"time", "process"}
    until(lambda: {each["who"] for each in following.call("hold.list")["holds"]} == names, what="the two that stay")
    child.kill()
    until(lambda: {each["who"] for each in following.call("hold.list")["holds"]} == {"time"}, what="the process's end")
    following.stop()
    assert_whole(home)
    released = {r_.hold_id: r_.how for r_ in (e.record for e in ledger(home)) if isinstance(r_, r.HoldReleased)}
    acquired = {r_.hold_id: r_.who for r_ in (e.record for e in ledger(home)) if isinstance(r_, r.HoldAcquired)}
    hows = {acquired[hold_id]: how for hold_id, how in released.items()}
    assert hows["process"] == "process_ended"
    assert hows["short"] == "expired"
    assert hows["connection"] in ("connection_closed", "daemon_ended")


def test_a_process_that_ended_while_no_daemon_was_there_holds_nothing(
    home: Path, child: subprocess.Popen[bytes]
) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    daemon.call("hold.acquire", who="process", why="test", pid=child.pid)
    daemon.stop()
    child.kill()
    child.wait()
    assert daemon.again().call("hold.list")["holds"] == []


def test_a_hold_on_a_process_that_is_not_there_is_refused(home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    with pytest.raises(CallRefusedError, match="no process"):
        daemon.call("hold.acquire", who="nobody", why="test", pid=2**22 + 1)


@pytest.fixture
def supervisor(short_dir: Path) -> Iterator[dict[str, str]]:
    """What a service manager gives its service: a socket to tell it things."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_dir / "notify"))
        yield {"NOTIFY_SOCKET": str(short_dir / "notify")}


@pytest.mark.parametrize("state", ["DROWSY", "SLEEP"])
def test_a_restart_after_a_crash_wants_nothing_under_a_supervisor(
    state: str, home: Path, supervisor: dict[str, str]
) -> None:
    daemon = RunningDaemon.start(home, STAYS, env=supervisor)
    fall(daemon, state)
    before = daemon.call("status")
    daemon.kill()
    following = daemon.again()
    status = following.call("status")
    assert (status["state"], status["start_cause"], status["supervisor"]) == (state, "crash", "systemd")
    assert status["since_ts"] == before["since_ts"]
    assert status["last_activity_ts"] == before["last_activity_ts"]
    following.stop()
    assert_whole(home)


@pytest.mark.parametrize("state", ["DROWSY", "SLEEP"])
def test_without_a_supervisor_somebody_wanted_it(state: str, home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    fall(daemon, state)
    daemon.kill()
    status = daemon.again().call("status")
    assert (status["state"], status["start_cause"]) == ("WAKE", "manual")


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
def test_a_file_that_lies_there_wakes_it(crash: bool, home: Path, supervisor: dict[str, str]) -> None:
    """It is the cause of the start, too, unless a crash is: then the service manager needed no other."""
    daemon = RunningDaemon.start(home, STAYS, env=supervisor)
    fall(daemon, "SLEEP")
    daemon.kill() if crash else daemon.stop()
    (home / "wake.signal").touch()
    following = daemon.again()
    until(lambda: not (home / "wake.signal").exists(), what="the file to be taken")
    status = following.call("status")
    assert (status["state"], status["start_cause"]) == ("WAKE", "crash" if crash else "wake.signal")


def test_a_crash_in_hibernation_is_a_demand_all_the_same(home: Path, supervisor: dict[str, str]) -> None:
    """Whoever finds HIBERNATION was started by somebody: nobody restarts what has ended in order."""
    daemon = RunningDaemon.start(home, settings(shadow_run="true"), env=supervisor)
    daemon.call("hibernate", now=True)
    daemon.call("wait", state="HIBERNATION", timeout_s=5)
    daemon.kill()
    status = daemon.again().call("status")
    assert (status["state"], status["start_cause"]) == ("WAKE", "crash")
