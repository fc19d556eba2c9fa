"""`lifecycle_state.json` is derived: whatever happens to it, it is written anew, and nothing is lost."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.disk import SmallDisk
from process.reading import state_file
from process.timers import settings
from process.trap import Trap
from waiting import until

FIELDS = {
    "schema_version",
    "current_state",
    "since_ts",
    "last_activity_ts",
    "wrapper_event_seq",
    "sleep_cycle_progress",
    "quarantine",
    "shadow_run",
    "generation",
    "pid",
    "reason",
    "next_wake_ts",
    "supervisor",
    "version",
    "start_cause",
    "manager",
    "unit",
    "wake_armed",
    "ways_back",
    "safe_mode",
}


def delete(path: Path) -> None:
    path.unlink()


def corrupt(path: Path) -> None:
    path.write_text('{"schema_version": 1, "current_st')


def empty(path: Path) -> None:
    path.write_text("")


def replace_by_a_file(path: Path) -> None:
    other = path.with_name("other.json")
    other.write_text("{}")
    other.replace(path)


def replace_by_a_symlink(path: Path) -> None:
    victim = path.with_name("victim")
    victim.write_text("untouched")
    link = path.with_name("link")
    link.symlink_to(victim)
    link.replace(path)


HARMS = [delete, corrupt, empty, replace_by_a_file, replace_by_a_symlink]


def is_true(home: Path, daemon: RunningDaemon, state: str = "WAKE") -> bool:
    """Whether the file is a private plain file and says what is."""
    path = home / "lifecycle_state.json"
    try:
        found, body = path.lstat(), state_file(home)
    except (FileNotFoundError, ValueError):
        return False
    if not stat.S_ISREG(found.st_mode) or not body.keys() >= FIELDS:
        return False
    assert stat.S_IMODE(found.st_mode) == 0o600
    return (body["current_state"], body["pid"]) == (state, daemon.pid)


@pytest.mark.parametrize("harm", HARMS)
def test_it_is_written_anew_while_the_daemon_is_up(harm: Callable[[Path], None], home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    harm(home / "lifecycle_state.json")
    until(lambda: is_true(home, daemon), limit_s=3, what="a true file")
    if harm is replace_by_a_symlink:
        assert (home / "victim").read_text() == "untouched"


@pytest.mark.parametrize("harm", HARMS)
def test_it_is_written_anew_at_the_start(harm: Callable[[Path], None], home: Path) -> None:
    first = RunningDaemon.start(home, settings())
    for number in range(5):
        first.call("event", event="request_arrived", key=f"k{number}")
    first.kill()
    harm(home / "lifecycle_state.json")
    daemon = first.again()
    assert is_true(home, daemon)
    assert state_file(home)["wrapper_event_seq"] == 5
    assert daemon.call("status")["wrapper_event_seq"] == 5


def test_each_transition_is_in_it_at_once_and_the_exit_says_that_nobody_is_there(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(min_up="1h"))
    daemon.call("event", event="force_sleep")
    until(lambda: is_true(home, daemon, "SLEEP"), limit_s=2, what="SLEEP in the file")
    daemon.call("event", event="wake_signal")
    until(lambda: is_true(home, daemon, "WAKE"), limit_s=2, what="WAKE in the file")
    daemon.stop()
    last = state_file(home)
    assert (last["current_state"], last["pid"], last["reason"]) == ("WAKE", None, "signal")


def became_a_directory(path: Path) -> bool:
    """Put a directory in its place; the daemon may be there first, with a new file."""
    path.unlink()
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def test_where_it_cannot_be_written_the_daemon_says_so_and_lives_on(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(min_up="1h"))
    path = home / "lifecycle_state.json"
    until(lambda: became_a_directory(path), what="to be quicker than the daemon")
    until(lambda: any(line.get("event") == "state_file_not_written" for line in daemon.log_lines()))
    daemon.call("event", event="force_sleep")
    assert daemon.call("status")["state"] == "SLEEP"
    path.rmdir()
    until(lambda: is_true(home, daemon, "SLEEP"), what="the file")
    assert daemon.stop() == 0


def test_on_a_full_disk_the_old_one_stays_whole(disk: SmallDisk, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.statefile:ACTIVITY_S": 0.5})
    daemon = RunningDaemon.start(disk.home, settings(), launcher=trap.launcher)
    before = state_file(disk.home)
    daemon.call("event", event="request_arrived")  # to be written within half a second
    disk.fill()
    until(lambda: any(line.get("event") == "state_file_not_written" for line in daemon.log_lines()))
    assert state_file(disk.home) == before
    disk.free()
    until(lambda: state_file(disk.home)["wrapper_event_seq"] == 1, what="a file that is true again")
