"""Slots: due at a time, offered, taken once, finished; deferred to a recovery, and waiting for who is gone."""

from __future__ import annotations

import pytest

from core.life import Life, effects, kinds, record
from core.some_agents import AgentLife, assert_in_step, gone, granted, refused, told
from torpor import wire
from torpord.core import effects as fx
from torpord.core import offering
from torpord.core.agents import MOST_WAKING, Doing, SlotState, Status
from torpord.core.slot_requests import MOST_AHEAD_S

# Added.


def test_a_slot_is_planned_until_its_time(life: Life, it: AgentLife) -> None:
    reply = granted(it.add(in_s=600, duration_s=60.0, priority=3, payload='{"task":"review"}'))
    assert reply["slot_id"] == "s"
    assert (reply["armed"], reply["status"]) == (False, "planned")
    assert it.agent().slots == ("s",)
    life.advance(599)
    assert told(it.beat()) == []
    life.advance(1)
    (slot,) = granted(it.beat())["slots"]
    assert slot["payload"] == {"task": "review"}
    assert (slot["duration_s"], slot["priority"], slot["status"]) == (60.0, 3, "offered")
    assert_in_step(life.world)


def test_adding_is_a_request_and_no_sign_of_life(life: Life, it: AgentLife) -> None:
    seen = life.world.agents.seen["a"]
    life.advance(10)
    it.add()
    assert life.world.agents.seen["a"] == seen
    assert life.world.activity.last_ts == life.now.wall_s


def test_one_in_the_past_is_due_at_once_and_one_far_ahead_is_a_mistake(life: Life, it: AgentLife) -> None:
    it.add("old", in_s=-1e6)
    assert it.state("old") is SlotState.PLANNED
    assert [deadline.name for deadline in life.due()] == ["slots_due"]
    refusal = refused(it.add("far", in_s=MOST_AHEAD_S + 1))
    assert (refusal.name, refusal.data["field"]) == ("invalid_params", "at")
    granted(it.add("near", in_s=MOST_AHEAD_S))


