"""Wake commands: who is gone, or idle, is brought to its slots; once for all that is due, and tried again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from core.life import Life, effects, kinds, record
from core.some_agents import WAKE_UP, AgentLife, assert_in_step, gone
from torpord.core import effects as fx
from torpord.core import offering
from torpord.core.agents import SlotState, Status
from torpord.core.lifecycle import State


def test_who_is_gone_is_woken_by_its_command_with_all_that_is_due(life: Life, it: AgentLife) -> None:
    gone(life, it)
    it.add("one", in_s=10, payload="[1]")
    it.add("two", in_s=10, priority=1)
    it.add("not yet", in_s=11)
    decision = life.pass_("slots_due")
    assert kinds(decision) == ["slot_offered", "slot_offered", "agent_wake_started"]
    assert effects(decision, fx.RunWakeCommand) == [fx.RunWakeCommand("a", "two")]
    errand = offering.errand(life.world, "a", "two")
    assert errand is not None
    assert errand.command == WAKE_UP
    assert [slot["slot_id"] for slot in errand.slots] == ["two", "one"]
    assert errand.slots[1]["payload"] == [1]
    assert record(decision, "agent_wake_started")["command"] == "bring it up"
    assert it.agent().waking == "two"
    assert life.world.busy  # while it runs
    assert_in_step(life.world)


def test_while_it_runs_further_slots_are_told_later(life: Life, it: AgentLife) -> None:
    gone(life, it)
    it.add("one", in_s=10)
    it.add("two", in_s=20)
    life.pass_("slots_due")
    assert record(life.pass_("slots_due"), "slot_queued")["pause_s"] == offering.FIRST_PAUSE_S
    assert it.slot("two").offers == 0, "nobody was told"
    assert life.due() == []
    decision = it.woken()
    assert kinds(decision) == ["agent_wake_ended"]
    assert it.agent().waking is None
    assert not life.world.busy
    assert life.world.activity.idle_since_awake_s == life.now.awake_s
    assert record(life.pass_("offers_due"), "agent_wake_started")["slot_id"] == "one"


def test_one_that_fails_is_recorded_and_tried_again_with_the_slot(life: Life, it: AgentLife) -> None:
    gone(life, it)
    it.add()
    life.pass_("slots_due")
    assert record(it.woken("exit status 3"), "agent_wake_ended")["problem"] == "exit status 3"
    assert life.due() == []
    decision = life.pass_("offers_due")
    assert record(decision, "slot_offered")["offers"] == 2
    assert len(effects(decision, fx.RunWakeCommand)) == 1


def test_an_end_that_nobody_waits_for_is_nothing(life: Life, it: AgentLife) -> None:
    from torpord.core import agent_events as ae

    for agent_id in ("a", "nobody"):
        assert kinds(life.do(ae.WakeCommandEnded({}, agent_id, "s", ""))) == []


def test_who_is_at_work_hears_it_by_itself_and_who_is_idle_is_woken(life: Life, it: AgentLife) -> None:
    it.register(wake_command="come")
    it.says(Status.BUSY)
    it.add("one")
    assert record(life.pass_("slots_due"), "slot_offered")["via"] == "agent"
    it.says(Status.IDLE)
    it.add("two")
    decision = life.pass_("slots_due")
    offers = [entry.record.data() for entry in decision.entries if entry.record.kind == "slot_offered"]
    assert [(offer["slot_id"], offer["via"]) for offer in offers] == [("two", "command"), ("one", "command")]
    assert effects(decision, fx.RunWakeCommand) == [fx.RunWakeCommand("a", "two")]


def test_all_that_one_wake_command_was_run_for_rest_together(life: Life, it: AgentLife) -> None:
    it.register(wake_command="come")
    it.says(Status.OFFLINE)
    for number, in_s in enumerate((0, 700, 1500)):
        it.add(f"s{number}", in_s=in_s)
    starts: list[float] = []
    while len(starts) < 20:
        life.pass_(life.next_deadline().name)
        if it.agent().waking is not None:
            starts.append(life.now.awake_s)
            it.woken()
    rests = [after - before for before, after in pairwise(starts)]
    assert rests[-3:] == [86_400] * 3, "an agent that never comes is called once a day, however many slots it has"
    assert_in_step(life.world)


def test_a_command_that_comes_brings_what_waited(life: Life, it: AgentLife) -> None:
    it.says(Status.OFFLINE)
    it.add()
    life.pass_("slots_due")
    assert it.state() is SlotState.WAITING
    it.register(wake_command="come")
    assert it.state() is SlotState.OFFERED  # registering is a sign of life
    assert_in_step(life.world)


def test_a_wake_command_takes_a_hibernation_back(life: Life, it: AgentLife) -> None:
    gone(life, it)
    it.add(in_s=2 * 3600)
    life.world = replace(life.world, lifecycle=replace(life.world.lifecycle, state=State.HIBERNATION))
    decision = life.pass_("slots_due")
    assert life.state is State.WAKE
    assert record(decision, "state_transition")["trigger"] == "wake_signal"
