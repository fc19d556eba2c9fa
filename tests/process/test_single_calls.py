"""One kind of call fails for a moment, at one file of the home: the daemon loses nothing, and goes on where it can."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process import failing_disk
from process.failing_disk import failing
from process.reading import assert_whole
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop, left
from torpord.core.runs import MOST_CRASHES
from torpord.shell import lookout
from waiting import until

pytestmark = pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())

# All by which lstat(2) and fstat(2) are made, by the age of the C library.
LOOKS = "?lstat,?newfstatat,?statx"
FLOW = '[flows.one]\n[[flows.one.steps]]\nname = "only"\ncommand = "true"'
# What is imported when the first worker is wanted: absolute paths, whatever the home's is.
_WORKER = str(Path(lookout.__file__).with_name("worker.py"))
CODE = [_WORKER, importlib.util.cache_from_source(_WORKER)]


@pytest.mark.parametrize("name", ["torpor.lock", "torpor.sock"])
@pytest.mark.parametrize("error", ["EIO", "EACCES"])
def test_a_place_that_cannot_be_looked_at_is_not_gone(name: str, error: str, home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as client:
        with failing(daemon.pid, home, [name], error, LOOKS):
            (home / "wake.signal").touch()  # whenever something moves here it looks at its places
            until(lambda: not (home / "wake.signal").exists(), what="the signal to be taken")
            (home / "moved").touch()
            drop(home, "after.json")
            until(lambda: client.call("status")["wrapper_event_seq"] == 2, what="the file to be taken")
        assert client.call("status")["pid"] == daemon.pid
    assert daemon.stop() == 0
    assert_whole(home)


@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_a_socket_that_cannot_be_removed_keeps_no_answer_back(error: str, home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as client:
        with failing(daemon.pid, home, ["torpor.sock"], error, "?unlink,?unlinkat"):
            client.call("stop")
            assert daemon.wait_gone() == 0
        assert client.at_end()
    assert daemon.socket.is_socket(), "it stays, and nobody listens there"
    assert assert_whole(home).process.ended
    following = daemon.again()
    assert following.call("status")["generation"] == 2
    assert following.stop() == 0


@pytest.mark.parametrize("calls", ["openat", "read", "?fstat,?newfstatat,?statx"], ids=["open", "read", "look"])
def test_a_wake_file_that_cannot_be_read_now_is_read_later(calls: str, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.lookout:RETRY_S": 0.2})
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    with failing(daemon.pid, home, ["wake.d/one.json"], calls=calls):
        path = drop(home, "one.json")
        drop(home, "two.json")
        until(lambda: told(daemon, "file_not_read_yet"), what="a try")
        assert path.exists()
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 2, what="both to be taken")
    assert left(home) == []
    assert daemon.stop() == 0
    assert_whole(home)
    assert not list((home / "wake.rejected").iterdir())


def test_a_wake_file_that_can_never_be_read_is_put_aside_and_the_rest_is_taken(home: Path, short_dir: Path) -> None:
    constants = {"torpord.shell.lookout:RETRY_S": 0.2, "torpord.shell.spool:READ_LIMIT_S": 1.0}
    daemon = RunningDaemon.start(home, settings(), launcher=Trap(short_dir / "trap", constants=constants).launcher)
    with failing(daemon.pid, home, ["wake.d/one.json"], calls="read"):
        drop(home, "one.json")
        drop(home, "two.json")
        until(lambda: daemon.call("status")["wrapper_event_seq"] == 1, what="the other to be taken")
    assert "Input/output error" in (home / "wake.rejected" / "one.json.why").read_text()
    assert (home / "wake.rejected" / "one.json").exists()
    assert daemon.stop() == 0


@pytest.mark.parametrize("name", ["taken.json", "bad.txt", "wake.signal"])
def test_what_could_not_be_removed_for_a_moment_forbids_hibernation_no_longer(
    name: str, home: Path, short_dir: Path
) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.core.descent:RECHECK_S": 0.3})
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    path = home / name if name == "wake.signal" else home / "wake.d" / name
    with failing(daemon.pid, home, [str(path.relative_to(home))], "EROFS", "?unlink,?unlinkat,?rename,?renameat2"):
        if name == "wake.signal":
            path.touch()
        else:
            drop(home, name)
        until(lambda: told(daemon, "file_stuck"), what="a file that cannot be removed")
        quick = settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s")
        (home / "torpor.toml").write_text(quick)  # from here on it goes as soon as it may
        daemon.call("reload")
        until(lambda: daemon.call("why")["state"] == "SLEEP", what="SLEEP")
        until(lambda: any(name in each["why"] for each in daemon.call("why")["not_yet_because"]), what="why")
    assert daemon.wait_gone() == 0
    assert not path.exists()
    assert assert_whole(home).lifecycle.state.value == "HIBERNATION"
    assert len([line for line in daemon.log_lines() if line.get("event") == "file_stuck"]) == 1


def test_what_cannot_be_read_for_a_moment_forbids_hibernation_until_it_is(home: Path, short_dir: Path) -> None:
    constants = {"torpord.core.descent:RECHECK_S": 0.3, "torpord.shell.lookout:RETRY_S": 0.2}
    daemon = RunningDaemon.start(home, settings(), launcher=Trap(short_dir / "trap", constants=constants).launcher)
    with failing(daemon.pid, home, ["wake.d/one.json"], calls="read"):
        drop(home, "one.json")
        until(lambda: told(daemon, "file_not_read_yet"), what="a try")
        assert "one.json cannot be read now" in daemon.call("doctor")["stuck"]["one.json"]
        quick = settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s")
        (home / "torpor.toml").write_text(quick)  # from here on it goes as soon as it may
        daemon.call("reload")
        until(lambda: daemon.call("why")["state"] == "SLEEP", what="SLEEP")
        until(lambda: any("one.json" in each["why"] for each in daemon.call("why")["not_yet_because"]), what="why")
    assert daemon.wait_gone() == 0
    assert left(home) == []
    assert not list((home / "wake.rejected").iterdir())
    assert assert_whole(home).lifecycle.state.value == "HIBERNATION"


def test_what_cannot_be_read_at_the_last_look_takes_the_exit_back(home: Path, short_dir: Path) -> None:
    constants = {"torpord.shell.lookout:RETRY_S": 0.2}
    trap = Trap(short_dir / "trap", {"exit.decided": "wait"}, constants=constants)
    quick = settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s")
    daemon = RunningDaemon.start(home, quick, launcher=trap.launcher)
    trap.reached("exit.decided", daemon)
    with failing(daemon.pid, home, ["wake.d/one.json"], calls="read"):
        drop(home, "one.json")
        trap.let_go("exit.decided")
        until(lambda: told(daemon, "hibernation_cancelled"), what="the exit to be taken back")
    assert daemon.wait_gone() == 0
    assert left(home) == []
    assert not list((home / "wake.rejected").iterdir())
    assert_whole(home)


def test_leftovers_that_cannot_be_seen_keep_no_daemon_from_starting(home: Path) -> None:
    RunningDaemon.start(home, settings()).stop()
    (home / "tmp" / "run-left").mkdir()
    # Of the two listings of tmp/ at a start, each of two calls, the second is the workers'.
    strace = ["strace", "-f", "-P", str(home / "tmp"), "-e", "inject=getdents64:error=EIO:when=3", "-o", os.devnull]
    with RunningDaemon.start(home, launcher=[*strace, sys.executable, "-m", "torpord"]) as daemon:
        assert told(daemon, "leftovers_not_seen")
        assert daemon.call("status")["generation"] == 2


def test_who_came_to_a_start_that_cannot_be_stored_is_told(home: Path, short_dir: Path) -> None:
    RunningDaemon.start(home, settings()).stop()
    trap = Trap(short_dir / "trap", {"store.begun": "wait"})
    daemon = RunningDaemon.start(home, launcher=trap.launcher, wait=False)
    trap.reached("store.begun", daemon)
    with daemon.connect() as client:
        client.request("event", event="request_arrived")
        with failing(daemon.pid, home, ["torpor.db-wal"], "ENOSPC", "pwrite64,write"):
            trap.let_go("store.begun")
            assert daemon.wait_gone() == 75
        assert client.read_line()["error"]["data"]["name"] == "draining"
        assert client.at_end()
    assert not daemon.socket.exists()
    assert "cannot be stored" in daemon.log_lines()[-1]["text"]
    starts = json.loads((home / "starts.json").read_text())["starts"]
    assert starts[-1]["end"].startswith("failed: ")
    following = RunningDaemon.start(home)
    assert following.call("status")["wrapper_event_seq"] == 0


@pytest.mark.parametrize(
    ("names", "error", "call"),
    [([], "ENOSPC", "mkdir"), (CODE, "EMFILE", "openat"), (CODE, "EIO", "openat")],
    ids=["no room for its folder", "no descriptor to read its code with", "a disk that does not show its code"],
)
def test_a_worker_that_cannot_start_just_then_fails_no_run(
    names: Sequence[str], error: str, call: str, home: Path, short_dir: Path
) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.shortage:LAST_PAUSE_S": 0.2})
    daemon = RunningDaemon.start(home, settings(FLOW), launcher=trap.launcher)
    with failing(daemon.pid, home, names, error, call):  # of no names: whatever the file
        run_id = daemon.call("run.start", flow="one")["run_id"]
        until(lambda: tries(daemon) > MOST_CRASHES + 1, what="some attempts")
        assert daemon.call("run.get", run_id=run_id)["run"]["status"] == "running"
    daemon.call("wait", run_id=run_id, status="completed", timeout_s=9)
    assert daemon.stop() == 0
    assert_whole(home)


def test_who_cancels_a_run_does_not_wait_for_its_next_worker(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.shortage:FIRST_PAUSE_S": 60})
    daemon = RunningDaemon.start(home, settings(FLOW), launcher=trap.launcher)
    with failing(daemon.pid, home, CODE, "EMFILE", "openat"):
        run_id = daemon.call("run.start", flow="one")["run_id"]
        until(lambda: tries(daemon) == 1, what="an attempt")
        daemon.call("run.cancel", run_id=run_id)
        daemon.call("wait", run_id=run_id, status="cancelled", timeout_s=9)
    assert daemon.stop() == 0


def tries(daemon: RunningDaemon) -> int:
    """Return how many workers could not be started."""
    return len([line for line in daemon.log_lines() if line.get("event") == "worker_not_started"])


def told(daemon: RunningDaemon, event: str) -> bool:
    """Whether the daemon has logged an event."""
    return any(line.get("event") == event for line in daemon.log_lines())
