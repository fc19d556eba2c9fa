"""`stop` and signals: the state stays as it is, nothing more is accepted, and the next start knows how it ended."""

from __future__ import annotations

import pytest

from core.life import CLIENT, SHELL, at, effects, kinds, moves, record, started
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy

STOP = ev.StopWanted(CLIENT, "stop")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("how", ["stop", "signal"])
def test_it_goes_in_the_state_it_is_in(state: State, how: str) -> None:
    life = at(state)
    decision = life.do(ev.StopWanted(CLIENT, how))
    assert effects(decision, fx.GoDown) == [fx.GoDown(how)]
    assert decision.reply == {"state": state.value}
    assert list(deadlines(life.world)) == []
    stopped = life.do(ev.Leaving(SHELL, how))
    assert record(stopped, "stopped") == {"reason": how, "state": state.value}
    assert life.world.process.ended


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    "event",
    [
        *(ev.ClientTrigger(CLIENT, trigger) for trigger in Trigger),
        ev.HoldRequested(CLIENT, "h", "who", "why"),
        ev.HoldReleaseRequested(CLIENT, "a"),
        ev.HibernateWanted(CLIENT, now=False),
        ev.SettingsRead(CLIENT, Policy(), (), by_request=True),
    ],
    ids=lambda event: getattr(event, "trigger", type(event).__name__),
)
def test_after_it_every_client_is_told_to_ask_again(state: State, event: ev.Event) -> None:
    life = at(state)
    life.do(STOP)
    decision = life.do(event)
    assert isinstance(decision.reply, Refusal)
    assert decision.reply.name == "draining"
    assert (decision.entries, decision.effects) == ((), ())
    assert decision.world is life.turns[-1].before


def test_a_second_stop_is_answered_and_changes_nothing() -> None:
    life = started()
    life.do(STOP)
    again = life.do(ev.StopWanted(CLIENT, "signal"))
    assert (again.entries, again.effects, again.reply) == ((), (), {"state": "WAKE"})


def test_no_deadline_is_taken_any_more() -> None:
    life = started()
    life.hold("a", ttl_s=10.0)
    life.do(STOP)
    life.advance(1_000.0)
    for name in ("hold_expired", "drowsy_due", "sleep_due", "hibernate_due"):
        assert life.do(ev.DeadlinePassed(SHELL, name)).entries == ()


def test_a_hold_that_ends_on_the_way_out_does_not_carry_out_an_old_wish() -> None:
    life = started()
    life.hold("a", connection=1)
    life.do(ev.HibernateWanted(CLIENT, now=False))
    life.do(STOP)
    decision = life.do(ev.ConnectionClosed(SHELL, 1))
    assert kinds(decision) == ["hold_released"]
    assert moves(decision) == []
    assert decision.effects == ()


def test_a_cycle_that_stop_interrupted_goes_on_in_a_later_sleep() -> None:
    life = at(State.SLEEP)
    life.step_ends()
    run_id = life.world.cycle.run_id
    decision = life.do(STOP)
    assert record(decision, "sleep_cycle_interrupted") == {"run_id": run_id, "step": "checkpoint"}
    assert effects(decision, fx.YieldWorker) == [fx.YieldWorker(run_id, 1, 2.0)]
    assert kinds(life.dies(run_id))[-1] == "run_interrupted"
    life.do(ev.Leaving(SHELL, "stop"))
    life.start(cause="manual")
    again = record(life.trigger(Trigger.FORCE_SLEEP), "sleep_cycle_started")
    assert (again["step"], again["resumed"]) == ("checkpoint", True)


def test_the_next_start_knows_an_orderly_end_from_a_crash() -> None:
    life = started()
    life.do(STOP)
    life.do(ev.Leaving(SHELL, "stop"))
    assert record(life.start(), "started")["after_crash"] is False
    assert record(life.start(), "started")["after_crash"] is True
    assert life.world.process.generation == 3
    assert life.trigger(Trigger.REQUEST_ARRIVED).reply["state"] == "WAKE"  # type: ignore[index]
