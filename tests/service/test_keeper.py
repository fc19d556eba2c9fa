"""The keeper of the system's manager: a user has her own torpor's timer and units by it, and nobody else's or more."""

from __future__ import annotations

import json
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import pytest

from service.seat import USER, Seat
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.box import Box

KEEPER = f"torpord-keeper@{USER}.socket"
TIMER = f"torpord@{USER}.timer"
# Says each of the words on a connection of its own, and returns what came until its end.
ASK = """
import json, socket, sys
path, *words = json.loads(sys.argv[1])
def ask(word):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        try:
            sock.connect(path)
            sock.sendall(word.encode() * (2**20 if word == "endless" else 1))
            with sock.makefile("rb") as answer:
                return answer.read().decode()
        except OSError as error:
            return type(error).__name__
print(json.dumps([ask(word) for word in words]))
"""
# As many at once as it is told, none of which says a word; how many were turned away before the first was answered.
CROWD = """
import select, socket, sys
path, count = sys.argv[1], int(sys.argv[2])
crowd = [socket.socket(socket.AF_UNIX) for _ in range(count)]
for sock in crowd:
    sock.connect(path)
turned_away = 0
while turned_away < count - 4:
    ready, _, _ = select.select(crowd, [], [], 10)
    assert ready, turned_away
    for sock in ready:
        crowd.remove(sock)
        turned_away += 1
print(turned_away)
"""


def run(box: Box, script: str, *words: str, user: str) -> str:
    """Run a script in the box, as one of its users."""
    return box.run(sys.executable, "-ISc", script, *words, user=user)


def ask(box: Box, *words: str, user: str = USER, keeper: str = USER) -> list[str]:
    """Say these to a keeper, one after the other."""
    told = json.dumps([f"/run/torpord-keeper/{keeper}", *words])
    answers: list[str] = json.loads(run(box, ASK, told, user=user))
    return answers


def add_user(box: Box, name: str, uid: int) -> None:
    script = 'printf \'%s:x:%s:%s::/:/bin/sh\\n\' "$@" >> /etc/passwd; printf \'%s:x:%s:\\n\' "$1" "$2" >> /etc/group'
    box.run("sh", "-ec", script, "-", name, str(uid), str(uid))


def armed(answer: str) -> str:
    """Return the time for which a timer is armed by the answer of a keeper, "" for none."""
    *shown, last = answer.splitlines()
    assert last == "ok", answer
    told = dict(line.split("=", 1) for line in shown)
    return told["NextElapseUSecRealtime"] if told["ActiveState"] == "active" else ""


def as_shown(at_ts: int) -> str:
    return time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ts))


@pytest.fixture
def seat(box: Box) -> Iterator[Seat]:
    """The place of a daemon in the system's manager, and its keeper."""
    box.systemctl("start", KEEPER)
    made = Seat(box, "system")
    made.open()
    yield made
    box.systemctl("stop", KEEPER, TIMER, check=False)
    made.close()


def test_a_wake_is_armed_and_another_takes_its_place(seat: Seat) -> None:
    later, sooner = int(time.time()) + 7200, int(time.time()) + 3600
    first, second, shown = ask(seat.box, f"arm {later}\n", f"arm {sooner}\n", "show\n")
    assert (armed(first), armed(second), armed(shown)) == (as_shown(later), as_shown(sooner), as_shown(sooner))
    assert seat.show(TIMER, "Triggers", "PartOf") == {
        "Triggers": f"torpord@{USER}.service", "PartOf": f"torpord@{USER}.socket"
    }  # fmt: skip
    gone, again = ask(seat.box, "disarm\n", "disarm\n")
    assert armed(gone) == armed(again) == ""
    assert seat.show(TIMER, "LoadState") == {"LoadState": "not-found"}


def test_a_wake_in_the_past_is_not_armed_and_the_answer_shows_it(seat: Seat) -> None:
    (answer,) = ask(seat.box, "arm 1000000000\n")
    assert armed(answer) == ""


