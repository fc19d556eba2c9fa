"""What holds of agents and slots in every life, whatever happens in it: properties over random histories."""

from __future__ import annotations

from hypothesis import given

from core.histories import lives_of_agents, tried
from core.life import Life
from torpord.core import agent_events as ae
from torpord.core import agent_records as ar
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core.agents import MOST_WAKING, STATUSES, Agents, SlotState
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State


def in_step(agents: Agents) -> None:
    """Look at every agent and slot, and see that all that is kept beside them says the same."""
    by_id = dict(agents.by_id.items())
    names = sorted(by_id)
    assert list(agents.ids) == [(0.0, name) for name in names]
    assert sorted(agents.seen.keys()) == names
    assert agents.counts == tuple(sum(agent.status is status for agent in by_id.values()) for status in STATUSES)
    assert len(agents.by_id) == len(by_id)
    for marked, which in (
        (agents.working, lambda agent: agent.status in ("busy", "on_call") and not agent.quiet),
        (agents.silent, lambda agent: agent.status in ("busy", "on_call") and agent.quiet),
        (agents.waking, lambda agent: agent.waking is not None),
        (agents.tied, lambda agent: agent.card is not None and agent.card.pid is not None),
    ):
        assert sorted(marked.keys()) == [name for name in names if which(by_id[name])]
    present = sorted(
        (agents.seen[name].filed_s, name) for name in names if by_id[name].online and not by_id[name].quiet
    )
    assert list(agents.presence) == present
    ends = sorted((agent.exhaustion.recovery_ts, name) for name, agent in by_id.items() if agent.exhaustion)
    assert list(agents.recoveries) == ends
    slots = list(agents.slots.values())
    planned = sorted((slot.due_s, slot.slot_id) for slot in slots if slot.state is SlotState.PLANNED)
    assert list(agents.wakes) == planned
    queued = [slot for slot in slots if slot.state is SlotState.QUEUED]
    offered = [slot for slot in slots if slot.state is SlotState.OFFERED]
    paused = [slot for slot in queued if slot.again_awake_s is not None]
    assert list(agents.offers) == sorted((slot.again_awake_s or -1.0, slot.slot_id) for slot in (*offered, *paused))
    in_line = sorted((-slot.priority, slot.due_s, slot.slot_id) for slot in queued if slot.again_awake_s is None)
    assert [slot_id for _, slot_id in agents.queue] == [slot_id for _, _, slot_id in in_line]
    for name, agent in by_id.items():
        mine = sorted((slot.at_ts, slot.slot_id) for slot in slots if slot.agent_id == name)
        assert agent.slots == tuple(slot_id for _, slot_id in mine)
        taken = [slot.slot_id for slot in slots if slot.agent_id == name and slot.state is SlotState.TAKEN]
        assert taken == ([agent.slot_id] if agent.slot_id else [])


@tried
@given(lives_of_agents)
def test_what_is_kept_beside_agents_is_what_a_scan_finds(life: Life) -> None:
    for turn in life.turns:
        in_step(turn.decision.world.agents)


@tried
@given(lives_of_agents)
def test_nobody_is_quiet_without_a_process_that_is_watched(life: Life) -> None:
    for turn in life.turns:
        agents = turn.decision.world.agents
        for name, agent in agents.by_id.items():
            assert not agent.quiet or (agent.online and agent.card is not None and agent.card.pid is not None)
            before = turn.before.agents.by_id.get(name)
            if agent.quiet and before is not None and not before.quiet:
                assert isinstance(turn.event, ev.DeadlinePassed)
                assert (agent.status, agent.since_ts, agent.source) == (before.status, before.since_ts, before.source)
                assert turn.now.awake_s - agents.seen[name].awake_s >= turn.before.policy.heartbeat_timeout_s
            elif before is not None and before.quiet and agent.online and not agent.quiet:
                told = isinstance(turn.event, ev.AgentWord) and agents.seen[name].awake_s == turn.now.awake_s
                assert told or isinstance(turn.event, ae.AgentProcessUnwatched)


@tried
@given(lives_of_agents)
def test_all_at_once_gives_the_same_as_one_by_one(life: Life) -> None:
    agents = life.world.agents
    assert Agents.of(agents.by_id.values(), dict(agents.seen.items()), agents.slots.values()) == agents


@tried
@given(lives_of_agents)
def test_an_exhausted_agent_does_nothing_and_has_nothing(life: Life) -> None:
    for turn in life.turns:
        agents = turn.decision.world.agents
        for agent in agents.by_id.values():
            states = {agents.slots[slot_id].state for slot_id in agent.slots}
            if agent.exhaustion is not None:
                assert (agent.doing, agent.slot_id) == ("idle", None)
                assert SlotState.TAKEN not in states
            else:
                assert all(agents.slots[slot_id].until_ts is None for slot_id in agent.slots)
            if agent.online:
                assert SlotState.WAITING not in states, "who is there can be told"


