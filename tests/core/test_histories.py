"""What holds in every life, whatever happens in it: properties over random histories."""

from __future__ import annotations

import copy
from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from core.folding import fold, in_the_ledger, read_back
from core.histories import FORBIDS, OF_AGENTS, conditions, lives, lives_of_agents, tried
from core.life import CLIENT, DUE, SHELL, Life
from torpord.core import agent_events as ae
from torpord.core import agent_report, report
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core.agents import SlotState
from torpord.core.deadlines import deadlines
from torpord.core.decide import decide
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State, Trigger
from torpord.core.persistent import Map
from torpord.core.runs import RunStatus

# Four states, three ways down, and one look that finds what had stood in the way gone.
ENOUGH_DEADLINES = 6
ENDLESS = ("loop", "forks")


@tried
@given(lives | lives_of_agents)
def test_folding_every_record_gives_the_world(life: Life) -> None:
    assert fold(life.entries) == life.world
    assert fold(read_back(entry) for entry in life.entries) == life.world


@tried
@given(lives | lives_of_agents)
def test_folding_the_ledger_gives_the_world_but_for_activity(life: Life) -> None:
    ledger = [read_back(entry) for entry in life.entries if entry.record.ledgered]
    assert in_the_ledger(fold(ledger)) == in_the_ledger(life.world)


@tried
@given(lives)
def test_the_ledger_has_no_gap_and_only_history(life: Life) -> None:
    seqs = [entry.seq for entry in life.entries if entry.seq is not None]
    assert seqs == list(range(1, len(seqs) + 1))
    assert life.world.ledger_seq == len(seqs)
    assert all((entry.seq is not None) is entry.record.ledgered for entry in life.entries)


@tried
@given(lives | lives_of_agents)
def test_a_refusal_changes_nothing(life: Life) -> None:
    for turn in life.turns:
        if isinstance(turn.decision.reply, Refusal):
            assert (turn.decision.entries, turn.decision.effects) == ((), ())
            assert turn.decision.world is turn.before


@tried
@given(lives | lives_of_agents)
def test_the_same_again_decides_the_same(life: Life) -> None:
    for turn in life.turns:
        before = copy.deepcopy(turn.event)
        assert decide(turn.before, turn.event, turn.now) == turn.decision
        assert turn.event == before


@tried
@given(lives | lives_of_agents, st.integers(0, 1_000_000))
def test_looking_changes_nothing_and_can_be_written_down(life: Life, later_s: int) -> None:
    for turn in life.turns[-8:]:
        world = turn.decision.world
        now = replace(turn.now, awake_s=turn.now.awake_s + later_s)
        same = fold(entry for each in life.turns[: life.turns.index(turn) + 1] for entry in each.decision.entries)
        seen = [
            report.why(world, now),
            report.next_state(world, now),
            report.sleep_view(world, now),
            report.cycle_progress(world),
            report.quarantine(world),
            [report.hold_view(hold, now) for hold in world.holds.by_id.values()],
            [agent_report.whole_agent(world, agent, now) for agent in world.agents.by_id.values()],
            [agent_report.slot_view(slot, world, now) for slot in world.agents.slots.values()],
            [deadline.at_s for deadline in deadlines(world)],
        ]
        assert world == same
        assert orjson.loads(orjson.dumps(seen)) is not None


@tried
@given(lives)
def test_transitions_go_down_by_neighbours_and_up_to_wake_only(life: Life) -> None:
    order = list(State)
    state = State.WAKE
    for entry in life.entries:
        if isinstance(entry.record, r.StateTransition):
            assert entry.record.from_ == state
            to = State(entry.record.to)
            assert to is State.WAKE or order.index(to) == order.index(state) + 1
            assert to is not state
            state = to
    assert life.state is state


@tried
@given(lives | lives_of_agents)
def test_whoever_is_busy_finds_it_awake_and_a_wish_waits_for_nothing_else(life: Life) -> None:
    for turn in life.turns:
        world = turn.decision.world
        agents = list(world.agents.by_id.values())
        working = [run for run in world.runs.live.values() if run.is_busy]
        working += [agent for agent in agents if agent.waking]
        at_work = [agent for agent in agents if agent.status in ("busy", "on_call") and not agent.quiet]
        assert world.busy == bool(world.holds.by_id or working or at_work)
        if world.holds.by_id or at_work:
            assert world.lifecycle.state is State.WAKE
        elif not working and world.lifecycle.wish and not world.process.leaving:
            assert world.lifecycle.state in (State.SLEEP, State.HIBERNATION)


