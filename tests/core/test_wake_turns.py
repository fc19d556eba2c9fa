"""Whose wake command runs when: few at once, the others in line, and nobody waits longer than for those before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import DUE, Life, effects, kinds, record
from core.some_agents import AgentLife, assert_in_step, granted, told
from torpord.core import agent_events as ae
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import offering
from torpord.core.agents import MOST_WAKING, SLICE, SlotState, Status
from torpord.core.policy import Policy


@pytest.fixture
def it(life: Life) -> AgentLife:
    return AgentLife(life)


def absent(it: AgentLife, *agent_ids: str) -> None:
    """Make agents known that are not there, and come by a command."""
    for agent_id in agent_ids:
        it.register(agent_id, wake_command="come")
        it.says(Status.OFFLINE, agent_id)


def crowded(it: AgentLife) -> None:
    """Let as many wake commands run as may."""
    for n in range(MOST_WAKING):
        absent(it, f"before{n}")
        it.add(f"of-before{n}", agent_id=f"before{n}")
    it.life.pass_("slots_due")
    assert not it.life.world.agents.has_place


def pass_all(life: Life) -> list[fx.RunWakeCommand]:
    """Pass what is due of slots, as the writer does; returns the wake commands that begin with it."""
    begun: list[fx.RunWakeCommand] = []
    while names := [each.name for each in life.due() if each.name in ("slots_due", "offers_due", "turn_due")]:
        begun += effects(life.do(ev.DeadlinePassed(DUE, names[0])), fx.RunWakeCommand)
    return begun


def ends(life: Life, command: fx.RunWakeCommand) -> None:
    life.do(ae.WakeCommandEnded({"source": "wake_command"}, command.agent_id, command.slot_id, ""))


@pytest.mark.parametrize("count", [40, 300])
@pytest.mark.parametrize("comes", [True, False])
def test_the_last_of_many_is_woken_when_those_before_it_are_done(
    life: Life, it: AgentLife, count: int, *, comes: bool
) -> None:
    """Not after the pauses of those who were told and did not come."""
    takes_s = 0.1
    names = [f"a{n:03}" for n in range(count)]
    absent(it, *names)
    for name in names:
        it.add(f"of-{name}", agent_id=name, in_s=1000)
    life.reach("slots_due")
    first_s, begun_s = life.now.awake_s, dict[str, float]()
    running = pass_all(life)
    while running:
        assert len(running) <= MOST_WAKING
        for command in running:
            assert command.agent_id not in begun_s, "each is woken once"
            begun_s[command.agent_id] = life.now.awake_s - first_s
            assert life.world.agents.slots[command.slot_id].offers == 1
        assert life.world.busy
        life.advance(takes_s)
        for command in running:
            ends(life, command)
            if comes:
                granted(it.take(command.slot_id))
        running = pass_all(life)
    assert list(begun_s) == names, "by the time they were due"
    assert max(begun_s.values()) == pytest.approx((count / MOST_WAKING - 1) * takes_s)
    assert_in_step(life.world)


def test_the_next_is_the_most_important_and_then_the_longest_due(life: Life, it: AgentLife) -> None:
    crowded(it)
    for name, priority in (("late", 0), ("later", 0), ("important", 1), ("least", -1000), ("first", 1000)):
        absent(it, name)
        life.advance(0.5)
        it.add(name, agent_id=name, priority=priority)
        assert pass_all(life) == []
    assert {it.state(name) for name in ("late", "first")} == {SlotState.QUEUED}
    order = []
    for _ in range(5):
        running = min(life.world.agents.waking.keys(), key=lambda name: (not name.startswith("before"), name))
        ends(life, fx.RunWakeCommand(running, it.agent(running).waking or ""))
        (command,) = pass_all(life)
        order.append(command.slot_id)
    assert order == ["first", "important", "late", "later", "least"]


def test_to_wait_for_a_place_is_no_offer_and_makes_no_pause_longer(life: Life, it: AgentLife) -> None:
    absent(it, "a")
    it.add()
    life.pass_("slots_due")
    it.woken()
    assert it.slot().offers == 1
    crowded(it)
    decision = life.pass_("offers_due")
    while "slot_queued" not in kinds(decision):  # those before it are queued for another pause: their commands run
        decision = life.pass_("offers_due")
    life.advance(10_000)
    pass_all(life)
    assert (it.state(), it.slot().offers) == (SlotState.QUEUED, 1)
    it.woken(agent_id="before0")
    decision = life.do(ev.DeadlinePassed(DUE, "turn_due"))
    assert (record(decision, "slot_offered")["offers"], record(decision, "slot_offered")["pause_s"]) == (2, 120.0)
    assert_in_step(life.world)


def test_who_is_idle_waits_for_its_command_too_and_hears_of_it_by_itself(life: Life, it: AgentLife) -> None:
    crowded(it)
    for name in ("a", "b"):
        it.register(name, wake_command="come")
        it.add(f"of-{name}", agent_id=name)
    pass_all(life)
    assert it.state("of-a") is SlotState.QUEUED
    assert told(it.beat("a")) == ["of-a"]
    assert (it.state("of-a"), it.state("of-b")) == (SlotState.OFFERED, SlotState.QUEUED)
    assert told(it.beat("a")) == []
    granted(it.take("of-b"))
    assert len(life.world.agents.queue) == 0
    assert_in_step(life.world)


@pytest.mark.parametrize("how", ["cancel", "forget", "take", "exhaust"])
def test_what_is_not_wanted_any_more_has_no_turn(life: Life, it: AgentLife, how: str) -> None:
    crowded(it)
    absent(it, "a")
    it.add()
    pass_all(life)
    ways = {
        "cancel": it.cancel,
        "forget": lambda: life.do(ae.AgentForgetWanted({}, "a")),
        "take": it.take,
        "exhaust": lambda: it.says(Status.EXHAUSTED, in_s=1000),
    }
    granted(ways[how]())
    assert len(life.world.agents.queue) == 0
    it.woken(agent_id="before0")
    assert pass_all(life) == []
    assert_in_step(life.world)


@pytest.mark.parametrize("online", [True, False])
def test_whose_command_is_taken_away_is_told_another_way(life: Life, it: AgentLife, *, online: bool) -> None:
    crowded(it)
    absent(it, "a")
    it.add()
    pass_all(life)
    it.register(wake_command=None)  # with which it is there, and hears of it
    if not online:
        it.cancel()
        absent(it, "a")
        it.add()
        pass_all(life)
        life.world = replace(
            life.world, agents=life.world.agents.with_agent(it.agent(), replace(it.agent(), card=None))
        )
    it.woken(agent_id="before0")
    assert pass_all(life) == []
    assert it.state() is (SlotState.OFFERED if online else SlotState.WAITING)


def test_of_those_that_come_through_without_a_command_a_slice_goes_at_a_time(life: Life, it: AgentLife) -> None:
    crowded(it)
    names = [f"a{n:03}" for n in range(SLICE + 1)]
    absent(it, *names)
    for name in names:
        it.add(name, agent_id=name)
    pass_all(life)
    agents = life.world.agents
    for name in names:
        agents = agents.with_agent(agents.by_id[name], replace(agents.by_id[name], card=None))
    life.world = replace(life.world, agents=agents)
    it.woken(agent_id="before0")
    assert kinds(life.do(ev.DeadlinePassed(DUE, "turn_due"))) == ["slot_waiting"] * SLICE
    assert kinds(life.do(ev.DeadlinePassed(DUE, "turn_due"))) == ["slot_waiting"]
    assert life.due() == []


def test_a_slot_that_comes_while_its_agent_is_woken_is_not_lost_with_the_first(life: Life, it: AgentLife) -> None:
    absent(it, "a")
    it.add("one")
    life.pass_("slots_due")
    it.add("two")
    life.pass_("slots_due")
    it.woken()
    it.cancel("one")
    assert life.due() == [], "what it has started needs its time to come"
    assert effects(life.pass_("offers_due"), fx.RunWakeCommand) == [fx.RunWakeCommand("a", "two")]


def test_a_daemon_that_begins_again_goes_on_with_the_line(life: Life, it: AgentLife) -> None:
    crowded(it)
    absent(it, "a", "b")
    it.add("of-a", agent_id="a", priority=1)
    it.add("of-b", agent_id="b")
    pass_all(life)
    life.start(cause="crash")
    assert_in_step(life.world)
    begun = [command.slot_id for command in pass_all(life)]
    assert begun == ["of-a", "of-b", "of-before0", "of-before1"], "what was under way goes behind"
    assert not life.world.agents.has_place
    assert it.state("of-before2") is SlotState.QUEUED


def test_while_it_runs_a_line_keeps_no_other_deadline_due(life: Life, it: AgentLife) -> None:
    crowded(it)
    absent(it, "a")
    it.add()
    pass_all(life)
    assert life.due() == []
    life.start(Policy(), cause="crash")
    pass_all(life)
    assert life.due() == []


# What a command that has its turn is to do.


def test_an_errand_is_what_the_world_has_of_it_now(life: Life, it: AgentLife) -> None:
    absent(it, "a")
    for slot_id, priority in (("one", 2), ("two", 1), ("three", 0)):
        it.add(slot_id, priority=priority)
    life.pass_("slots_due")
    assert it.agent().waking == "one"
    it.cancel("one")
    errand = offering.errand(life.world, "a", "one")
    assert errand is not None
    assert (errand.slot_id, [slot["slot_id"] for slot in errand.slots]) == ("two", ["two", "three"])


@pytest.mark.parametrize("how", ["cancel", "forget", "take", "exhaust", "busy", "lost", "another", "ended"])
def test_there_is_none_where_nobody_needs_it(life: Life, it: AgentLife, how: str) -> None:
    absent(it, "a")
    it.add()
    life.pass_("slots_due")
    assert offering.errand(life.world, "a", "s") is not None
    ways = {
        "cancel": it.cancel,
        "forget": lambda: life.do(ae.AgentForgetWanted({}, "a")),
        "take": it.take,
        "exhaust": lambda: it.says(Status.EXHAUSTED, in_s=1000),
        "busy": lambda: it.says(Status.BUSY),
        "lost": lambda: it.register(wake_command=None),
        "another": lambda: None,
        "ended": it.woken,
    }
    ways[how]()
    assert offering.errand(life.world, "a", "another" if how == "another" else "s") is None