def test_there_is_a_bound_for_each_and_for_all(life: Life, it: AgentLife, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_AGENT_SLOTS", 2)
    monkeypatch.setattr(wire, "MAX_SLOTS", 3)
    it.register("b")
    for slot_id, agent_id in (("1", "a"), ("2", "a"), ("3", "b")):
        granted(it.add(slot_id, agent_id=agent_id))
    assert refused(it.add("4", agent_id="a")).name == "too_many"
    assert refused(it.add("4", agent_id="b")).name == "too_many"
    it.cancel("1")
    granted(it.add("4", agent_id="b"))


def test_for_an_agent_nobody_heard_of_there_are_none(it: AgentLife) -> None:
    refusal = refused(it.add(agent_id="nobody"))
    assert (refusal.name, refusal.data["agent_id"]) == ("not_found", "nobody")


# Offered.


def test_one_that_is_due_is_offered_once_and_again_after_a_growing_pause(life: Life, it: AgentLife) -> None:
    it.add(in_s=100)
    pauses = []
    offer = record(life.pass_("slots_due"), "slot_offered")
    for nth in range(1, 14):
        assert (offer["offers"], offer["via"]) == (nth, "agent")
        pauses.append(offer["pause_s"])
        assert told(it.beat()) == ["s"]  # heard of once
        assert told(it.beat()) == []
        life.advance(offer["pause_s"] - 1)
        assert told(it.beat()) == []
        life.advance(1)
        assert [each.name for each in life.due()][:1] == ["offers_due"]
        offer = record(life.pass_("offers_due"), "slot_offered")
    assert pauses == [*(60 * 2**n for n in range(11)), 86_400, 86_400]
    assert_in_step(life.world)


def test_a_heartbeat_offers_what_is_due_by_itself(life: Life, it: AgentLife) -> None:
    it.add("late")
    it.add("high", priority=5)
    it.add("later", in_s=1)
    decision = it.beat()
    assert told(decision) == ["high", "late"]
    assert granted(decision)["due"] == 2
    assert kinds(decision).count("slot_offered") == 2
    assert life.due() == []
    decision = it.beat()
    assert kinds(decision) == ["agent_seen"]  # nothing to commit
    assert (told(decision), granted(decision)["due"]) == ([], 2)


def test_who_comes_back_hears_of_all_that_is_due(life: Life, it: AgentLife) -> None:
    it.add("one")
    assert told(it.beat()) == ["one"]
    it.says(Status.OFFLINE)
    it.add("two")
    life.pass_("slots_due")
    assert it.state("two") is SlotState.WAITING
    assert life.world.agents.next_wake_ts is None  # from here on it plans no wake
    life.advance(1e5)
    decision = it.beat()
    assert told(decision) == ["one", "two"]
    assert {it.state("one"), it.state("two")} == {SlotState.OFFERED}
    assert [deadline.name for deadline in life.due()] == ["drowsy_due"]
    assert_in_step(life.world)


def test_what_was_offered_to_one_who_left_waits_for_it(life: Life, it: AgentLife) -> None:
    it.add()
    it.beat()
    it.says(Status.OFFLINE)
    decision = life.pass_("offers_due")
    assert kinds(decision) == ["slot_waiting"]
    assert life.due() == []


def test_not_more_is_told_at_once_than_fits_and_the_rest_comes_next(life: Life, it: AgentLife) -> None:
    many = [f"{n:04}" for n in range(offering.MOST_TOLD + 5)]
    for slot_id in many:
        it.add(slot_id)
    decision = it.beat()
    assert told(decision) == many[: offering.MOST_TOLD]
    assert granted(decision)["due"] == len(many)
    assert told(it.beat()) == many[offering.MOST_TOLD :]
    it.says(Status.OFFLINE)
    large = '"' + "x" * (wire.MAX_PAYLOAD_BYTES - 2) + '"'
    for slot_id in many:
        it.cancel(slot_id)
        it.add(f"large {slot_id}", payload=large)
    heard: list[str] = []
    while news := told(it.beat()):
        assert len(news) == offering.MOST_TOLD_CHARS // len(large)
        heard += news
        if len(heard) + 6 > len(many):
            break
    assert len(set(heard)) == len(heard)


def test_slots_are_offered_a_slice_at_a_time(life: Life, it: AgentLife) -> None:
    for n in range(300):
        it.add(f"{n:03}")
    assert len(life.pass_("slots_due").entries) == 256
    assert len(life.pass_("slots_due").entries) == 44
    assert life.due() == []


# Taken once, and finished.


@pytest.mark.parametrize(("type_", "doing"), [("work", Doing.BUSY), ("on_call", Doing.ON_CALL)])
def test_taking_makes_its_agent_do_it_and_finishing_ends_it(
    life: Life, it: AgentLife, type_: str, doing: Doing
) -> None:
    it.add(type=type_)
    it.beat()
    reply = granted(it.take(agent_id="a"))
    assert (reply["status"], reply["changed"], reply["slot"]["status"]) == (doing, True, "taken")
    assert (it.agent().doing, it.agent().slot_id) == (doing, "s")
    assert life.world.busy
    assert_in_step(life.world)
    life.advance(500)
    it.beat()
    life.advance(100)
    reply = granted(it.finish())
    assert (reply["status"], reply["slots"], reply["due"]) == ("idle", [], 0)
    assert "s" not in life.world.agents.slots
    assert it.agent().slots == ()
    assert not life.world.busy
    assert life.world.activity.idle_since_awake_s == life.now.awake_s  # the idle time starts from zero
    assert_in_step(life.world)


def test_of_two_takers_one_gets_it_and_the_other_is_told_when(life: Life, it: AgentLife) -> None:
    it.add()
    granted(it.take())
    life.advance(7)
    refusal = refused(it.take())
    assert (refusal.name, refusal.data["status"]) == ("conflict", "taken")
    assert refusal.data["taken_ts"] == "2023-11-14T22:13:20.000+00:00"
    it.finish()
    assert refused(it.take()).name == "not_found"
    assert refused(it.finish()).name == "not_found"
    assert refused(it.cancel()).name == "not_found"


def test_what_is_not_due_or_another_s_is_not_taken(life: Life, it: AgentLife) -> None:
    it.register("b")
    it.add(in_s=60)
    refusal = refused(it.take())
    assert (refusal.name, refusal.data["status"]) == ("conflict", "planned")
    assert refusal.data["due_ts"] == "2023-11-14T22:14:20.000+00:00"
    life.advance(60)
    assert refused(it.take(agent_id="b")).name == "not_found"
    assert refused(it.take("nothing")).name == "not_found"
    granted(it.take(agent_id="a"))


def test_an_agent_has_one_slot_at_a_time_and_what_it_said_must_fit(life: Life, it: AgentLife) -> None:
    it.add("one")
    it.add("two")
    it.take("one")
    refusal = refused(it.take("two"))
    assert (refusal.name, refusal.data["has"]) == ("conflict", "one")
    reply = granted(it.finish("one"))
    assert (reply["status"], [slot["slot_id"] for slot in reply["slots"]]) == ("busy", ["two"])  # until it takes it
    assert it.agent().slot_id is None
    granted(it.take("two"))
    granted(it.finish("two"))
    it.says(Status.ON_CALL)
    it.add("three")
    refusal = refused(it.take("three"))
    assert (refusal.name, refusal.data["agent_status"]) == ("conflict", "on_call")
    assert refusal.data["needs"] == ["idle", "busy"]


def test_only_what_was_taken_is_finished(it: AgentLife) -> None:
    it.add()
    refusal = refused(it.finish())
    assert (refusal.name, refusal.data["status"]) == ("conflict", "planned")


def test_taking_and_finishing_are_signs_of_life_of_one_who_was_gone(life: Life, it: AgentLife) -> None:
    it.add()
    it.says(Status.OFFLINE)
    granted(it.take())
    assert it.agent().status is Status.BUSY
    it.says(Status.OFFLINE)
    assert (it.state(), it.agent().slot_id) == (SlotState.TAKEN, "s")  # kept for its return
    assert granted(it.finish())["status"] == "idle"
    assert_in_step(life.world)


def test_saying_idle_finishes_the_slot(life: Life, it: AgentLife) -> None:
    it.add()
    it.take()
    it.says(Status.IDLE)
    assert "s" not in life.world.agents.slots
    assert_in_step(life.world)


def test_a_slot_that_was_offered_may_be_taken_though_the_clock_is_set_back(life: Life, it: AgentLife) -> None:
    it.add()
    it.beat()
    life.advance(1, -8 * 3600)
    granted(it.take())


# Cancelled.


@pytest.mark.parametrize("state", list(SlotState))
def test_a_slot_in_any_state_can_be_cancelled(life: Life, it: AgentLife, state: SlotState) -> None:
    it.add(in_s=60)
    if state in (SlotState.WAITING, SlotState.QUEUED):
        it.says(Status.OFFLINE)
    if state is SlotState.QUEUED:
        it.register(wake_command="come")
        it.says(Status.OFFLINE)
        for n in range(MOST_WAKING):
            gone(life, it, f"b{n}")
            it.add(f"t{n}", agent_id=f"b{n}", in_s=60, priority=1)
    if state is not SlotState.PLANNED:
        life.pass_("slots_due")
    if state is SlotState.TAKEN:
        it.take()
    assert it.state() is state
    assert granted(it.cancel()) == {"slot_id": "s", "cancelled": True}
    assert "s" not in life.world.agents.slots
    assert it.agent().doing is Doing.IDLE
    assert life.world.busy is (state is SlotState.QUEUED)  # the others' commands run
    assert_in_step(life.world)
    assert life.due() == []


def test_with_an_agent_its_slots_are_forgotten(life: Life, it: AgentLife) -> None:
    from torpord.core import agent_events as ae

    for slot_id in ("planned", "offered", "taken"):
        it.add(slot_id, in_s=1000 if slot_id == "planned" else 0)
    it.beat()
    it.take("taken")
    decision = life.do(ae.AgentForgetWanted({}, "a"))
    assert kinds(decision)[-4:] == ["slot_cancelled"] * 3 + ["agent_forgotten"]
    assert_in_step(life.world)
    assert not life.world.busy


# Deferred.


def test_an_exhausted_agent_s_slots_are_put_off_to_its_recovery(life: Life, it: AgentLife) -> None:
    for slot_id, in_s in (("taken", 0), ("offered", 0), ("soon", 50), ("far", 5000)):
        it.add(slot_id, in_s=in_s)
    it.beat()
    it.take("taken")
    it.says(Status.EXHAUSTED, in_s=1000)
    assert {it.state(slot_id) for slot_id in it.agent().slots} == {SlotState.PLANNED}
    until = {slot_id: it.slot(slot_id).due_s - life.now.wall_s for slot_id in it.agent().slots}
    assert until == {"taken": 1000, "offered": 1000, "soon": 1000, "far": 5000}
    refusal = refused(it.take("offered"))
    assert (refusal.name, refusal.data["agent_status"]) == ("conflict", "exhausted")
    life.advance(60)
    assert told(it.beat()) == []
    assert_in_step(life.world)
    it.add("new")  # is put off at once
    assert it.slot("new").due_s == it.slot("soon").due_s
    assert life.reach("recovery_due").name == "recovery_due"
    assert kinds(life.pass_("recovery_due")) == ["agent_recovered"]
    assert it.slot("soon").until_ts is None
    decision = life.pass_("slots_due")
    assert kinds(decision) == ["slot_offered"] * 4
    assert_in_step(life.world)


def test_a_taken_one_is_taken_again_after(life: Life, it: AgentLife) -> None:
    it.add()
    it.take()
    it.says(Status.EXHAUSTED, in_s=100)
    assert it.agent().slot_id is None
    life.advance(100)
    life.pass_("recovery_due")
    granted(it.take())


def test_a_slot_due_at_the_recovery_is_offered_in_its_own_right(life: Life, it: AgentLife) -> None:
    """Whichever of the two deadlines is passed first: no slot is put off to where it is already."""
    it.says(Status.EXHAUSTED, in_s=100)
    it.add("same", in_s=100)
    decision = life.pass_("slots_due")
    assert kinds(decision) == ["agent_recovered", "slot_offered"]
    assert life.due() == []


# A daemon that begins again.


def test_killed_with_slots_offered_they_are_offered_again(life: Life, it: AgentLife) -> None:
    gone(life, it)
    it.register("b")
    it.add("woken")
    it.add("heard", agent_id="b")
    it.add("taken", agent_id="b")
    life.pass_("slots_due")
    it.beat("b")
    it.take("taken")
    life.advance(5)
    decision = life.start(cause="crash")
    assert record(decision, "agent_wake_ended")["problem"] == "the daemon ended"
    assert it.agent().waking is None
    assert (it.state("woken"), it.state("heard")) == (SlotState.PLANNED, SlotState.PLANNED)
    assert it.state("taken") is SlotState.TAKEN  # it was acknowledged
    assert it.slot("heard").offers == 1  # the pause goes on growing
    assert_in_step(life.world)
    decision = life.pass_("slots_due")
    assert len(effects(decision, fx.RunWakeCommand)) == 1
    assert told(it.beat("b")) == ["heard"]
    assert_in_step(life.world)


def test_on_the_way_out_nothing_is_offered(life: Life, it: AgentLife) -> None:
    from torpord.core.events import StopWanted

    it.add(in_s=10)
    life.do(StopWanted({}, "stop"))
    life.advance(10)
    assert life.due() == []
    assert refused(it.take()).name == "draining"
