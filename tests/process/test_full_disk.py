"""A full disk: who asks is told so, nothing acknowledged is lost, and the daemon goes on when there is room again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon, StartFailedError
from process.disk import SmallDisk, cpu_s
from process.old_ledger import age
from process.reading import assert_whole, kinds, state_file, stored_world, transitions
from process.timers import resettle, settings
from process.trap import Trap
from process.wake_files import drop_text
from waiting import until

# The WAL has room within its last page for a batch or two after the disk is full.
MOST_THAT_STILL_FIT = 20
EVENT = '{"method": "event", "params": {"event": "request_arrived"}}'


def send_until_refused(client: LineClient) -> tuple[int, str]:
    """Send keyed events until one cannot be stored; returns how many were, and the key of the one that was not."""
    for number in range(MOST_THAT_STILL_FIT):
        reply = client.ask("event", event="request_arrived", key=f"full-{number}")
        if "error" in reply:
            assert reply["error"]["data"]["name"] == "storage_unavailable", reply
            assert "full" in reply["error"]["message"]
            return number, f"full-{number}"
    raise AssertionError("the disk is not full")


def test_what_is_refused_changes_nothing_and_what_was_acknowledged_stays(disk: SmallDisk) -> None:
    daemon = RunningDaemon.start(disk.home, settings())
    with daemon.connect() as client:
        for number in range(10):
            client.call("event", event="request_arrived", key=f"before-{number}")
        disk.fill()
        more, refused = send_until_refused(client)
        for _ in range(3):
            again = client.ask("event", event="request_arrived", key=refused)
            assert again["error"]["data"]["name"] == "storage_unavailable"
        replayed = client.ask("event", event="request_arrived", key="before-3")
        assert replayed.get("result", {}).get("replayed") or replayed["error"]["data"]["name"] == "storage_unavailable"
        status = client.call("status")
        assert (status["wrapper_event_seq"], status["state"]) == (10 + more, "WAKE")
        assert client.call("why")["state"] == "WAKE"
        assert client.call("log")["records"][0]["kind"] == "started"
        assert client.ask("stop")["error"]["data"]["name"] == "storage_unavailable"
        assert client.ask("hibernate")["error"]["data"]["name"] == "storage_unavailable"
    daemon.kill()
    world = stored_world(disk.home)
    assert (world.activity.event_seq, world.ledger_seq) == (status["wrapper_event_seq"], status["ledger_seq"])


def test_writes_work_again_when_there_is_room(disk: SmallDisk) -> None:
    daemon = RunningDaemon.start(disk.home, settings())
    with daemon.connect() as client:
        disk.fill()
        more, refused = send_until_refused(client)
        disk.free()
        result = client.call("event", event="request_arrived", key=refused)
        assert "replayed" not in result
        assert client.call("event", event="request_arrived", key=refused)["replayed"] is True
        assert client.call("status")["wrapper_event_seq"] == more + 1
    assert daemon.stop() == 0
    assert_whole(disk.home)


def test_deadlines_wait_for_room_without_a_busy_loop_and_then_go_on(disk: SmallDisk) -> None:
    daemon = RunningDaemon.start(disk.home, settings(drowsy_after="1s"))
    disk.fill()
    with daemon.connect() as client:
        send_until_refused(client)
        before_s, begin_s = cpu_s(daemon.pid), time.monotonic()
        until(lambda: time.monotonic() > begin_s + 2.5)
        assert cpu_s(daemon.pid) - before_s < 0.15
        assert client.call("status")["state"] == "WAKE"
        disk.free()
        until(lambda: client.call("status")["state"] == "DROWSY", what="DROWSY")
    assert daemon.stop() == 0
    assert_whole(disk.home)
    assert transitions(disk.home) == [("WAKE", "DROWSY")]


def test_who_asks_and_asks_does_not_put_off_what_is_due(disk: SmallDisk) -> None:
    daemon = RunningDaemon.start(disk.home, settings(drowsy_after="1s"))
    disk.fill()
    with daemon.connect() as client:
        _, refused = send_until_refused(client)
        for _ in range(10):
            again = client.ask("event", event="request_arrived", key=refused)
            assert again["error"]["data"]["name"] == "storage_unavailable"
        disk.free()
        until(lambda: client.call("status")["state"] == "DROWSY", what="DROWSY")


def test_a_hold_of_a_closed_connection_is_released_when_there_is_room(disk: SmallDisk) -> None:
    daemon = RunningDaemon.start(disk.home, settings())
    with daemon.connect() as looker:
        with daemon.connect() as holder:
            holder.call("hold.acquire", who="test", why="a full disk")
            disk.fill()
            send_until_refused(looker)
        assert len(looker.call("hold.list")["holds"]) == 1
        disk.free()
        until(lambda: looker.call("hold.list")["holds"] == [], what="the release")
    assert daemon.stop() == 0
    assert_whole(disk.home)
    assert kinds(disk.home).count("hold_released") == 1


def test_what_is_left_in_files_waits_for_room_and_is_then_taken_once(disk: SmallDisk, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.lookout:RETRY_S": 0.5})
    daemon = RunningDaemon.start(disk.home, settings(min_up="1h"), launcher=trap.launcher)
    waiting = [drop_text(disk.home, "../tmp/waiting.json", EVENT), disk.home / "wake.d" / "waiting.json"]
    with daemon.connect() as client:
        client.call("event", event="force_sleep")
        until(lambda: client.call("status")["sleep"]["last_cycle"], what="the cycle")
        disk.fill()
        more, _ = send_until_refused(client)
        waiting[0].rename(waiting[1])
        (disk.home / "wake.signal").touch()
        before_s, begin_s = cpu_s(daemon.pid), time.monotonic()
        until(lambda: time.monotonic() > begin_s + 1.5)
        assert cpu_s(daemon.pid) - before_s < 0.15
        assert client.call("status")["wrapper_event_seq"] == more
        assert waiting[1].exists()
        disk.free()
        until(lambda: client.call("status")["wrapper_event_seq"] == more + 2, what="both to be taken")
        until(lambda: not waiting[1].exists())
        assert client.call("status")["state"] == "WAKE"
    assert daemon.stop() == 0
    assert_whole(disk.home)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_ended_and_the_next_one_calls_it_a_crash(disk: SmallDisk, number: signal.Signals) -> None:
    daemon = RunningDaemon.start(disk.home, settings())
    disk.fill()
    with daemon.connect() as client:
        more, _ = send_until_refused(client)
    daemon.process.send_signal(number)
    assert daemon.wait_gone(limit_s=8) == 0
    assert any(line.get("event") == "end_not_recorded" for line in daemon.log_lines())
    disk.free()
    following = daemon.again()
    assert following.call("status")["wrapper_event_seq"] == more
    started = following.call("log", kinds=["started"])["records"][-1]
    assert started["data"]["after_crash"] is True
    assert following.stop() == 0
    assert_whole(disk.home)


def test_a_hibernation_that_cannot_be_stored_does_not_happen(disk: SmallDisk) -> None:
    # Long enough for a busy machine to fill the disk behind the release, and shorter than what is waited for.
    timers = settings(drowsy_after="1.5s", sleep_after="1.8s", hibernate_grace="0.1s")
    daemon = RunningDaemon.start(disk.home, settings())
    daemon.call("hold.acquire", who="test", why="until the disk is full", ttl_s=600)
    resettle(daemon, timers)
    hold_id = daemon.call("hold.list")["holds"][0]["hold_id"]
    disk.fill()
    with daemon.connect() as client:
        send_until_refused(client)
        disk.free()
        client.call("hold.release", hold_id=hold_id)
        disk.fill()
        begin_s = time.monotonic()
        until(lambda: time.monotonic() > begin_s + 3)
        assert client.call("status")["state"] != "HIBERNATION"
    disk.free()
    assert daemon.wait_gone() == 0
    world = assert_whole(disk.home)
    assert (world.lifecycle.state.value, world.process.ended) == ("HIBERNATION", True)
    assert state_file(disk.home)["current_state"] == "HIBERNATION"


@pytest.mark.parametrize("there", [True, False], ids=["a store is there", "no store yet"])
def test_a_full_disk_at_the_start_is_an_error_that_says_so(disk: SmallDisk, there: bool) -> None:
    if there:
        RunningDaemon.start(disk.home, settings()).stop()
    disk.fill()
    daemon = RunningDaemon.start(disk.home, wait=False)
    code = daemon.wait_gone()
    last = daemon.log_lines()[-1]["text"]
    assert code == 75, last
    assert last.startswith("torpord: ")
    assert "full" in last
    assert str(disk.home) in last
    disk.free()
    following = daemon.again()
    assert following.call("status")["generation"] == (2 if there else 1)
    assert following.stop() == 0
    assert_whole(disk.home)


def test_a_client_that_starts_it_on_a_full_disk_is_told_so_at_once(disk: SmallDisk) -> None:
    """Nothing fits into its log, either: what is known is that it said nothing."""
    RunningDaemon.start(disk.home, settings()).stop()
    disk.fill()
    command = [sys.executable, "-m", "torpor", "start", "--home", str(disk.home), "--timeout", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (69, 75), done
    assert "is the disk full?" in done.stderr
    disk.free()
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_the_start_of_a_store_that_holds_is_not_taken_for_a_damaged_one(disk: SmallDisk) -> None:
    """After a kill the WAL is there, and must be read back with no room for anything new."""
    daemon = RunningDaemon.start(disk.home, settings())
    for number in range(5):
        daemon.call("event", event="request_arrived", key=f"k{number}")
    daemon.kill()
    disk.fill()
    with pytest.raises(StartFailedError, match="exit 75") as failed:
        daemon.again()
    assert "new-store" not in str(failed.value)
    disk.free()
    assert daemon.again().call("status")["wrapper_event_seq"] == 5


def test_a_backup_that_finds_no_room_fails_and_gives_back_what_it_took(disk: SmallDisk) -> None:
    RunningDaemon.start(disk.home, settings()).stop()
    age(disk.home, old=0, young=3000)
    store_bytes = (disk.home / "torpor.db").stat().st_size
    daemon = RunningDaemon.start(disk.home)
    disk.fill(but_bytes=store_bytes // 2)
    daemon.call("event", event="force_sleep")
    assert daemon.wait_gone() == 0  # the cycle has failed, and blocks nothing
    assert disk.free_bytes > store_bytes // 4
    world = assert_whole(disk.home)
    assert (world.lifecycle.state.value, world.process.ended) == ("HIBERNATION", True)
    assert world.cycle.failed_step == "backup"
    following = daemon.again()
    last = following.call("status")["sleep"]["last_cycle"]
    assert (last["outcome"], last["step"]) == ("failed", "backup")
    assert "full" in last["error"]
