"""What the test of the ways back makes of what it sees, without a daemon that goes anywhere."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor.doctor import trip, wake_test

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

IDLE = {"state": "WAKE", "awake_because": [], "next": None, "not_yet_because": []}
HOLD = {"kind": "hold", "who": "make", "why": "it builds"}


def saying(status: dict[str, Any], why: dict[str, Any] | None = None) -> Any:
    """Return a scene: a daemon of that status and those reasons."""
    answers = {
        "status": {**RESULTS["status"], "safe_mode": None, "ways_back": {}, **status},
        "why": {**IDLE, **(why or {})},
    }

    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            visitor.answer(request, answers.get(request["method"], RESULTS.get(request["method"], {})))

    return scene


@pytest.mark.parametrize(
    ("status", "why", "told"),
    [
        ({}, {"awake_because": [HOLD]}, "make: it builds"),
        ({}, {"not_yet_because": [{"kind": "forbidden", "who": "exit", "why": "a file is stuck"}]}, "a file is stuck"),
        ({}, {"not_yet_because": [{"kind": "sleep_cycle", "who": "housekeeping", "why": "it is at trim"}]}, "trim"),
        ({"shadow_run": True}, {}, "shadow_run"),
        ({"safe_mode": {"reason": "bad settings"}}, {}, "safe mode"),
    ],
)
def test_while_it_is_needed_nothing_is_forced(
    home: pathlib.Path, torpor: Torpor, status: dict[str, Any], why: dict[str, Any], told: str
) -> None:
    with FakeDaemon(home, *[saying(status, why)] * 4) as daemon:
        code, _, err = torpor("doctor", "wake-test")
    assert (code, told in err) == (75, True)
    assert "hibernate" not in daemon.methods()


def test_a_daemon_of_before_keeps_no_proof_and_is_not_sent_down_for_it(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home) as daemon:
        code, _, err = torpor("doctor", "wake-test")
    assert (code, "keeps no proof" in err) == (75, True)
    assert "hibernate" not in daemon.methods()


def test_what_is_left_of_the_last_use_keeps_nothing_from_going_down() -> None:
    used = {"kind": "activity", "who": "make", "why": "a moment ago"}
    status: Any = {"safe_mode": None, "shadow_run": False}
    why: Any = {**IDLE, "awake_because": [used], "not_yet_because": [{"kind": "grace", "who": "x", "why": "y"}]}
    assert trip.needs(status, why) == []


def test_after_torpor_stop_it_stays_down(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, current_state="WAKE", reason="stop")
    code, _, err = torpor("doctor", "wake-test")
    assert code == 75
    assert "torpor start" in err


@pytest.mark.parametrize(
    ("cause", "generation", "verdict"),
    [
        ("wake.d", 3, "proven"),
        ("wake.d", 4, "failed"),  # another start lies between
        ("connect", 3, "unclear"),
        ("spawn", 3, "unclear"),
        ("crash", 3, "failed"),
    ],
)
def test_a_way_is_proven_by_the_word_of_the_start_that_came_by_it(
    home: pathlib.Path, cause: str, generation: int, verdict: str
) -> None:
    with FakeDaemon(home, saying({"start_cause": cause, "generation": generation})):
        proof = wake_test.judged(str(home), "wake.d", 2, 0.25)
    assert (proof.verdict, proof.took_s) == (verdict, 0.25 if verdict == "proven" else None)
    assert cause in proof.found or verdict == "proven"


def test_where_somebody_else_is_quicker_it_is_tried_once_more(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def quicker(_home: str, way: str, _back_s: float) -> wake_test.Proof:
        tried.append(way)
        return wake_test.Proof(way, "unclear", "something else woke it: connect")

    monkeypatch.setattr(wake_test, "by_knock", quicker)
    with FakeDaemon(home, *[saying({"supervisor": "systemd"})] * 4) as daemon:
        code, out, _ = torpor("doctor", "wake-test", "--only", "wake.d")
    assert (code, tried) == (0, ["wake.d", "wake.d"])
    assert "unclear  wake.d       something else woke it: connect" in out
    assert "way.proven" not in daemon.methods()


def test_a_way_that_is_not_there_is_said_and_nothing_is_tried(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, *[saying({"supervisor": "none"})] * 4) as daemon:
        code, out, _ = torpor("doctor", "wake-test", "--only", "timer")
    assert (code, out) == (69, "absent   timer        not there: no service manager starts it\n")
    assert "hibernate" not in daemon.methods()


def test_in_a_home_of_somebody_else_nothing_is_done(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_test, "is_ours", lambda _home: False)
    code, _, err = torpor("doctor", "wake-test")
    assert (code, str(home) in err) == (77, True)


def test_two_tests_at_once_do_not_wake_what_the_other_sends_down(home: pathlib.Path, torpor: Torpor) -> None:
    with wake_test.alone(str(home)), FakeDaemon(home, *[saying({})] * 4) as daemon:
        code, _, err = torpor("doctor", "wake-test")
    assert (code, "another test" in err) == (75, True)
    assert daemon.methods() == []


def test_one_that_stays_up_for_long_whatever_is_asked_is_not_waited_for(home: pathlib.Path, torpor: Torpor) -> None:
    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            told = RESULTS.get(request["method"], {})
            if request["method"] == "log":
                told = {"records": [{"kind": "started", "data": {"policy": {"min_up_s": 3605.0}}}], "next": 1}
            more = {**IDLE} if request["method"] == "why" else {"ways_back": {}}
            visitor.answer(request, {**told, **more, "safe_mode": None})

    with FakeDaemon(home, *[scene] * 4) as daemon:
        code, _, err = torpor("doctor", "wake-test")
    assert (code, "another 1h" in err, "min_up" in err) == (75, True, True)
    assert "hibernate" not in daemon.methods()


def test_a_daemon_that_goes_away_meanwhile_is_told_in_json_too(home: pathlib.Path, torpor: Torpor) -> None:
    def gone(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "storage_unavailable")

    with FakeDaemon(home, *[gone] * 4):
        code, out, _ = torpor("doctor", "wake-test", "--json")
    told = json.loads(out)
    assert (code, told["ways"], "storage_unavailable" in told["problem"]) == (75, [], True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_is_told_to_end_ends_as_by_ctrl_c(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    taken_away = []

    def told_to_end(_home: str, _only: str | None) -> Any:
        try:
            os.kill(os.getpid(), number)
        finally:
            taken_away.append(True)

    monkeypatch.setattr(wake_test, "ways", told_to_end)
    code, _, _ = torpor("doctor", "wake-test")
    assert (code, taken_away, signal.getsignal(number)) == (130, [True], before)
