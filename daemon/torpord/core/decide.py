"""`decide`: what follows from an event, in a world, at a time. Pure: the same three give the same decision, always."""

from __future__ import annotations

from itertools import islice
from typing import Any

from torpor import wire
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core import run_events as re
from torpord.core import run_requests, running, step_reports
from torpord.core.cycle import begin_cycle, go_on
from torpord.core.deadlines import deadlines
from torpord.core.descent import descend, hibernate_due, move, sleep_due
from torpord.core.draft import Decision, Draft, Refusal, Reply
from torpord.core.lifecycle import ACTIVITY, Guard, State, Trigger
from torpord.core.moment import Now
from torpord.core.report import iso
from torpord.core.world import World

_CLIENTS = (
    ev.ClientTrigger,
    ev.HoldRequested,
    ev.HoldReleaseRequested,
    ev.HibernateWanted,
    ev.SettingsRead,
    re.RunWanted,
    re.RunOrdered,
    re.RunImportWanted,
    ev.AgentWord,
    ev.WayProven,
)

_TOUCH = r.ActivitySeen()


def decide(world: World, event: ev.Event, now: Now) -> Decision:
    """Return the records, the world after them, the effects and the reply that follow from `event`.

    Never raises for what a client may send: a request that is not granted gives a `Refusal` and no record.
    """
    draft = Draft(world, now, event.cause)
    if world.process.leaving and isinstance(event, _CLIENTS):
        return draft.decision(Refusal("draining", "the daemon is on its way out: ask again, its successor will answer"))
    reply = _decide(draft, event)
    _go_on_sleeping(draft, world)
    _carry_out_wish(draft)
    return draft.decision(reply)


def _go_on_sleeping(draft: Draft, before: World) -> None:
    """Do what else a sleep has to do, once its cycle has ended in it."""
    world = draft.world
    if before.cycle.phase != "running" or world.cycle.phase != "ended" or world.process.leaving:
        return
    if world.lifecycle.state is State.SLEEP:
        go_on(draft)
        running.schedule(draft)


def _carry_out_wish(draft: Draft) -> None:
    """Go down as soon as nothing is busy any more, whatever it was that ended last."""
    world = draft.world
    # On the way out the state stays as it is: a connection that closes then carries out no wish.
    if world.lifecycle.wish and not world.busy and not world.process.leaving:
        descend(draft)


def _decide(draft: Draft, event: ev.Event) -> Reply:
    match event:
        case ev.ClientTrigger():
            return _client_trigger(draft, event)
        case ev.HoldRequested():
            return _hold_requested(draft, event)
        case ev.HoldReleaseRequested():
            return _hold_release(draft, event)
        case ev.HibernateWanted():
            return _hibernate_wanted(draft, event)
        case ev.StopWanted():
            return _stop_wanted(draft, event)
        case ev.SettingsRead():
            return _settings_read(draft, event)
        case ev.AgentEvent():
            return _of_agents(draft, event)
        case re.WorkerEvent():
            return _of_worker(draft, event)
        case re.RunWanted() | re.RunOrdered() | re.RunImportWanted():
            return _run_asked(draft, event)
        case re.RunExpired():
            run_requests.expired(draft, event)
        case ev.DeadlinePassed():
            _deadline_passed(draft, event)
        case ev.ProcessStarted():
            _process_started(draft, event)
        case ev.ConnectionClosed():
            closed = [h.hold_id for h in draft.world.holds.by_id.values() if h.connection == event.connection]
            _end_holds(draft, closed, "connection_closed")
        case ev.HolderEnded():
            _end_holds(draft, [event.hold_id], "process_ended")
        case ev.SuspendSeen():
            draft.record(r.ResumedFromSuspend(event.asleep_s, event.suspended_s))
        case ev.StallSeen():
            draft.record(r.ResumedFromStall(event.stalled_s))
        case ev.FileRejected():
            draft.record(r.WakeRejected(event.name, event.why))
        case ev.HookProblem():
            draft.record(r.HookFailed(event.hook, event.command, event.problem))
        case ev.WakeArmed():
            from torpord.core import planned  # noqa: PLC0415  # it was asked, so it is there

            planned.answered(draft, event.at_ts, event.problem)
        case ev.WayProven():
            return _way_proven(draft, event)
        case ev.Leaving():
            draft.record(r.Stopped(event.reason, draft.world.lifecycle.state.value))
        case _:
            raise AssertionError(f"decide has no arm for the event {type(event).__name__}")
    return None


