"""Moving through the states: what each transition brings with it, and the sleep cycle's own decisions."""

from __future__ import annotations

from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core.deadlines import hibernate_at, still_idle
from torpord.core.draft import Draft
from torpord.core.lifecycle import Guard, State, Trigger, compute_transition
from torpord.core.policy import DAY_S
from torpord.core.world import World

# The built-in housekeeping of the store, in order: a store that fails its check is not backed up over a good backup.
CYCLE_STEPS = ("trim", "checkpoint", "optimize", "integrity_check", "backup")

FIRST_RETRY_S = 600.0
FAILURES_TO_QUARANTINE = 3
QUARANTINE_S = DAY_S
RECHECK_S = 60.0

NOTHING: frozenset[Guard] = frozenset()


def move(draft: Draft, trigger: Trigger, guards: frozenset[Guard] = NOTHING) -> bool:
    """Let a trigger act on the state, with all that belongs to the transition. Returns whether there was one."""
    state = draft.world.lifecycle.state
    to = compute_transition(state, trigger, guards)
    if to is state:
        return False
    if draft.world.cycle.phase == "running":
        draft.record(r.SleepCycleInterrupted(draft.world.cycle.next_step))
        draft.effects.append(fx.StopCycle())
    record = r.StateTransition(from_=state.value, to=to.value, trigger=trigger.value)
    draft.record(record)
    hook = "on_hibernate" if to is State.HIBERNATION else f"on_{to.value.lower()}"
    draft.effects.append(fx.RunHook(hook, record.data()))
    if to is State.SLEEP:
        begin_cycle(draft)
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
    cycle = draft.world.cycle
    if draft.world.lifecycle.wish == "now" and cycle.phase == "running":
        draft.record(r.SleepCycleInterrupted(cycle.next_step))
        draft.effects.append(fx.StopCycle())
        draft.record(r.SleepCycleSkipped("hibernation was asked for at once", None))


def begin_cycle(draft: Draft) -> None:
    """Begin the sleep cycle, or go on with it; or say why there is none in this SLEEP."""
    cycle, wall_s = draft.world.cycle, draft.now.wall_s
    if cycle.quarantine_until_ts is not None:
        if wall_s < cycle.quarantine_until_ts:
            draft.record(r.SleepCycleSkipped("quarantine", cycle.quarantine_until_ts))
            return
        draft.record(r.QuarantineLifted(cycle.failed_step))
        cycle = draft.world.cycle
    if cycle.retry_ts is not None and wall_s < cycle.retry_ts:
        draft.record(r.SleepCycleSkipped("it failed lately", cycle.retry_ts))
        return
    if draft.world.lifecycle.wish == "now":
        draft.record(r.SleepCycleSkipped("hibernation was asked for at once", None))
        return
    if not cycle.next_step and cycle.completed_ts is not None:
        due_ts = cycle.completed_ts + draft.world.policy.sleep_min_interval_s
        # A completion in the future is a wall clock that was set back: then it is due, rather than not for years.
        if cycle.completed_ts <= wall_s < due_ts:
            draft.record(r.SleepCycleSkipped("not due yet", due_ts))
            return
    step = cycle.next_step or CYCLE_STEPS[0]
    draft.record(r.SleepCycleStarted(step, resumed=bool(cycle.next_step)))
    draft.effects.append(fx.StartCycle(step))


def step_ended(draft: Draft, event: ev.CycleStepEnded) -> None:
    """Take a finished step; also one that ended in the instant of an interruption, so that it is not done twice."""
    if event.step != draft.world.cycle.next_step:
        return
    index = CYCLE_STEPS.index(event.step) + 1
    next_step = CYCLE_STEPS[index] if index < len(CYCLE_STEPS) else None
    draft.record(r.SleepCycleStepDone(event.step, next_step, event.duration_s, event.result))
    if next_step is None:
        cycle = draft.world.cycle
        draft.record(r.SleepCycleDone(started_ts=cycle.started_ts, duration_s=cycle.worked_s))


def step_failed(draft: Draft, event: ev.CycleStepFailed) -> None:
    """Keep the failure, put off the next try: 10 minutes, doubling to a day; three in a row at one step: quarantine."""
    cycle, wall_s = draft.world.cycle, draft.now.wall_s
    # One that was told to give way may end as a failure: an interruption is no strike.
    if cycle.phase != "running" or event.step != cycle.next_step:
        return
    failures = cycle.failures + 1 if cycle.failed_step == event.step else 1
    retry_ts = wall_s + min(FIRST_RETRY_S * 2 ** (failures - 1), DAY_S)
    draft.record(r.SleepCycleFailed(event.step, event.error, failures, retry_ts))
    if failures >= FAILURES_TO_QUARANTINE:
        draft.record(r.QuarantineEntered(event.step, wall_s + QUARANTINE_S))


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
    if event.forbids_exit != world.lifecycle.blocked_by:
        draft.record(r.HibernationBlocked(event.forbids_exit))
    if event.forbids_exit:
        again_s = draft.now.awake_s + max(RECHECK_S, world.policy.hibernate_grace_s)
        draft.record(r.HibernationRechecked(again_s))
        return
    if draft.now.awake_s < hibernate_at(world):
        return
    if still_idle(world):
        move(draft, Trigger.SLEEP_CYCLE_DONE, frozenset({Guard.STILL_IDLE}))
    else:
        move(draft, Trigger.HIBERNATION_GRACE_EXPIRED, frozenset({Guard.GRACE_OVER}))


def outstanding(world: World) -> tuple[fx.Effect, ...]:
    """Return the effects a world still asks for: what to do again where it is not known whether they were begun."""
    watches = tuple(
        fx.WatchProcess(hold.hold_id, hold.pid, hold.pid_start)
        for hold in world.holds.by_id.values()
        if hold.pid is not None and hold.pid_start is not None
    )
    if world.process.leaving:
        return (*watches, fx.GoDown(world.process.leaving))
    if world.lifecycle.state is State.HIBERNATION and not world.policy.shadow_run:
        return (*watches, fx.GoDown("hibernate"))
    if world.cycle.phase == "running":
        return (*watches, fx.StartCycle(world.cycle.next_step))
    return watches
