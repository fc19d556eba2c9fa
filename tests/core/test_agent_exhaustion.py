"""Quotas that are used up: what is known of their end, which report counts, what it takes for one to be over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, POLICY, Life, kinds, record, started
from torpord.core import agent_events as ae
from torpord.core.agents import Doing, Exhaustion
from torpord.core.draft import Refusal

HOUR_S = 3_600.0


def exhausted(source: str = "headers", in_s: float = HOUR_S) -> Life:
    life = started()
    life.register()
    life.exhaust(in_s, source)
    return life


def known(life: Life) -> Exhaustion:
    found = life.agent().exhaustion
    assert found is not None
    return found


def test_one_that_goes_silent_and_comes_back_is_still_exhausted() -> None:
    life = exhausted()
    before = known(life)
    life.pass_("presence_due")
    assert life.status() == "offline"
    life.advance(60.0)
    life.beat()
    assert life.status() == "exhausted"
    assert known(life) is before
    life.tell("offline")
    life.tell("idle")
    assert life.status() == "exhausted", "to come back and do nothing is no word about a quota"
    life.tell("idle")
    assert life.status() == "idle", "to say so is"


def test_a_start_and_a_reboot_leave_it_exhausted() -> None:
    life = exhausted()
    before = known(life)
    life.start(cause="crash")
    life.now = replace(life.now, awake_s=3.0)
    life.start(cause="crash", boot_id="another")
    assert known(life) == before


def test_it_recovers_by_itself_also_while_it_is_offline() -> None:
    life = exhausted()
    life.tell("offline")
    decision = life.pass_("recovery_due")
    assert (kinds(decision), record(decision, "agent_recovered")["how"]) == (["agent_recovered"], "reached")
    assert life.status() == "offline"
    life.beat()
    assert life.status() == "idle"


def test_with_no_time_given_it_is_the_settings_estimate() -> None:
    life = started(replace(POLICY, default_recovery_s=100.0))
    life.register()
    life.tell("exhausted", reason="billing")
    expected = Exhaustion(life.now.wall_s, "billing", life.now.wall_s + 100.0, "estimated")
    assert known(life) == expected


# What is known, what is reported, by force?, and which of the two is in force then.
REPORTS = [
    (("headers", 100.0), ("headers", 200.0), False, "new"),
    (("headers", 200.0), ("headers", 100.0), False, "old"),
    (("headers", 200.0), ("message", 100.0), False, "old"),
    (("headers", 200.0), ("headers", 100.0), True, "new"),
    (("headers", 100.0), ("headers", 100.0), False, "old"),
    (("headers", 100.0), ("headers", 100.0), True, "old"),
    (("headers", 100.0), ("estimated", 200.0), False, "old"),
    (("headers", 200.0), ("estimated", 100.0), False, "old"),
    (("headers", 100.0), ("estimated", 200.0), True, "new"),
    (("estimated", 200.0), ("headers", 100.0), False, "new"),
    (("estimated", 100.0), ("headers", 200.0), False, "new"),
    (("estimated", 100.0), ("headers", 100.0), False, "new"),
    (("estimated", 100.0), ("estimated", 200.0), False, "new"),
    (("estimated", 200.0), ("estimated", 100.0), False, "old"),
    (("estimated", 200.0), ("estimated", 100.0), True, "new"),
]


@pytest.mark.parametrize(("old", "new", "force", "wins"), REPORTS)
def test_which_report_is_in_force(old: tuple[str, float], new: tuple[str, float], force: bool, wins: str) -> None:
    life = exhausted(*old)
    before, at_ts = known(life), life.now.wall_s
    decision = life.exhaust(new[1], new[0], force=force)
    source, in_s = old if wins == "old" else new
    assert (known(life).source, known(life).recovery_ts) == (source, at_ts + in_s)
    assert isinstance(decision.reply, dict)
    assert decision.reply["changed"] is (wins == "new")
    assert decision.reply["recovery_source"] == source
    if wins == "old":
        assert known(life) is before
        assert kinds(decision) == ["activity_seen", "agent_seen"]
    else:
        assert record(decision, "agent_exhausted")["moved"] is True
    life.advance(in_s)
    assert "recovery_due" in [deadline.name for deadline in life.due()]


def test_it_is_exhausted_since_the_first_report() -> None:
    life = exhausted()
    at_ts = life.now.wall_s
    life.advance(10.0)
    life.exhaust(2 * HOUR_S)
    assert (known(life).at_ts, life.agent().since_ts) == (at_ts, at_ts)


def test_busy_ends_what_was_only_estimated() -> None:
    life = exhausted("estimated")
    decision = life.beat(doing=Doing.BUSY)
    assert kinds(decision) == ["activity_seen", "agent_seen", "agent_recovered", "agent_doing"]
    assert life.status() == "busy"


@pytest.mark.parametrize("source", ["recovery_at", "retry_after", "headers", "message"])
def test_busy_does_not_end_what_a_provider_said(source: str) -> None:
    life = exhausted(source)
    reply = life.beat(doing=Doing.BUSY).reply
    assert isinstance(reply, Refusal)
    assert source in reply.message
    assert known(life).source == source


def test_idle_in_a_heartbeat_ends_nothing() -> None:
    """An editor says it by itself, a minute after the limit was reached."""
    life = exhausted("estimated")
    life.beat(doing=Doing.IDLE)
    assert life.status() == "exhausted"


def test_what_it_was_doing_ends_and_the_idle_time_starts_anew() -> None:
    life = started()
    life.register()
    life.tell("busy")
    life.advance(100.0)
    life.exhaust(HOUR_S)
    assert not life.world.busy
    assert life.world.activity.idle_since_awake_s == life.now.awake_s
    life.pass_("recovery_due")
    assert life.status() == "idle"
    assert not life.world.busy, "it does not go on with what it was doing by itself"


def test_its_slots_are_put_off_and_come_back_with_it() -> None:
    life = started()
    life.register()
    life.slot(0.0, "taken")
    life.pass_("slots_due")
    life.take("taken")
    life.slot(60.0, "soon")
    life.slot(9_000.0, "late")
    until_ts, late_ts = life.now.wall_s + HOUR_S, life.now.wall_s + 9_000.0
    decision = life.exhaust(HOUR_S)
    assert kinds(decision)[-3:] == ["agent_exhausted", "slot_deferred", "slot_deferred"]
    slots = life.world.agents.slots
    assert {key: slots[key].due_s for key in slots} == {"taken": until_ts, "soon": until_ts, "late": late_ts}
    assert life.agent().slot_id is None
    life.exhaust(2 * HOUR_S)
    assert life.world.agents.next_wake_ts == until_ts + HOUR_S
    life.exhaust(60.0, force=True)
    assert life.world.agents.next_wake_ts == life.now.wall_s + 60.0, "what was put off too far comes nearer"
    reply = life.tell("idle").reply
    assert isinstance(reply, dict)
    assert [slot["slot_id"] for slot in reply["slots"]] == ["taken"], "it is to be done all over again"
    assert life.world.agents.next_wake_ts == life.now.wall_s + 60.0, "and the next one when it was planned for"


def test_one_that_is_planned_meanwhile_waits_for_the_recovery_too() -> None:
    life = exhausted()
    life.slot(0.0)
    assert life.world.agents.next_wake_ts == known(life).recovery_ts
    reply = life.take().reply
    assert isinstance(reply, Refusal)
    assert reply.name == "conflict"


def test_a_recovery_in_the_past_is_now() -> None:
    life = exhausted(in_s=-5.0)
    assert [deadline.name for deadline in life.due()] == ["recovery_due"]
    life.pass_("recovery_due")
    assert life.status() == "idle"


def test_many_recoveries_are_passed_slice_by_slice() -> None:
    life = started()
    for name in range(600):
        life.do(ae.AgentRegisterWanted(CLIENT, f"a{name:03}"))
        life.exhaust(60.0, agent_id=f"a{name:03}")
    found = []
    life.reach("recovery_due")
    while any(deadline.name == "recovery_due" for deadline in life.due()):
        found.append(len(life.pass_("recovery_due").entries))
    assert found == [256, 256, 88]


def test_one_that_is_not_heard_of_for_longer_than_the_ledger_is_kept_is_not_forgotten_before_it_has_recovered() -> None:
    life = started(replace(POLICY, ledger_keep_s=HOUR_S))
    life.register()
    life.exhaust(2 * HOUR_S)
    life.tell("offline")
    life.advance(HOUR_S + 1.0)
    life.do(ae.AgentsExpired(CLIENT, ("a",)))
    assert known(life).source == "headers"
    life.pass_("recovery_due")
    life.do(ae.AgentsExpired(CLIENT, ("a",)))
    assert "a" not in life.world.agents.by_id
