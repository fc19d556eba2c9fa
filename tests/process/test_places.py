"""What is taken away from under a daemon that runs, and what it promised just before it was killed."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import torpor
from daemon_process import RunningDaemon
from process.old_ledger import age
from process.reading import assert_whole, ledger
from process.timers import settings
from process.trap import Trap
from torpord.core.records import Entry
from waiting import until


def test_an_exit_waits_for_a_change_that_the_disk_is_slow_with(home: pathlib.Path, short_dir: pathlib.Path) -> None:
    # The second commit after arming is the hold's; HIBERNATION was the first. The hook gives it the time to arrive.
    trap = Trap(short_dir / "trap", {"store.written": "wait"}, nth=2, armed=False)
    daemon = RunningDaemon.start(home, settings("[hooks]\non_hibernate = ['sleep 1']"), launcher=trap.launcher)
    with daemon.connect() as client, daemon.connect() as other:
        trap.arm()
        client.call("hibernate", now=True)
        other.request("hold.acquire", who="test", why="late", ttl_s=100)
        trap.reached("store.written", daemon)
        begin_s = time.monotonic()
        until(lambda: time.monotonic() > begin_s + 2)  # the hook is over, and many looks
        assert daemon.process.poll() is None
        trap.let_go("store.written")
        assert other.read_line()["result"]["state"] == "WAKE"
        status = other.call("status")
        assert (status["state"], status["pid"], len(status["holds"])) == ("WAKE", daemon.pid, 1)
    assert daemon.stop() == 0
    assert_whole(home)


def test_a_stop_that_was_answered_holds_also_where_the_daemon_is_killed_on_its_way_out(
    home: pathlib.Path, short_dir: pathlib.Path
) -> None:
    trap = Trap(short_dir / "trap", {"exit.drained": "kill"})
    daemon = RunningDaemon.start(home, launcher=trap.launcher)
    assert daemon.call("stop")["state"] == "WAKE"
    assert daemon.wait_gone() == -signal.SIGKILL
    assert torpor.send("request_arrived", home=home).how == "stopped"
    following = RunningDaemon.start(home)  # somebody starts it after all: what was left is taken
    until(lambda: following.call("status")["wrapper_event_seq"] == 1, what="the file that was left")


def test_a_key_is_replayed_before_the_machine_is_looked_at(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with subprocess.Popen(["sleep", "600"]) as holder:
        first = daemon.call("hold.acquire", who="a", why="b", pid=holder.pid, key="hold")
        holder.kill()
    until(lambda: not daemon.call("status")["holds"], what="the hold's end")
    assert daemon.call("hold.acquire", who="a", why="b", pid=holder.pid, key="hold") == {**first, "replayed": True}
    assert daemon.ask("hold.acquire", who="a", why="b", pid=holder.pid, key="new")["error"]["data"]["field"] == "pid"
    changed = daemon.call("reload", key="reload")
    (home / "torpor.toml").write_text("nonsense")
    assert daemon.call("reload", key="reload") == {**changed, "replayed": True}
    assert daemon.ask("reload", key="another")["error"]["data"]["name"] == "conflict"


def test_one_whose_socket_was_removed_makes_room_for_one_that_can_be_reached(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home)
    daemon.call("event", event="request_arrived", key="before")
    (home / "torpor.sock").unlink()
    assert daemon.wait_gone() == 0
    assert any(line.get("event") == "socket_gone" for line in daemon.log_lines())
    following = daemon.again()
    assert following.call("event", event="request_arrived", key="before")["replayed"] is True
    assert_whole_after(following, home)


def assert_whole_after(daemon: RunningDaemon, home: pathlib.Path) -> None:
    assert daemon.stop() == 0
    assert_whole(home)


def test_one_whose_home_was_removed_ends_and_touches_nothing_of_the_next(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home)
    daemon.call("event", event="request_arrived")
    away = home.with_name("away")
    home.rename(away)
    assert daemon.wait_gone() == 78
    assert any(line.get("event") == "home_gone" for line in daemon.log_lines())
    fresh = RunningDaemon.start(home)
    assert fresh.call("status")["wrapper_event_seq"] == 0
    home.rename(home.with_name("away too"))
    assert fresh.wait_gone() == 78
    away.rename(home)
    assert RunningDaemon.start(home).call("status")["wrapper_event_seq"] == 1  # it was moved, and lost nothing


def test_a_home_that_json_cannot_name_is_refused(short_dir: pathlib.Path) -> None:
    path = os.fsencode(short_dir) + b"/h\xff"
    command = [sys.executable.encode(), b"-m", b"torpord", b"run", b"--home", path]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 78
    assert b"is not UTF-8" in done.stderr
    assert not pathlib.Path(os.fsdecode(path)).exists()


def test_rare_kinds_are_found_page_by_page_without_holding_up_the_others(home: pathlib.Path) -> None:
    RunningDaemon.start(home, settings()).stop()
    age(home, old=0, young=35_000)
    daemon = RunningDaemon.start(home)
    with daemon.connect() as client:
        after, pages, found = 0, 0, []
        while True:
            page = client.call("log", after=after, kinds=["started"])
            found += [record["seq"] for record in page["records"]]
            pages += 1
            if page["next"] == after:
                break
            after = page["next"]
        assert pages >= 4
        assert found == [entry.seq for entry in ledger_while_down(daemon, home) if entry.record.kind == "started"]


def ledger_while_down(daemon: RunningDaemon, home: pathlib.Path) -> list[Entry]:
    daemon.stop()
    return ledger(home)


def test_why_names_only_what_keeps_it(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings(drowsy_after="50ms"))
    with daemon.connect() as client:
        client.call("hold.acquire", who="make", why="a build")
        assert [reason["kind"] for reason in client.call("why")["awake_because"]] == ["hold"]