def _of_worker(draft: Draft, event: re.WorkerEvent) -> Reply:
    match event:
        case re.StepReported():
            return step_reports.step_reported(draft, event)
        case re.CallReported():
            return step_reports.call_reported(draft, event)
        case re.JoinReported():
            return step_reports.join_reported(draft, event)
        case re.WorkerLoaded():
            return running.worker_loaded(draft, event)
        case re.WorkerCannotLoad():
            return running.worker_cannot_load(draft, event)
        case re.WorkerOutdated():
            return running.worker_outdated(draft, event)
        case re.WorkerGone():
            running.worker_gone(draft, event)
        case _:
            raise AssertionError(f"decide has no arm for the event {type(event).__name__}")
    return None


def _of_agents(draft: Draft, event: ev.AgentEvent) -> Reply:
    from torpord.core.agent_requests import decided  # noqa: PLC0415  # most daemons have no agents

    return decided(draft, event)


def _run_asked(draft: Draft, event: re.RunWanted | re.RunOrdered | re.RunImportWanted) -> Reply:
    """Take a client's word about a run; one that is granted is a request like any other, and wakes."""
    refusal = run_requests.refusal(draft.world, event)
    if refusal is not None:
        return refusal
    touch(draft, Trigger.REQUEST_ARRIVED)
    return run_requests.granted(draft, event)


def touch(draft: Draft, trigger: Trigger) -> bool:
    """Count somebody's touch and let it act on the state. Returns whether the state changed."""
    if trigger in ACTIVITY:
        draft.record(_TOUCH)
    return move(draft, trigger)


def busy_because(world: World) -> list[dict[str, str]]:
    """Name what is busy, the first hundred of each kind: what a `conflict` and a waiting `hibernate` show."""
    holds = islice(world.holds.by_id.values(), 100)
    named = [{"kind": "hold", "hold_id": h.hold_id, "who": h.who, "why": h.why} for h in holds]
    if world.agents.working or world.agents.waking:
        from torpord.core.agent_report import busy_agents  # noqa: PLC0415  # most daemons have no agents

        named += busy_agents(world, 100)
    runs = islice(world.runs.busy, 100)
    return named + [
        {"kind": "run", "run_id": u.run_id, "who": u.flow, "why": f"run {u.run_id} is at {u.at or u.status}"}
        for u in runs
    ]


def _client_trigger(draft: Draft, event: ev.ClientTrigger) -> Reply:
    more: dict[str, Any] = {}
    if event.trigger is Trigger.FORCE_SLEEP:
        if draft.world.busy:
            return _busy(draft.world)
        before = draft.world.lifecycle.state
        if move(draft, Trigger.FORCE_SLEEP) and before is State.WAKE:
            move(draft, Trigger.FORCE_SLEEP)
        changed = draft.world.lifecycle.state is not before
        skipped = [each.record for each in draft.entries if isinstance(each.record, r.SleepCycleSkipped)]
        more["cycle"] = {"skipped": skipped[-1].reason, "due_ts": iso(skipped[-1].due_ts)} if skipped else None
    else:
        if event.trigger is Trigger.WAKE_SIGNAL and draft.world.lifecycle.wish:
            draft.record(r.HibernateRevoked())
        changed = touch(draft, event.trigger)
    return {
        "state": draft.world.lifecycle.state.value,
        "seq": draft.world.ledger_seq,
        "changed": changed,
        "wrapper_event_seq": draft.world.activity.event_seq,
        **more,
    }


