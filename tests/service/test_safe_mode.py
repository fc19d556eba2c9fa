"""Safe mode under a real service manager: the door stays open, and one start is enough."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from service.caller import Refused
from service.seat import SCRIPT, USER, mend
from waiting import until

if TYPE_CHECKING:
    from service.seat import Seat

GOOD = '[lifecycle]\nmin_up = "100ms"\n'
QUICK = "[Service]\nRestartSec=50ms\n"
# Dies of each file that is left for it, and of nothing else.
POISONED = SCRIPT.replace(
    "from torpord.cli import main\n",
    "from torpord import points\n"
    "import os\n"
    "points.hook = lambda name: os.kill(os.getpid(), 9) if name == 'spool.applied' else None\n"
    "from torpord.cli import main\n",
)


def safe(seat: Seat) -> dict[str, Any] | None:
    told: dict[str, Any] | None = seat.caller.look("status")["safe_mode"]
    return told


def test_bad_settings_close_nothing_and_mended_they_are_in_force(seat: Seat) -> None:
    seat.place("torpor.toml", "colour = 'blue'\n")
    told = safe(seat)
    assert told is not None
    assert "colour" in told["reason"]
    pid = seat.main_pid()
    with pytest.raises(Refused, match="torpor is in safe mode"):
        seat.caller.event()
    seat.place("wake.signal")
    assert safe(seat) is not None
    assert seat.has("wake.signal"), "what was left for it stays"
    assert (seat.main_pid(), seat.show("torpord.service", "NRestarts")) == (pid, {"NRestarts": "0"})
    seat.place("torpor.toml", GOOD)
    until(lambda: safe(seat) is None, what="the next start")
    seat.wait("torpord.service", ActiveState="active", NRestarts="0", MainPID=str(pid))
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")
    seat.hibernate()


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_a_store_that_cannot_be_read_closes_nothing(seat: Seat) -> None:
    seat.caller.event()
    seat.hibernate()
    store = shlex.quote(f"{seat.home}/torpor.db")
    seat.box.run("sh", "-ec", f"cp {store} {store}.kept; echo rubbish > {store}", user=USER)
    told = safe(seat)
    assert told is not None
    assert "torpor.db" in told["reason"]
    pid = seat.main_pid()
    seat.box.run("sh", "-ec", f"mv {store}.kept {store}", user=USER)
    until(lambda: safe(seat) is None, what="the next start")
    assert seat.main_pid() == pid
    assert seat.caller.look("status")["generation"] == 2
    seat.hibernate()


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_a_file_that_kills_is_named_and_the_door_stays_open(seat: Seat) -> None:
    seat.drop_in(QUICK)
    mend(seat.box, POISONED)
    request = {"method": "event", "params": {"event": "request_arrived", "key": "poison"}}
    seat.place("wake.d/poison.json", json.dumps(request))
    until(lambda: seat.has("starts.json") and len(json.loads(seat.read("starts.json"))["starts"]) >= 6, limit_s=20)
    told = safe(seat)
    assert told is not None
    assert "died 5 times in a row" in told["reason"]
    assert told["suspect"] == "wake.d/poison.json"
    assert seat.has("wake.d/poison.json")
    for kind in ("socket", "path"):
        assert seat.show(f"torpord.{kind}", "ActiveState") == {"ActiveState": "active"}
    seat.box.run("rm", f"{seat.home}/wake.d/poison.json")
    assert seat.caller.ask("reload") == {"leaving": True, "changed": []}
    until(lambda: safe(seat) is None, what="the next start")
    assert seat.caller.event()["state"] == "WAKE"
    seat.hibernate()


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_it_is_watched_and_stopped_like_any_other(seat: Seat) -> None:
    seat.drop_in(QUICK + "WatchdogSec=1s\n")
    seat.place("torpor.toml", "colour = 'blue'\n")
    assert safe(seat) is not None
    told = seat.show("torpord.service", "WatchdogTimestampMonotonic")
    until(lambda: seat.show("torpord.service", "WatchdogTimestampMonotonic") != told, what="a sign of life")
    assert seat.show("torpord.service", "StatusText")["StatusText"].startswith("safe mode: ")
    seat.systemctl("stop", "torpord.socket", "torpord.path", "torpord.service")
    seat.wait("torpord.service", ActiveState="inactive", Result="success")
