"""What the doctor makes of the ways back, of what is planned, and of what the daemon says of itself: by table."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor
from torpor import AsyncClient, Client, errors
from torpor.doctor import clocks, stored, subject, ways
from torpor.doctor.clocks import Around, Versions, judge_around
from torpor.doctor.places import HomeFacts, SocketPathFacts, judge_home, judge_socket_path
from torpor.doctor.ways import PlannedFacts, WaysFacts

if TYPE_CHECKING:
    import pathlib

NOW_S = 1_795_284_000.0  # 2026-11-21 18:00:00 UTC
MANAGED = ways.of_kind(managed=True)
PLANNED = PlannedFacts(
    up=False,
    managed=True,
    wanted="2026-11-21T19:00:00.250+00:00",
    file="2026-11-21T19:00:00.250+00:00",
    timer="2026-11-21T19:00:01Z",
    unit="torpord.timer",
    can_clear=True,
    wall_s=NOW_S,
)


def proof(ts: str = "2026-11-21T17:58:00.000+00:00", version: str = "1", took_s: float | None = None) -> dict[str, Any]:
    return {"ts": ts, "version": version, "took_s": took_s, "how": "seen"}


def test_ways_that_were_all_seen_to_work_by_this_version_are_fine() -> None:
    row = ways.judge_ways(WaysFacts(MANAGED, {way: proof(took_s=0.314) for way in MANAGED}, "1", NOW_S))
    assert (row.severity, row.mend) == ("ok", None)
    assert row.found.startswith("connect 2m ago (took 0.31 s), wake.signal 2m ago")


@pytest.mark.parametrize(
    ("proven", "found", "means"),
    [
        ({}, "connect never, wake.signal never, wake.d never, timer never", "nobody knows"),
        ({way: proof() for way in MANAGED[:3]}, "timer never", "nobody knows"),
        ({way: proof(version="0") for way in MANAGED}, "timer 2m ago", "another version than this 1"),
        ({way: proof(ts="") for way in MANAGED[:3]}, "connect at an unknown time", "nobody knows"),
    ],
)
def test_a_way_that_was_not_seen_to_work_is_worth_a_test(proven: dict[str, Any], found: str, means: str) -> None:
    row = ways.judge_ways(WaysFacts(MANAGED, proven, "1", NOW_S))
    assert (row.severity, row.mend) == ("note", "torpor doctor wake-test")
    assert found in row.found
    assert means in row.means


def test_where_nobody_has_told_of_ways_that_is_said() -> None:
    row = ways.judge_ways(WaysFacts(("spawn",), None, "1", NOW_S))
    assert (row.severity, row.mend) == ("note", None)
    assert "not looked at" in row.found


@pytest.mark.parametrize("up", [False, True])
def test_three_that_agree_are_fine(*, up: bool) -> None:
    row = ways.judge_planned(replace(PLANNED, up=up))
    assert row.severity == "ok"
    assert "wake.at and torpord.timer agree" in row.found


@pytest.mark.parametrize(
    ("changes", "severity", "found", "mend"),
    [
        ({"timer": ""}, "finding", "torpord.timer is not there", "torpor wake"),
        ({"timer": "2026-11-21T20:00:00Z"}, "finding", "torpord.timer is for 2026-11-21T20:00:00Z", "torpor wake"),
        ({"timer": "", "up": True}, "finding", "torpord.timer is not there", "torpor restart"),
        ({"file": ""}, "finding", "wake.at says nothing", "torpor wake"),
        ({"file": "no time"}, "finding", "wake.at says no time", "torpor wake"),
        ({"timer": None}, "note", "the timer was not looked at", None),
        ({"up": True, "problem": "it is full"}, "finding", "it is full", "torpor log --kind wake_not_armed -n 1"),
        ({"up": True, "being_set": True, "timer": ""}, "note", "is just being set", None),
        ({"wall_s": NOW_S + 7200}, "finding", "that was 1h ago", "torpor wake"),
        ({"stopped": True, "file": "", "timer": ""}, "note", "it was told to stay down", "torpor start"),
        ({"managed": False, "file": "", "timer": None}, "note", "no service manager", None),
        ({"managed": False, "file": "", "timer": None, "install": "do"}, "note", "no service manager", "do"),
        (
            {"wanted": ""},
            "finding",
            "wake.at says 2026-11-21T19:00:00.250+00:00 and torpord.timer rings",
            "torpor wake",
        ),
        ({"wanted": "", "timer": None}, "finding", "wake.at says", "torpor wake"),
        ({"wanted": "", "file": "", "timer": ""}, "ok", "nothing", None),
        ({"wanted": "", "up": True}, "ok", "nothing", None),  # it is about to take them away
    ],
)
def test_what_is_planned_and_not_armed_is_found(
    changes: dict[str, Any], severity: str, found: str, mend: str | None
) -> None:
    row = ways.judge_planned(replace(PLANNED, **changes))
    assert (row.severity, row.mend) == (severity, mend), row
    assert found in row.found
    assert row.means or severity in ("ok", "note")


def test_what_would_start_it_for_nothing_is_taken_away_where_that_can_be() -> None:
    assert ways.judge_planned(replace(PLANNED, wanted="")).fix == "would"
    assert ways.judge_planned(replace(PLANNED, wanted="", can_clear=False)).fix is None
    assert ways.judge_planned(PLANNED).fix is None


def test_what_lies_there_for_nothing_is_removed(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "run", lambda _command, _limit_s: (0, "3"))
    (home / "wake.at").write_text("2026-11-21T19:00:00Z\n")
    found = subject.meet(str(home))
    assert ways.look_at_planned(found).file == "2026-11-21T19:00:00Z"
    (check,) = [check for check in ways.CHECKS if check.id == "planned"]
    assert check.fix is not None
    assert "removed wake.at" in check.fix(found)
    assert not (home / "wake.at").exists()


def test_the_daemons_own_environment_is_compared_by_its_word(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "run", lambda _command, _limit_s: (0, "3"))
    own = {"HOME": "/h/ann", "TZ": "Asia/Tokyo", "TORPOR_SOCKET": str(home / "other.sock")}

    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            told = dict(RESULTS[request["method"]])
            if request["method"] == "doctor":
                told["environ"] = own
            visitor.answer(request, {**told, "home": str(home)} if request["method"] == "status" else told)

    with FakeDaemon(home, scene):
        found = subject.meet(str(home))
    around = clocks.look_around(found, {"HOME": "/h/ann"})
    assert around.daemon_socket == str(home / "other.sock")
    assert around.differs == ("TZ Asia/Tokyo, and here not set",)
    assert clocks.judge_around(around).severity == "finding"
    row = clocks.judge_around(replace(around, daemon_socket=around.socket))
    assert (row.severity, "TZ Asia/Tokyo" in row.found) == ("note", True)


def test_an_environment_that_says_the_same_is_fine() -> None:
    assert clocks.judge_around(Around("/h", "/h/s", "/h", "/h/s", "", "")).severity == "ok"


@pytest.mark.parametrize(("installed", "found"), [("2", "2 is installed there"), (None, "is gone")])
def test_a_package_that_was_replaced_under_a_daemon_is_found(installed: str | None, found: str) -> None:
    row = clocks.judge_versions(Versions("1", "1", (), installed, changed=True))
    assert (row.severity, row.mend, found in row.found) == ("finding", "torpor restart", True)


def test_an_older_torpor_is_not_told_to_replace_a_newer_daemon() -> None:
    row = clocks.judge_versions(Versions("0.10.0", "0.9.1", ()))
    assert (row.severity, row.mend) == ("finding", f"{sys.executable} -m pip install torpor==0.10.0")
    assert clocks.judge_versions(Versions("0.9.1", "0.10.0", ())).mend == "torpor restart"
    assert clocks.judge_versions(Versions("1.0rc1", "1.0", ())).mend == "torpor restart"


def test_settings_that_the_daemon_was_given_elsewhere_are_judged_by_its_word() -> None:
    own = {"file": "/etc/t.toml", "problem": "/etc/t.toml: colour is no setting"}
    row = stored.judge_settings("/h/torpor.toml", (0, "good"), own)
    assert (row.severity, "colour" in row.found, "/etc/t.toml" in (row.mend or "")) == ("finding", True, True)
    assert stored.judge_settings("/h/torpor.toml", (0, "good"), {**own, "problem": None}).severity == "ok"


def test_an_older_daemon_that_knows_no_doctor_is_looked_at_all_the_same(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "run", lambda _command, _limit_s: (0, "3"))

    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            if request["method"] == "doctor":
                visitor.refuse(request["id"], "method_not_found")
            else:
                visitor.answer(request)

    with FakeDaemon(home, scene):
        found = subject.meet(str(home))
    assert (found.examined, found.status is None) == (None, False)
    assert ways.judge_ways(ways.look_at_ways(found)).severity == "note"


def test_a_socket_that_the_service_manager_holds_is_as_it_should_be() -> None:
    facts = SocketPathFacts("/h/s", "", up=False, mode=stat.S_IFSOCK | 0o600, problem="", is_heard=True)
    assert judge_socket_path(facts).severity == "note"
    assert judge_socket_path(replace(facts, is_managers=True)).severity == "ok"
    assert judge_socket_path(replace(facts, is_heard=False, is_managers=True)).fix == "would"


def test_root_is_told_whose_home_it_is_and_not_to_take_it() -> None:
    facts = HomeFacts("/h", 0, stat.S_IFDIR | 0o700, 1500)
    assert (judge_home(facts).severity, judge_home(facts).mend) == ("note", None)
    assert judge_home(replace(facts, me=7)).severity == "serious"
    assert judge_home(replace(facts, mode=stat.S_IFDIR | 0o755)).severity == "serious"


@pytest.mark.asyncio
async def test_both_clients_ask_for_what_only_the_daemon_knows_and_record_a_way(home: pathlib.Path) -> None:
    with FakeDaemon(home) as daemon:
        with Client(home) as client:
            assert client.doctor() == RESULTS["doctor"]
            assert client.way_proven("wake.d", 0.5)["took_s"] == 0.5
        async with AsyncClient(home) as other:
            assert await other.doctor() == RESULTS["doctor"]
            assert (await other.way_proven("wake.d"))["way"] == "wake.d"
    first, second = (each["params"] for each in daemon.requests if each["method"] == "way.proven")
    assert (first["took_s"], "took_s" in second, first["key"] != second["key"]) == (0.5, False, True)


def test_to_ask_wakes_nobody(home: pathlib.Path) -> None:
    with Client(home) as client, pytest.raises(errors.Down):
        client.doctor()


def test_a_place_with_a_blank_is_one_word_for_a_shell() -> None:
    facts = Around("/h", "/h/torpor.sock", "/a b", None, "", "")
    assert judge_around(facts).mend == "export TORPOR_HOME='/a b'"


def test_what_is_planned_without_a_service_manager_is_told_by_the_daemon_too(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "run", lambda _command, _limit_s: (0, "3"))

    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            more: dict[str, Any] = {"why": {"planned": {"wanted": None, "armed": None, "problem": None}}}
            more["status"] = {"next_wake_ts": "2026-12-24T10:00:00.000+00:00"}
            answer = RESULTS.get(request["method"], {})
            visitor.answer(request, {**answer, **more.get(request["method"], {})})

    with FakeDaemon(home, scene):
        found = ways.look_at_planned(subject.meet(str(home)))
    assert "no service manager" in ways.judge_planned(found).found
    assert ways.judge_planned(replace(found, install="")).mend is None