def _busy(world: World) -> Refusal:
    reasons = busy_because(world)
    named = ", ".join(f"{each['who']} ({each['why']})" for each in reasons[:3])
    agents = len(world.agents.working) + len(world.agents.waking)
    unnamed = len(world.holds.by_id) + agents + sum(1 for _ in world.runs.busy) - 3
    more = f" and {unnamed} more" if unnamed > 0 else ""
    message = (
        f"it cannot sleep while it is busy with {named}{more}: wait until they are done, or use hibernate, which waits"
    )
    return Refusal("conflict", message, {"busy": reasons[:20]})


def _hold_requested(draft: Draft, event: ev.HoldRequested) -> Reply:
    if len(draft.world.holds.by_id) >= wire.MAX_HOLDS:
        message = f"there are {wire.MAX_HOLDS} holds already: release some (hold.list names their owners)"
        return Refusal("too_many", message)
    touch(draft, Trigger.REQUEST_ARRIVED)
    record = r.HoldAcquired(
        hold_id=event.hold_id,
        who=event.who,
        why=event.why,
        ttl_s=event.ttl_s,
        pid=event.pid,
        pid_start=event.pid_start,
        connection=event.connection,
    )
    draft.record(record)
    if event.pid is not None and event.pid_start is not None:
        draft.effects.append(fx.WatchProcess(event.hold_id, event.pid, event.pid_start))
    return {"hold_id": event.hold_id, "state": draft.world.lifecycle.state.value}


def _hold_release(draft: Draft, event: ev.HoldReleaseRequested) -> Reply:
    if event.hold_id not in draft.world.holds.by_id:
        message = "there is no such hold: it was released, ran out, or its connection or process ended"
        return Refusal("not_found", message, {"hold_id": event.hold_id})
    touch(draft, Trigger.REQUEST_ARRIVED)
    _end_holds(draft, [event.hold_id], "released")
    return {"hold_id": event.hold_id, "released": True}


def _end_holds(draft: Draft, hold_ids: list[str], how: str) -> None:
    for hold_id in hold_ids:
        if hold_id in draft.world.holds.by_id:
            draft.record(r.HoldReleased(hold_id, how))


def _hibernate_wanted(draft: Draft, event: ev.HibernateWanted) -> Reply:
    draft.record(r.HibernateRequested(event.now))
    waiting_for = busy_because(draft.world)
    if not waiting_for:
        descend(draft)
    return {"state": draft.world.lifecycle.state.value, "waiting_for": waiting_for}


def _stop_wanted(draft: Draft, event: ev.StopWanted) -> Reply:
    if not draft.world.process.leaving:
        draft.record(r.StopRequested(event.how))
        running.leave(draft)
        _settle_timer(draft)
        draft.effects.append(fx.GoDown(event.how))
    elif event.how == "stop" and draft.world.process.leaving == "signal":
        draft.record(r.StopRequested(event.how))  # it is on its way out already; now it also stays down
        _settle_timer(draft)
    return {"state": draft.world.lifecycle.state.value}


def _settle_timer(draft: Draft) -> None:
    """Have the service manager's timer as it is to be without this process. The exit is not put off for it."""
    if draft.world.planned.attempt_awake_s(draft.world.wanted_wake_ts) is None:
        return
    from torpord.core import planned  # noqa: PLC0415  # a daemon that nothing could start does without

    planned.leave(draft)


def _settings_read(draft: Draft, event: ev.SettingsRead) -> Reply:
    draft.effects.append(fx.UseSettings())
    if event.by_request:
        touch(draft, Trigger.REQUEST_ARRIVED)
    shadowed = draft.world.policy.shadow_run
    if event.policy != draft.world.policy:
        draft.record(r.SettingsLoaded(event.policy.document()))
    # Only shadow_run kept the process in HIBERNATION, where there is no deadline left that would end it.
    if shadowed and not event.policy.shadow_run and draft.world.lifecycle.state is State.HIBERNATION:
        draft.effects.append(fx.GoDown("hibernate"))
    return {"changed": list(event.changed)}


