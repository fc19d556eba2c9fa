"""Holds: what keeps the daemon awake, and the four ends a hold can come to while it lives."""

from __future__ import annotations

import pytest

from core.life import CLIENT, DUE, SHELL, Life, at, effects, kinds, moves, record, started
from torpor import wire
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State


def names(life: Life) -> list[str]:
    return [deadline.name for deadline in deadlines(life.world)]


@pytest.mark.parametrize("state", list(State))
def test_whoever_holds_wakes_it_first(state: State) -> None:
    life = at(state)
    decision = life.hold("a")
    assert decision.reply == {"hold_id": "a", "state": "WAKE"}
    assert life.state is State.WAKE
    assert life.world.busy


def test_a_hold_is_recorded_with_all_that_ends_it() -> None:
    life = started()
    decision = life.hold("a", ttl_s=60.0, pid=77, pid_start="123")
    assert record(decision, "hold_acquired") == {
        "hold_id": "a",
        "who": "who-a",
        "why": "why-a",
        "ttl_s": 60.0,
        "pid": 77,
        "pid_start": "123",
        "connection": None,
    }
    assert effects(decision, fx.WatchProcess) == [fx.WatchProcess("a", 77, "123")]
    hold = life.world.holds.by_id["a"]
    assert (hold.since_ts, hold.until_awake_s) == (life.now.wall_s, life.now.awake_s + 60.0)


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"connection": 1}, "connection"),
        ({"pid": 7, "pid_start": "1"}, "process"),
        ({"pid": 7, "pid_start": "1", "ttl_s": 5.0}, "process"),
        ({"ttl_s": 5.0}, "time"),
    ],
)
def test_a_hold_says_what_it_is_bound_to(fields: dict[str, object], bound: str) -> None:
    life = started()
    life.hold("a", **fields)
    assert life.world.holds.by_id["a"].bound == bound


def test_nothing_but_the_end_of_holds_is_due_while_held() -> None:
    life = started()
    life.hold("a")
    assert names(life) == []
    life.hold("b", ttl_s=50_000.0)
    assert names(life) == ["hold_expired"]
    life.advance(40_000.0)
    assert life.due() == []
    assert life.do(ev.DeadlinePassed(DUE, "drowsy_due")).entries == ()


def test_the_idle_time_starts_from_zero_when_the_last_hold_ends() -> None:
    life = started()
    life.hold("a")
    life.hold("b", connection=2)
    life.advance(10_000.0)
    life.do(ev.ConnectionClosed(SHELL, 1))
    life.advance(10_000.0)
    life.do(ev.ConnectionClosed(SHELL, 2))
    ended = life.now.awake_s
    assert life.reach("drowsy_due").at_s == ended + 300.0


def test_a_release_is_a_request_and_ends_the_hold() -> None:
    life = started()
    life.hold("a")
    decision = life.release("a")
    assert kinds(decision) == ["activity_seen", "hold_released"]
    assert record(decision, "hold_released") == {"hold_id": "a", "how": "released"}
    assert decision.reply == {"hold_id": "a", "released": True}
    assert not life.world.busy


def test_a_hold_is_released_once() -> None:
    life = started()
    life.hold("a")
    life.release("a")
    decision = life.release("a")
    assert isinstance(decision.reply, Refusal)
    assert (decision.reply.name, decision.reply.data) == ("not_found", {"hold_id": "a"})
    assert decision.entries == ()


def test_a_closed_connection_ends_its_own_holds_only() -> None:
    life = started()
    life.hold("a", connection=1)
    life.hold("b", connection=2)
    life.hold("c", connection=1)
    decision = life.do(ev.ConnectionClosed(SHELL, 1))
    ended = [entry.record.data() for entry in decision.entries]
    assert ended == [{"hold_id": each, "how": "connection_closed"} for each in "ac"]
    assert list(life.world.holds.by_id) == ["b"]


def test_an_ended_process_ends_its_hold() -> None:
    life = started()
    life.hold("a", pid=7, pid_start="1")
    decision = life.do(ev.HolderEnded(SHELL, "a"))
    assert record(decision, "hold_released") == {"hold_id": "a", "how": "process_ended"}
    assert not life.world.busy


def test_holds_run_out_by_awake_time() -> None:
    life = started()
    life.hold("a", ttl_s=60.0)
    life.advance(59.0, 100_000.0)
    assert life.due() == []
    life.advance(1.0, -100_000.0)
    decision = life.pass_("hold_expired")
    assert record(decision, "hold_released") == {"hold_id": "a", "how": "expired"}


def test_two_holds_that_expire_at_once_expire_at_once() -> None:
    life = started()
    life.hold("b", ttl_s=60.0)
    life.hold("a", ttl_s=60.0)
    life.hold("later", ttl_s=61.0)
    decision = life.pass_("hold_expired")
    assert [entry.record.data()["hold_id"] for entry in decision.entries] == ["a", "b"]
    assert list(life.world.holds.by_id) == ["later"]
    assert life.due() == []
    life.pass_("hold_expired")
    assert not life.world.busy
    assert names(life) == ["drowsy_due"]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_the_next_expiry_follows_the_holds_that_are_left(order: str) -> None:
    life = started()
    ends = {}
    for hold_id, ttl_s in (("a", 60.0), ("b", 90.0)):
        life.hold(hold_id, ttl_s=ttl_s)
        ends[hold_id] = life.now.awake_s + ttl_s
    life.release(order[0])
    assert life.world.holds.next_expiry_awake_s == ends[order[1]]
    life.release(order[1])
    assert life.world.holds.next_expiry_awake_s is None


def test_an_overrun_expiry_ends_every_hold_that_is_over() -> None:
    life = started()
    for number in range(5):
        life.hold(str(number), ttl_s=10.0 * (number + 1))
    life.advance(35.0)
    life.pass_("hold_expired")
    assert list(life.world.holds.by_id) == ["3", "4"]


def test_an_expiry_carries_out_a_wish() -> None:
    life = started()
    life.hold("a", ttl_s=60.0)
    life.do(ev.HibernateWanted(CLIENT, now=True))
    decision = life.pass_("hold_expired")
    assert moves(decision) == ["WAKE>DROWSY by force_sleep", "DROWSY>SLEEP by force_sleep"]


def test_holds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_HOLDS", 3)
    life = started()
    for number in range(3):
        life.hold(str(number))
    decision = life.hold("one too many")
    assert isinstance(decision.reply, Refusal)
    assert decision.reply.name == "too_many"
    assert decision.entries == ()
    life.release("0")
    assert life.hold("now it fits").reply == {"hold_id": "now it fits", "state": "WAKE"}
