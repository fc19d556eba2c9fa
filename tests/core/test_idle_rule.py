"""The idle rule over random histories, beside a reckoning of its own that knows events and clocks and no world."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given

from core.histories import OF_AGENTS, lives, lives_of_agents, tried
from core.life import Life, Turn
from torpord.core import agent_events as ae
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core import run_events as re
from torpord.core.agents import Agent
from torpord.core.draft import Refusal
from torpord.core.lifecycle import Trigger
from torpord.core.runs import Run

# Deadlines that are not the lifecycle's own: it moves in them only by a wish that had waited for their like.
OF_OTHERS = ("hold_expired", "retry_due", "arm_due", *OF_AGENTS)


@dataclass(slots=True)
class Reckoning:
    """What somebody with a stop watch would know. All times are awake time."""

    last_s: float = 0.0
    began_s: float = 0.0
    asleep_s: float = 0.0
    idle_since_s: float = 0.0
    boot_id: str = ""
    wanted: bool = False
    held: set[str] = field(default_factory=set)
    working: set[str] = field(default_factory=set)  # runs that do something, or shall; agents at work, or being woken

    def note(self, turn: Turn) -> None:
        """Take a turn in, after it was judged."""
        event, now_s = turn.event, turn.now.awake_s
        moved = [entry.record for entry in turn.decision.entries if isinstance(entry.record, r.StateTransition)]
        if isinstance(event, ev.ProcessStarted):
            self._restart(event, now_s)
        if used(turn):
            self.idle_since_s = now_s
        was_busy = bool(self.held or self.working)
        for record in (entry.record for entry in turn.decision.entries):
            if isinstance(record, r.HoldAcquired):
                self.held.add(record.hold_id)
            elif isinstance(record, r.HoldReleased):
                self.held.remove(record.hold_id)
        world = turn.decision.world
        self.working = {run.run_id for run in world.runs.live.values() if works(run)}
        self.working |= {agent_id for agent_id, agent in world.agents.by_id.items() if at_work(agent) or agent.waking}
        if was_busy and not self.held and not self.working:
            self.idle_since_s = now_s
        if wishes(turn):
            self.wanted = True
        for record in moved:
            if record.to == "SLEEP":
                self.asleep_s = now_s
            if record.to == "WAKE":
                self.wanted = False
        self.last_s = now_s

    def _restart(self, event: ev.ProcessStarted, now_s: float) -> None:
        if self.boot_id not in ("", event.boot_id):  # the machine was off: that was no time awake, and no use either
            shift_s = now_s - self.last_s
            self.idle_since_s += shift_s
            self.asleep_s += shift_s
        self.boot_id, self.began_s, self.wanted = event.boot_id, now_s, False


def wishes(turn: Turn) -> bool:
    """Say whether somebody wants hibernation: a client, or a worker that only the next process can be served by."""
    if isinstance(turn.decision.reply, Refusal):
        return False
    event = turn.event
    return isinstance(event, ev.HibernateWanted) or (isinstance(event, re.WorkerOutdated) and event.replaced)


def works(run: Run) -> bool:
    """Say whether a run is a reason to stay awake: not the cycle's, not at rest, and not only waiting for a time."""
    if run.cycle or run.awaits_start or run.status not in ("pending", "running"):
        return False
    if run.worker and not run.loaded:
        return True
    return {place.status for place in run.places} - {"forked", "at_join", "failed"} != {"waiting"}


def at_work(agent: Agent | None) -> bool:
    """Say whether an agent works, as far as anybody knows: one that is quiet said so too long ago."""
    return agent is not None and agent.online and not agent.quiet and agent.exhaustion is None and agent.doing != "idle"


def used(turn: Turn) -> bool:
    """Say whether an event was somebody's use of the daemon."""
    match turn.event:
        case _ if isinstance(turn.decision.reply, Refusal):
            return False
        case ev.ClientTrigger(trigger=trigger):
            return trigger is not Trigger.FORCE_SLEEP
        case ev.HoldRequested() | ev.HoldReleaseRequested() | ev.WayProven():
            return True
        case re.RunWanted() | re.RunOrdered() | re.RunImportWanted():
            return True
        case ae.AgentBeat(agent_id=agent_id):
            before, after = turn.before.agents.by_id.get(agent_id), turn.decision.world.agents.by_id.get(agent_id)
            return at_work(before) or at_work(after)
        case ev.AgentWord():
            return True
        case ev.SettingsRead(by_request=by_request):
            return by_request
        case ev.ProcessStarted(start_cause=cause):
            return cause != "crash" or turn.before.lifecycle.state == "HIBERNATION"
        case _:
            return False


def judge(turn: Turn, known: Reckoning, record: r.StateTransition) -> None:
    """Judge one transition by what the idle times promise."""
    event, now_s, policy = turn.event, turn.now.awake_s, turn.before.policy
    idle_s = now_s - known.idle_since_s
    if record.to == "WAKE":
        woken = any(each.record.kind == "agent_wake_started" for each in turn.decision.entries)
        assert used(turn) or woken
        return
    if not isinstance(event, ev.DeadlinePassed) or event.deadline in OF_OTHERS:
        forced = isinstance(event, ev.ClientTrigger) and event.trigger is Trigger.FORCE_SLEEP
        assert forced or known.wanted or wishes(turn)
        assert record.to != "HIBERNATION", "to end the process is never done at once, but by its deadline"
        return
    assert not known.held
    assert not known.working
    if record.to == "DROWSY":
        assert idle_s >= policy.drowsy_after_s
    elif record.to == "SLEEP":
        assert idle_s >= policy.sleep_after_s
        assert all(condition.met is not False for condition in event.conditions)
    else:
        assert now_s - known.began_s >= policy.min_up_s
        assert not event.forbids_exit
        untouched = known.idle_since_s <= known.asleep_s
        assert untouched or known.wanted or idle_s >= policy.hibernate_grace_s


@tried
@given(lives | lives_of_agents)
def test_it_never_sinks_too_early_nor_while_busy(life: Life) -> None:
    known = Reckoning()
    for turn in life.turns:
        moved = [entry.record for entry in turn.decision.entries if isinstance(entry.record, r.StateTransition)]
        for record in moved:
            judge(turn, known, record)
        if isinstance(turn.event, ev.DeadlinePassed) and turn.event.deadline not in OF_OTHERS:
            assert len(moved) <= 1, "a deadline that was overrun moves one state"
        known.note(turn)


@tried
@given(lives | lives_of_agents)
def test_only_use_counts_and_looking_is_none(life: Life) -> None:
    for turn in life.turns:
        before, after = turn.before.activity, turn.decision.world.activity
        if isinstance(turn.event, ev.ProcessStarted):
            continue
        assert after.event_seq - before.event_seq == int(used(turn))
        assert (after.last_ts == turn.now.wall_s) if used(turn) else (after.last_ts == before.last_ts)