def _way_proven(draft: Draft, event: ev.WayProven) -> Reply:
    cause = draft.world.process.start_cause
    if event.way != cause:
        message = f"this daemon was started by {cause}: only that proves a way, and {event.way} is another"
        return Refusal("conflict", message, {"start_cause": cause})
    touch(draft, Trigger.REQUEST_ARRIVED)
    draft.record(r.WayProven(event.way, event.took_s))
    return {"way": event.way, "took_s": event.took_s}


def _deadline_passed(draft: Draft, event: ev.DeadlinePassed) -> None:
    # The world may have moved on between the reading of the clock and the turn of this event: look again.
    if not any(d.name == event.deadline and d.is_due(draft.now) for d in deadlines(draft.world)):
        return
    match event.deadline:
        case "hold_expired":
            holds = draft.world.holds.by_id.values()
            ends = [(h.until_awake_s, h.hold_id) for h in holds if h.until_awake_s is not None]
            _end_holds(draft, [hold_id for end, hold_id in sorted(ends) if end <= draft.now.awake_s], "expired")
        case "retry_due":
            running.retry_due(draft)
        case "recovery_due" | "presence_due" | "slots_due" | "offers_due" | "turn_due":
            from torpord.core import agent_times  # noqa: PLC0415  # most daemons have no agents

            agent_times.deadline_passed(draft, event.deadline)
        case "arm_due":
            from torpord.core import planned  # noqa: PLC0415  # a daemon that nothing could start does without

            planned.arm_due(draft)
        case "cycle_due":
            begin_cycle(draft)
            running.schedule(draft)
        case "drowsy_due":
            move(draft, Trigger.DROWSY_DUE, frozenset({Guard.IDLE}))
        case "sleep_due":
            sleep_due(draft, event)
        case "hibernate_due":
            hibernate_due(draft, event)
        case name:
            raise AssertionError(f"decide has no arm for the deadline {name!r}")


def _process_started(draft: Draft, event: ev.ProcessStarted) -> None:
    before = draft.world.process
    draft.record(
        r.Started(
            generation=before.generation + 1,
            pid=event.pid,
            version=event.version,
            start_cause=event.start_cause,
            supervisor=event.supervisor,
            boot_id=event.boot_id,
            after_crash=not before.ended,
            rebase_s=_rebase(draft, event.boot_id),
            suspended_s=draft.now.suspended_s,
            policy=event.policy.document(),
            timer=event.timer,
            manager=event.manager,
            unit=event.unit,
            wake_file=event.wake_file,
        )
    )
    for hold in list(draft.world.holds.by_id.values()):
        if hold.connection is not None:
            _end_holds(draft, [hold.hold_id], "daemon_ended")
        elif hold.hold_id in event.dead_holds:
            _end_holds(draft, [hold.hold_id], "process_ended")
        elif hold.pid is not None and hold.pid_start is not None:
            draft.effects.append(fx.WatchProcess(hold.hold_id, hold.pid, hold.pid_start))
    if draft.world.agents.by_id:
        from torpord.core import agent_times  # noqa: PLC0415  # most daemons have no agents

        agent_times.process_started(draft, event)
    running.process_started(draft)
    # A start is itself a demand, with one exception: a service manager that restarts after a crash wants nothing.
    if event.start_cause != "crash" or draft.world.lifecycle.state is State.HIBERNATION:
        draft.record(r.ActivitySeen(count=0))
        by_file = event.start_cause in ("wake.signal", "wake.d")
        move(draft, Trigger.WAKE_SIGNAL if by_file else Trigger.REQUEST_ARRIVED)
    elif draft.world.lifecycle.state is State.SLEEP and draft.world.cycle.phase == "none":
        begin_cycle(draft)
    running.schedule(draft)


def _rebase(draft: Draft, boot_id: str) -> float:
    """How far the awake clock jumped by a reboot: 0 within one boot; else from its last stored reading to now."""
    world = draft.world
    if world.process.generation == 0 or world.process.boot_id == boot_id:
        return 0.0
    stored = (world.process.started_awake_s, world.lifecycle.since_awake_s, world.activity.idle_since_awake_s)
    return draft.now.awake_s - max(stored)
