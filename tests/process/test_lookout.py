"""The daemon's look at its home: what keeps it from watching is got over, and nothing is missed meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.disk import SmallDisk
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop
from waiting import until

OFTEN = {"torpord.shell.lookout:RETRY_S": 0.2}


def told(daemon: RunningDaemon, event: str) -> bool:
    return any(line.get("event") == event for line in daemon.log_lines())


def seq(daemon: RunningDaemon) -> int:
    return int(daemon.call("status")["wrapper_event_seq"])


@pytest.mark.skipif(sys.platform != "linux", reason="it is inotify that is made to fail")
def test_a_folder_that_came_back_and_cannot_be_watched_ends_nothing(home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, settings(), launcher=Trap(short_dir / "trap", constants=OFTEN).launcher)
    (home / "wake.d").rmdir()
    (home / "wake.d").symlink_to("wake.d")  # ELOOP, also for root
    # By the watch that is lost, or by the first look, where the folder went before there was a watch.
    until(lambda: told(daemon, "cannot_watch") or told(daemon, "cannot_look"), what="a look now and then")
    (home / "wake.signal").touch()
    until(lambda: seq(daemon) == 1, what="the signal to be taken")
    (home / "wake.d").unlink()
    drop(home, "one.json")
    until(lambda: seq(daemon) == 2, what="the file to be taken")
    assert daemon.stop() == 0


def test_who_lost_its_socket_goes_also_while_the_disk_is_full(disk: SmallDisk, short_dir: Path) -> None:
    """Nobody could reach it, and its home would be taken for as long as it stays."""
    trap = Trap(short_dir / "trap", constants=OFTEN)
    daemon = RunningDaemon.start(disk.home, settings(), launcher=trap.launcher)
    disk.fill()
    with daemon.connect() as client:
        until(lambda: "error" in client.ask("event", event="request_arrived"), what="a disk that takes nothing")
        (disk.home / "wake.signal").touch()
        (disk.home / "torpor.sock").unlink()
    daemon.wait_gone(20)
    assert told(daemon, "socket_gone")