@tried
@given(lives_of_agents)
def test_a_recovery_moves_nearer_for_two_reasons_only(life: Life) -> None:
    for turn in life.turns:
        before, event = turn.before.agents.by_id, turn.event
        for agent_id, agent in turn.decision.world.agents.by_id.items():
            known = before[agent_id].exhaustion if agent_id in before else None
            if known is None or agent.exhaustion is None or agent.exhaustion == known:
                continue
            assert isinstance(event, ae.AgentMoveWanted)
            assert agent.exhaustion.at_ts == known.at_ts, "it is one and the same exhaustion"
            if agent.exhaustion.recovery_ts < known.recovery_ts:
                assert event.force or (known.source == "estimated" != agent.exhaustion.source)
            if agent.exhaustion.source == "estimated":
                assert event.force or known.source == "estimated"


@tried
@given(lives_of_agents)
def test_an_exhaustion_ends_by_its_time_or_a_word_and_by_nothing_else(life: Life) -> None:
    """Not by silence, not by coming back, not by a start."""
    for turn in life.turns:
        for entry in turn.decision.entries:
            if not isinstance(entry.record, ar.AgentRecovered):
                continue
            known = turn.before.agents.by_id[entry.record.agent_id].exhaustion
            assert known is not None
            if entry.record.how == "reached":
                assert known.recovery_ts <= turn.now.wall_s
            else:
                told = isinstance(turn.event, ae.AgentMoveWanted) and turn.event.to == "idle"
                assert told or known.source == "estimated"


@tried
@given(lives_of_agents)
def test_a_change_of_status_is_in_the_ledger_and_dated(life: Life) -> None:
    for turn in life.turns:
        before, after = turn.before.agents.by_id, turn.decision.world.agents.by_id
        ledgered = {e.record.agent_id for e in turn.decision.entries if isinstance(e.record, r.AgentRecord) and e.seq}
        for agent_id, agent in after.items():
            was = before.get(agent_id)
            if was is None or was.status is not agent.status:
                assert agent_id in ledgered
                assert agent.since_ts == turn.now.wall_s
            elif not any(e.record.kind == "agent_forgotten" for e in turn.decision.entries):
                moved = any(e.record.kind in ("agent_online", "agent_offline") for e in turn.decision.entries)
                assert moved or agent.since_ts == was.since_ts or agent_id in ledgered


@tried
@given(lives_of_agents)
def test_nobody_hears_of_a_slot_twice_before_its_pause_is_over(life: Life) -> None:
    told: dict[str, int] = {}
    for entry in life.entries:
        if isinstance(entry.record, ar.SlotsTold):
            for slot_id in entry.record.slot_ids:
                told[slot_id] = told.get(slot_id, 0) + 1
        elif isinstance(entry.record, ar.SlotOffered):
            assert told.get(entry.record.slot_id, 0) < entry.record.offers
    for slot_id, slot in life.world.agents.slots.items():
        assert told.get(slot_id, 0) <= slot.offers


@tried
@given(lives_of_agents)
def test_who_cannot_be_told_now_is_not_offered_anything(life: Life) -> None:
    """Each offer tells somebody, and only that counts and makes the pause before the next one longer."""
    for turn in life.turns:
        waking = len(turn.before.agents.waking)
        assert len(turn.decision.world.agents.waking) <= max(waking, MOST_WAKING)
        for entry in turn.decision.entries:
            if isinstance(entry.record, ar.SlotOffered):
                assert entry.record.via in ("agent", "command")
            elif isinstance(entry.record, ar.SlotQueued):
                before = turn.before.agents.slots[entry.record.slot_id]
                slot = turn.decision.world.agents.slots.get(entry.record.slot_id)
                assert slot is None or slot.offers == before.offers or slot.state is SlotState.OFFERED


@tried
@given(lives_of_agents)
def test_a_slot_is_taken_once_and_by_its_agent(life: Life) -> None:
    taken: set[str] = set()
    for turn in life.turns:
        for entry in turn.decision.entries:
            record = entry.record
            if isinstance(record, ar.SlotTaken):
                assert record.slot_id not in taken
                taken.add(record.slot_id)
            elif isinstance(record, ar.SlotDeferred):
                taken.discard(record.slot_id)  # it is to be done all over again
        if isinstance(turn.event, ae.SlotTakeWanted) and not isinstance(turn.decision.reply, Refusal):
            assert turn.event.agent_id in (None, turn.before.agents.slots[turn.event.slot_id].agent_id)


@tried
@given(lives_of_agents)
def test_it_never_hibernates_with_a_wake_in_reach_that_nothing_would_bring(life: Life) -> None:
    for turn in life.turns:
        for entry in turn.decision.entries:
            if isinstance(entry.record, r.StateTransition) and entry.record.to == State.HIBERNATION:
                wake_ts = turn.before.agents.next_wake_ts
                assert wake_ts is None or wake_ts > turn.now.wall_s + turn.before.policy.planned_reach_s