@tried
@given(lives | lives_of_agents)
def test_effects_follow_from_records_and_from_nothing_else(life: Life) -> None:
    for turn in life.turns:
        decision, kinds = turn.decision, [entry.record.kind for entry in turn.decision.entries]
        count = {
            kind: sum(isinstance(effect, kind) for effect in decision.effects)
            for kind in (fx.StartWorker, fx.RunHook, fx.GoDown, fx.RunWakeCommand)
        }
        assert count[fx.RunHook] == kinds.count("state_transition")
        assert count[fx.StartWorker] == kinds.count("run_started")
        assert count[fx.RunWakeCommand] == kinds.count("agent_wake_started")
        hibernated = any(effect == fx.GoDown("hibernate") for effect in decision.effects)
        assert not hibernated or decision.world.lifecycle.state is State.HIBERNATION
        if decision.world.policy.shadow_run or decision.world.process.leaving:
            assert not hibernated
        elif decision.world.lifecycle.state is State.HIBERNATION and turn.before.lifecycle.state is State.SLEEP:
            assert hibernated


@tried
@given(lives)
def test_the_cycle_runs_in_sleep_and_sleep_has_a_cycle(life: Life) -> None:
    for turn in life.turns:
        world, cycle = turn.decision.world, turn.decision.world.cycle
        if cycle.phase == "running":
            assert world.lifecycle.state is State.SLEEP
            assert world.cycle_run is not None
        assert cycle.failures <= 3
        if world.lifecycle.state is State.SLEEP and not world.process.leaving:
            assert cycle.phase != "none", "SLEEP without a cycle would wait for nothing for ever"


def facts(life: Life, choice: int) -> dict[str, object]:
    return {"conditions": conditions(life, choice), "forbids_exit": FORBIDS[choice % len(FORBIDS)]}


@tried
@given(
    lives | lives_of_agents,
    st.lists(st.integers(0, 9), min_size=ENOUGH_DEADLINES, max_size=ENOUGH_DEADLINES),
    st.integers(0, 10**6),
)
def test_a_deadline_that_is_decided_moves_or_goes(life: Life, choices: list[int], later_s: int) -> None:
    life.advance(float(later_s))
    for choice in choices:
        due = life.due()
        for deadline in due:
            before = life.due()
            life.do(ev.DeadlinePassed(DUE, deadline.name, **facts(life, choice)))  # type: ignore[arg-type]
            if deadline in before:
                assert deadline not in life.due()
    assert life.due() == []


@tried
@given(lives | lives_of_agents)
def test_nobody_is_ever_stuck(life: Life) -> None:
    if life.world.process.leaving:
        life.start(cause="manual")
    for hold_id in list(life.world.holds.by_id):
        life.release(hold_id)
    for _, agent_id in list(life.world.agents.ids):
        life.tell("idle", agent_id)
    for run in list(life.world.runs.live.values()):
        if run.flow in ENDLESS and not run.cycle and run.status is not RunStatus.FAILED:
            life.order("cancel", run.run_id)
    for _ in range(80):
        life.all_finish()
        for agent_id in sorted(life.world.agents.waking.keys()):
            life.do(ae.WakeCommandEnded(SHELL, agent_id, life.agent(agent_id).waking or ""))
        if life.state is State.HIBERNATION:
            break
        life.pass_(life.next_deadline().name)
    assert life.state == "HIBERNATION"
    far_s = life.now.awake_s + life.world.policy.planned_reach_s
    left = [
        deadline
        for deadline in deadlines(life.world)
        if deadline.name not in (*OF_AGENTS, "arm_due") and (deadline.name != "retry_due" or deadline.at_s <= far_s)
    ]
    assert left == [], "nothing is left that would wake the process; a late attempt is made after the next start"
    life.do(ev.ClientTrigger(CLIENT, Trigger.REQUEST_ARRIVED))
    assert life.state is State.WAKE


@tried
@given(lives | lives_of_agents)
def test_whatever_is_reached_survives_the_end_of_the_process(life: Life) -> None:
    before = life.world
    life.do(ev.Leaving(SHELL, "hibernate"))
    life.start(cause="connect")
    assert life.state is State.WAKE
    assert life.world.process.generation == before.process.generation + 1
    kept = {hold_id: hold for hold_id, hold in before.holds.by_id.items() if hold.connection is None}
    assert life.world.holds.by_id == kept
    agents = before.agents.by_id.values()
    assert life.world.agents.by_id == Map.of((agent.agent_id, replace(agent, waking=None)) for agent in agents)
    planned = {"state": SlotState.PLANNED, "again_awake_s": None, "told": False}
    assert life.world.agents.slots == Map.of(
        (slot.slot_id, slot if slot.again_awake_s is None else replace(slot, **planned))  # type: ignore[arg-type]
        for slot in before.agents.slots.values()
    )
