"""Links that somebody planted in a home: what they lead to stays as it is; the daemon lives, or says what to mend."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon_process import RunningDaemon, StartFailedError
from process.handed import manager
from process.reading import assert_whole, state_file
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop, drop_text, left
from waiting import until

PRECIOUS = b"precious\n"
SETTINGS = settings('[sleep]\nmin_interval = "0s"')
# What a daemon makes, replaces or takes away: a name of its own each, so whatever lies there is only in the way.
TAKEN = [
    "lifecycle_state.json",
    "starts.json",
    "stopped",
    "wake.at",
    "wake.signal",
    "wake.d/x.json",
    "tmp/lifecycle_state.json",
    "tmp/starts.json",
    "tmp/wake.at",
]
# What it cannot do without, and may not believe: the exit status, and what it says besides the path.
REFUSED = {
    ("torpor.lock", "symlink"): (78, "is a symlink"),
    ("torpor.sock", "symlink"): (78, "is taken by something else"),
    ("torpor.sock", "hard link"): (78, "is taken by something else"),
    ("wake.d", "symlink"): (78, "is a symlink"),
    ("wake.rejected", "symlink to a folder"): (78, "is a symlink"),
    ("tmp", "symlink to a folder"): (78, "is a symlink"),
    ("torpor.db", "symlink"): (65, "file is not a database"),
    ("torpor.db", "hard link"): (65, "file is not a database"),
    ("torpor.db", "symlink to a folder"): (65, "is not a file"),
    ("torpor.db", "symlink to nothing"): (65, "is not a file"),  # yet: on a disk that is not mounted, say
    ("torpor.db", "named pipe"): (65, "is not a file"),
    ("torpor.db-wal", "symlink"): (65, "torpor.db is gone"),
}


@dataclass(frozen=True, slots=True)
class Planted:
    """Something that lies elsewhere, and has a second name in the home."""

    target: Path

    def is_as_it_was(self) -> bool:
        if self.target.is_dir():
            return [path.name for path in self.target.iterdir()] == ["precious"]
        found = self.target.stat()
        return self.target.read_bytes() == PRECIOUS and stat.S_IMODE(found.st_mode) == 0o640


def plant(path: Path, how: str, outside: Path) -> Planted:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    target = outside / path.name
    outside.mkdir(exist_ok=True)
    if how == "symlink to a folder":
        target.mkdir()
        (target / "precious").touch()
        path.symlink_to(target)
        return Planted(target)
    target.write_bytes(PRECIOUS)
    target.chmod(0o640)
    match how:
        case "symlink to nothing":
            path.symlink_to(outside / "not there")
        case "symlink":
            path.symlink_to(target)
        case "hard link":
            path.hardlink_to(target)
        case "named pipe":
            os.mkfifo(path)
    return Planted(target)


@pytest.mark.parametrize("how", ["symlink", "hard link", "symlink to a folder"])
def test_what_is_in_the_way_goes_and_what_it_led_to_stays(how: str, home: Path, short_dir: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "tmp").mkdir(mode=0o700)
    (home / "wake.d").mkdir(mode=0o700)
    planted = {name: plant(home / name, how, short_dir / name.replace("/", "-")) for name in TAKEN}
    daemon = RunningDaemon.start(home, SETTINGS)
    drop(home, "y.json")
    until(lambda: left(home) == [], what="the files to be taken")
    assert daemon.call("status")["wrapper_event_seq"] == 2  # the signal's, and that of the file that is one
    daemon.call("hibernate")  # with a sleep cycle
    assert daemon.wait_gone() == 0
    assert state_file(home)["reason"] == "hibernate"
    daemon = daemon.again()
    assert state_file(home)["current_state"] == "WAKE"
    stopped = plant(home / "stopped", how, short_dir / "again")
    daemon.call("stop")
    assert daemon.wait_gone() == 0
    assert [name for name, each in planted.items() if not each.is_as_it_was()] == []
    assert stopped.is_as_it_was()
    assert (home / "stopped").read_bytes() != PRECIOUS
    assert {path.name for path in (home / "wake.rejected").iterdir()} == {"x.json", "x.json.why"}
    assert not [line for line in daemon.log_lines() if "exception" in line]
    assert_whole(home)


@pytest.mark.parametrize(("name", "how"), REFUSED)
def test_what_it_cannot_do_without_is_refused(name: str, how: str, home: Path, short_dir: Path) -> None:
    home.mkdir(mode=0o700)
    planted = plant(home / name, how, short_dir / "outside")
    status, words = REFUSED[name, how]
    with pytest.raises(StartFailedError) as refused:
        RunningDaemon.start(home, SETTINGS)
    said = str(refused.value)
    assert re.match(rf"exit {status}: torpord: .*{re.escape(str(home))}", said), said
    assert words in said
    assert said.count("\n") <= 1, "more than a line"
    assert planted.is_as_it_was()


def test_a_lock_with_a_second_name_is_held_and_not_written(home: Path, short_dir: Path) -> None:
    home.mkdir(mode=0o700)
    planted = plant(home / "torpor.lock", "hard link", short_dir / "outside")
    daemon = RunningDaemon.start(home, SETTINGS)
    second = RunningDaemon.start(home, wait=False)
    assert second.wait_gone() == 75
    assert daemon.stop() == 0
    assert planted.is_as_it_was()


def test_a_folder_for_backups_may_lie_elsewhere(home: Path, short_dir: Path) -> None:
    """On another disk, say. What else lies there stays."""
    home.mkdir(mode=0o700)
    planted = plant(home / "backups", "symlink to a folder", short_dir / "outside")
    daemon = RunningDaemon.start(home, SETTINGS)
    daemon.call("hibernate")
    assert daemon.wait_gone() == 0
    names = sorted(path.name for path in planted.target.iterdir())
    assert (names[0], len(names)) == ("precious", 2)


def test_a_link_in_the_place_of_the_folder_is_not_followed_by_a_daemon_that_is_up(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.lookout:RETRY_S": 0.2})
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    (home / "wake.d").rmdir()
    (home / "wake.d").symlink_to(home)
    until(lambda: any(line.get("event") == "cannot_look" for line in daemon.log_lines()), what="a word of it")
    assert list((home / "wake.rejected").iterdir()) == []
    assert daemon.call("event", event="request_arrived")["state"] == "WAKE"
    (home / "wake.d").unlink()
    (home / "wake.d").mkdir(0o700)
    drop(home, "after.json")
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 2, what="the file to be taken")
    assert daemon.stop() == 0
    assert_whole(home)


def test_nor_is_one_in_the_place_of_the_folder_of_what_was_refused(home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    (home / "wake.rejected").rmdir()
    planted = plant(home / "wake.rejected", "symlink to a folder", short_dir / "outside")
    drop_text(home, "x.json", "no request")
    drop(home, "good.json")
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 1, what="the good one to be taken")
    told = [line for line in daemon.log_lines() if line.get("event") == "file_stuck"]
    assert "wake.rejected is a symlink" in told[0]["error"]
    assert planted.is_as_it_was()
    (home / "wake.rejected").unlink()
    assert daemon.stop() == 0
    assert_whole(home)


def test_nor_one_in_the_place_of_its_reason(home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    planted = plant(home / "wake.rejected" / "x.json.why", "symlink", short_dir / "outside")
    drop_text(home, "x.json", "no request")
    until((home / "wake.rejected" / "x.json").exists, what="the file to be put aside")
    assert daemon.stop() == 0
    assert planted.is_as_it_was()
    assert "it is not JSON" in (home / "wake.rejected" / "x.json.why").read_text()


def removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # a draft is in it
        return False
    return True


def test_nor_one_in_the_place_of_the_folder_of_drafts(home: Path, short_dir: Path) -> None:
    """Neither by what is written there, nor by a worker, nor by what sweeps it at a start that is refused."""
    flow = '[flows.one]\n[[flows.one.steps]]\nname = "only"\ncommand = "true"'
    daemon = RunningDaemon.start(home, settings(flow))
    until((home / "lifecycle_state.json").exists, what="what a start writes")
    until(lambda: removed(home / "tmp"), what="a moment in which nothing is written")
    planted = plant(home / "tmp", "symlink to a folder", short_dir / "outside")
    os.utime(planted.target / "precious", (1, 1))
    run_id = daemon.call("run.start", flow="one")["run_id"]
    daemon.call("wait", run_id=run_id, status="failed", timeout_s=20)
    (home / "lifecycle_state.json").unlink()  # no write from before is under way any more
    assert "tmp is a symlink" in str(daemon.call("run.get", run_id=run_id)["run"])
    assert daemon.stop() == 0
    assert planted.is_as_it_was()
    with manager(home) as holds, holds.start(settings(flow)) as again:
        assert again.call("status")["safe_mode"]["reason"].count("is a symlink")
    assert planted.is_as_it_was()
    assert not (home / "lifecycle_state.json").exists()