BAD = {
    "bad: no time": [
        "arm", "arm ", "arm -1", "arm 12", "arm 123456789012", "arm *", "arm 1900000000x", "arm 1900000000 x",
        "arm $(touch /tmp/made)", "arm 1900000000;touch /tmp/made", "arm `touch /tmp/made`", "arm @1900000000",
        "arm 1900000000 --property=User=root",
    ],
    "bad: no such word": [
        "", "ARM 1900000000", "arm\t1900000000", "show; touch /tmp/made", "$(touch /tmp/made)", "*", "--help", "'", '"',
        "\\", "\x01show", "stop\r", "x" * 4000,
    ],
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_what_is_not_a_word_of_its_own_does_nothing(seat: Seat, why: str) -> None:
    answers = ask(seat.box, *(word + "\n" for word in BAD[why]))
    assert dict(zip(BAD[why], answers, strict=True)) == dict.fromkeys(BAD[why], why + "\n")
    assert not pathlib.Path(seat.box.path("/tmp/made")).exists()
    assert seat.show(TIMER, "LoadState") == {"LoadState": "not-found"}
    assert seat.show("torpord.socket", "ActiveState") == {"ActiveState": "active"}


def test_its_user_stops_and_starts_what_is_hers_without_being_root(seat: Seat) -> None:
    seat.caller.look("status")
    ask(seat.box, f"arm {int(time.time()) + 3600}\n", "stop\n")
    doors = ("torpord.socket", "torpord.path", "torpord.service", "torpord-boot.timer")
    for unit in doors:
        seat.wait(unit, ActiveState="inactive")
    assert seat.show(TIMER, "LoadState") == {"LoadState": "not-found"}
    seat.place("wake.at", "2026-01-01T00:00:00Z\n")
    ask(seat.box, "start\n")
    for unit in doors:
        seat.wait(unit, ActiveState="active")


def test_root_there_has_its_own_units_and_not_the_users(seat: Seat) -> None:
    """Whose they are is the kernel's word on who has connected, not which door it was."""
    assert "ok\n" in ask(seat.box, "stop\n", user="root")[0]
    assert seat.systemctl("list-jobs").startswith("No jobs")
    assert seat.show("torpord.socket", "ActiveState") == {"ActiveState": "active"}


def test_another_user_cannot_speak_to_it(seat: Seat) -> None:
    add_user(seat.box, "eve", 1600)
    assert ask(seat.box, "show\n", user="eve") == ["PermissionError"]


def test_a_crowd_and_who_says_nothing_or_too_much_keep_nobody_out(seat: Seat) -> None:
    seat.box.write("/etc/systemd/system/torpord-keeper@.service.d/test.conf", "[Service]\nRuntimeMaxSec=500ms\n")
    seat.systemctl("daemon-reload")
    try:
        assert run(seat.box, CROWD, f"/run/torpord-keeper/{USER}", "60", user=USER) == "56\n"
        until(lambda: seat.show(KEEPER, "NConnections") == {"NConnections": "0"}, what="the silent ones gone")
        # A megabyte and no end of the line, and then no more than the half of a word.
        assert ask(seat.box, "endless")[0] in ("", "BrokenPipeError", "ConnectionResetError")
        assert ask(seat.box, "sho")[0] == ""
        seat.box.run("rm", "-r", "/etc/systemd/system/torpord-keeper@.service.d")
        seat.systemctl("daemon-reload")
        assert armed(ask(seat.box, "show\n")[0]) == ""
        assert seat.show(KEEPER, "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}
        assert seat.systemctl("list-units", "--all", "--plain", "--no-legend", "torpord-keeper@*.service") == ""
    finally:
        seat.box.run("rm", "-rf", "/etc/systemd/system/torpord-keeper@.service.d")
        seat.systemctl("daemon-reload")


@pytest.mark.parametrize(("name", "uid"), [("a-b", 1601), ("c.d_e", 1602), ("dom\\x", 1603)])
def test_the_unit_has_the_users_name_as_it_is(seat: Seat, name: str, uid: int) -> None:
    add_user(seat.box, name, uid)
    seat.box.systemctl("start", f"torpord-keeper@{name}.socket")
    at_ts = int(time.time()) + 3600
    (answer,) = ask(seat.box, f"arm {at_ts}\n", user=name, keeper=name)
    assert armed(answer) == as_shown(at_ts)
    assert seat.show(f"torpord@{name}.timer", "ActiveState") == {"ActiveState": "active"}
    seat.box.systemctl("stop", f"torpord@{name}.timer", f"torpord-keeper@{name}.socket")
