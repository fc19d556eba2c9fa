"""A home that fails under a real service manager: who connects is told what is wrong, and nothing starts for ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from service.caller import Refused
from service.seat import SCRIPT, mend
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.seat import Seat

pytestmark = pytest.mark.parametrize("seat", ["user"], indirect=True)

QUICK = '[lifecycle]\nmin_up = "100ms"\ndrowsy_after = "100ms"\nsleep_after = "200ms"\nhibernate_grace = "100ms"\n'
# A disk that was full is tried again after a minute.
IMPATIENT = SCRIPT.replace(
    "from torpord.cli import main\n",
    "from torpord.shell import safe_mode\nsafe_mode.TRY_EVERY_S = 0.2\nfrom torpord.cli import main\n",
)


def safe(seat: Seat) -> dict[str, Any] | None:
    told: dict[str, Any] | None = seat.caller.look("status")["safe_mode"]
    return told


def is_sound(seat: Seat) -> bool:
    """Whether the door is open, and nothing was started a second time."""
    doors = all(
        seat.show(f"torpord.{kind}", "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}
        for kind in ("socket", "path")
    )
    return doors and seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}


@pytest.mark.parametrize("used", [True, False], ids=["used", "fresh"])
def test_a_home_mounted_read_only_is_told_to_who_connects(seat: Seat, used: bool) -> None:
    if used:
        seat.caller.event()
        seat.hibernate()
    seat.box.run("sh", "-ec", f"mount --bind {seat.home} {seat.home}; mount -o remount,bind,ro {seat.home}")
    try:
        told = safe(seat)
        assert told is not None
        assert f"{seat.home}/torpor.lock cannot be opened for writing (Read-only file system)" in told["reason"]
        with pytest.raises(Refused, match="torpor is in safe mode: the home takes no changes"):
            seat.caller.event()
        with pytest.raises(Refused, match=f"{seat.home} cannot be written; safe mode goes on"):
            seat.caller.ask("reload")
        assert is_sound(seat)
    finally:
        seat.box.run("umount", "--lazy", seat.home)
    pid = seat.main_pid()
    assert seat.caller.ask("reload") == {"leaving": True, "changed": []}
    until(lambda: safe(seat) is None, what="the next start")
    assert seat.caller.event()["state"] == "WAKE"
    assert (seat.main_pid(), seat.caller.look("status")["generation"]) == (pid, 2 if used else 1)


def test_a_wake_file_that_cannot_be_removed_keeps_it_up_and_is_named(seat: Seat) -> None:
    seat.place("torpor.toml", QUICK)
    hold = seat.caller.ask("hold.acquire", who="test", why="nothing is wrong yet", ttl_s=60)
    folder, pid = f"{seat.home}/wake.d", seat.main_pid()
    request = {"method": "event", "params": {"event": "request_arrived", "key": "once"}}
    seat.place("tmp/stays.json", json.dumps(request))
    seat.box.run("sh", "-ec", f"chown 0 {folder}; chmod 555 {folder}; mv {seat.home}/tmp/stays.json {folder}")
    seat.caller.ask("hold.release", hold_id=hold["hold_id"])
    wanted = (
        "stays.json cannot be removed (Permission denied): remove it, or what started the daemon starts it for ever"
    )
    until(lambda: wanted in str(seat.caller.look("why")["not_yet_because"]), what="a word of it")
    assert seat.caller.look("status")["state"] == "SLEEP"
    assert (seat.main_pid(), is_sound(seat)) == (pid, True)
    # The next start could not take it either, and says so instead of trying for ever.
    seat.systemctl("kill", "--kill-whom=main", "--signal=KILL", "torpord.service")
    seat.wait_another(pid)
    told = safe(seat)
    assert told is not None
    assert f"{folder} belongs to uid 0" in told["reason"]
    seat.box.run("sh", "-ec", f"chown ann {folder}; chmod 700 {folder}")
    seat.caller.ask("reload")
    until(lambda: safe(seat) is None, what="the next start")
    until(lambda: not seat.has("wake.d/stays.json"), what="the file taken")
    assert seat.show("torpord.path", "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}
    seat.wait_down()


@pytest.fixture
def small_disk(seat: Seat) -> Iterator[str]:
    """A home on a disk of its own, which is full: the path of what fills it."""
    mend(seat.box, IMPATIENT)
    seat.systemctl("stop", "torpord.socket", "torpord.path")
    seat.box.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=700,uid=1500,gid=1500", "home", seat.home)
    seat.open()
    ballast = f"{seat.home}/ballast"
    seat.box.run("sh", "-c", f"! cat /dev/zero > {ballast}")
    yield ballast
    seat.systemctl("stop", "torpord.socket", "torpord.path", "torpord.service")
    seat.box.run("umount", "--lazy", seat.home)


def test_a_disk_that_is_full_at_the_start_is_tried_again_by_itself(seat: Seat, small_disk: str) -> None:
    told = safe(seat)
    assert told is not None
    assert "No space left on device" in told["reason"] or "disk" in told["reason"], told
    assert is_sound(seat)
    seat.box.run("rm", small_disk)
    until(lambda: safe(seat) is None, what="a start that finds room")
    assert seat.caller.event()["state"] == "WAKE"
    assert is_sound(seat)
