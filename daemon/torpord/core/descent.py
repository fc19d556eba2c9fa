"""Moving through the states: what each transition brings with it, and what the way down waits for."""

from __future__ import annotations

from collections.abc import Iterator

from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core.cycle import begin_cycle
from torpord.core.cycle_due import ASKED_AT_ONCE
from torpord.core.deadlines import hibernate_at, stays_for, still_idle
from torpord.core.draft import Draft
from torpord.core.lifecycle import Guard, State, Trigger, compute_transition
from torpord.core.running import give_way, schedule
from torpord.core.world import World

RECHECK_S = 60.0

NOTHING: frozenset[Guard] = frozenset()


def move(draft: Draft, trigger: Trigger, guards: frozenset[Guard] = NOTHING) -> bool:
    """Let a trigger act on the state, with all that belongs to the transition. Returns whether there was one."""
    state = draft.world.lifecycle.state
    to = compute_transition(state, trigger, guards)
    if to is state:
        return False
    give_way(draft)
    record = r.StateTransition(from_=state.value, to=to.value, trigger=trigger.value)
    draft.record(record)
    hook = "on_hibernate" if to is State.HIBERNATION else f"on_{to.value.lower()}"
    draft.effects.append(fx.RunHook(hook, record.data()))
    if to is State.SLEEP:
        begin_cycle(draft)
        schedule(draft)
    elif to is State.HIBERNATION:
        _hibernate(draft)
    return True


def _hibernate(draft: Draft) -> None:
    if draft.world.policy.shadow_run:
        note = "shadow_run is set: the state is kept, the process stays"
        draft.record(r.ShadowRunWarning(would_action="exit", blocked_by="shadow_run", note=note))
    else:
        draft.effects.append(fx.GoDown("hibernate"))


def descend(draft: Draft) -> None:
    """Go towards hibernation as fast as is allowed: nothing is busy, and somebody asked for it."""
    move(draft, Trigger.FORCE_SLEEP)
    move(draft, Trigger.FORCE_SLEEP)
    if draft.world.lifecycle.wish == "now" and draft.world.cycle.phase == "running":
        give_way(draft)
        draft.record(r.SleepCycleSkipped(ASKED_AT_ONCE, None))


def sleep_due(draft: Draft, event: ev.DeadlinePassed) -> None:
    """Fall asleep if every condition holds; else say what stands in the way, and when to look again."""
    unmet = [condition for condition in event.conditions if condition.met is False]
    unreadable = tuple(condition.name for condition in event.conditions if condition.met is None)
    if not unmet:
        move(draft, Trigger.SLEEP_DUE, frozenset({Guard.SLEEP_ELIGIBLE}))
        if unreadable:  # after the transition, which forgets the last reading: `why` names what it slept without
            draft.record(r.SleepRechecked(None, None, unreadable))
        return
    postponed = tuple({"name": condition.name, "found": condition.found} for condition in unmet)
    if [each["name"] for each in postponed] != [each["name"] for each in draft.world.sleep.postponed]:
        draft.record(r.SleepPostponed(postponed))
    known = [condition.changes_at_wall_s for condition in unmet if condition.changes_at_wall_s is not None]
    # What tells its own time is looked at then; only what does not is looked at every minute, and only meanwhile.
    poll = len(known) < len(unmet)
    next_awake_s = draft.now.awake_s + RECHECK_S if poll else None
    draft.record(r.SleepRechecked(next_awake_s, None if poll else min(known), unreadable))


def hibernate_due(draft: Draft, event: ev.DeadlinePassed) -> None:
    """Hibernate, unless something forbids the exit: then stay in SLEEP and name it."""
    world = draft.world
    forbids = (*event.forbids_exit, *_planned(draft))
    if forbids != world.lifecycle.blocked_by:
        draft.record(r.HibernationBlocked(forbids))
    if forbids:
        again_s = max(RECHECK_S, world.policy.hibernate_grace_s)
        if not event.forbids_exit and world.agents.next_wake_ts is not None:
            # Until then nothing else can make a difference, but for what moves the wake: that asks for a look at once.
            again_s = max(1.0, world.agents.next_wake_ts - draft.now.wall_s)
        draft.record(r.HibernationRechecked(draft.now.awake_s + again_s))
        return
    if draft.now.awake_s < hibernate_at(world):
        return
    staying = stays_for(world, draft.now.awake_s)
    if staying is not None and staying.retry_awake_s is not None:
        draft.record(r.HibernationRechecked(staying.retry_awake_s))  # how late it is, a world alone does not know
        return
    if not _timer_settled(draft):
        return
    if still_idle(world):
        move(draft, Trigger.SLEEP_CYCLE_DONE, frozenset({Guard.STILL_IDLE}))
    else:
        move(draft, Trigger.HIBERNATION_GRACE_EXPIRED, frozenset({Guard.GRACE_OVER}))


def _planned(draft: Draft) -> tuple[str, ...]:
    if draft.world.agents.next_wake_ts is None:
        return ()
    from torpord.core.planned import planned  # noqa: PLC0415 - a daemon without slots does without

    return planned(draft.world, draft.now)


def _timer_settled(draft: Draft) -> bool:
    world = draft.world
    if world.wanted_wake_ts is None and not world.planned.differs(None) and not world.planned.asked:
        return True
    from torpord.core.planned import settled  # noqa: PLC0415 - likewise

    return settled(draft)


def outstanding(world: World) -> tuple[fx.Effect, ...]:
    """Return the effects a world still asks for: what to do again where it is not known whether they were begun."""
    watches: tuple[fx.Effect, ...] = (*_watches(world), *_watched_agents(world))
    if world.planned.asked:
        watches = (*watches, fx.ArmWake(world.planned.asked_ts))
    if world.process.leaving:
        return (*watches, fx.GoDown(world.process.leaving))
    if world.lifecycle.state is State.HIBERNATION and not world.policy.shadow_run:
        return (*watches, fx.GoDown("hibernate"))
    workers = tuple(fx.StartWorker(run.run_id, run.worker) for run in world.runs.live.values() if run.worker)
    return (*watches, *workers, *_wake_commands(world))


def _watches(world: World) -> Iterator[fx.Effect]:
    for hold in world.holds.by_id.values():
        if hold.pid is not None and hold.pid_start is not None:
            yield fx.WatchProcess(hold.hold_id, hold.pid, hold.pid_start)


def _watched_agents(world: World) -> Iterator[fx.Effect]:
    for agent_id in sorted(world.agents.tied.keys()):
        card = world.agents.by_id[agent_id].said
        if card.pid is not None and card.pid_start is not None:
            yield fx.WatchAgent(agent_id, card.pid, card.pid_start)


def _wake_commands(world: World) -> Iterator[fx.Effect]:
    for agent_id in sorted(world.agents.waking.keys()):
        yield fx.RunWakeCommand(agent_id, world.agents.by_id[agent_id].waking or "")
