"""What the daemon says of itself: its state, what comes next, and why not yet. Pure, and looking changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from torpor import wire
from torpord.core.cycle_due import due, flows
from torpord.core.deadlines import Clock, deadlines, hibernate_at, stays_for
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.runs import Place, Run, RunStatus
from torpord.core.world import Hold, World

# Of a run with many branches; all of them are in its export.
MOST_PLACES = 64
_BELOW = {State.WAKE: State.DROWSY, State.DROWSY: State.SLEEP, State.SLEEP: State.HIBERNATION}


def iso(ts: float | None) -> str | None:
    """Write an epoch time as ISO 8601 with offset, to the millisecond."""
    return None if ts is None else datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds")


def who(cause: Mapping[str, Any]) -> str:
    """Name the one behind a cause in a few words."""
    match cause.get("source"):
        case "client":
            claimed = f"{cause['by']}, " if cause.get("by") else ""
            return f"{claimed}{cause.get('program') or 'a program'} (pid {cause.get('pid')})"
        case "file":
            return f"the file {cause.get('name')}"
        case "deadline":
            return f"the deadline {cause.get('deadline')}"
        case None:
            return "nobody yet"
        case other:
            return str(other)


def hold_view(hold: Hold, now: Now) -> dict[str, Any]:
    """Show a hold as `hold.list` and `status` do. `until_ts` is an estimate: it moves when the machine is suspended."""
    until = None if hold.until_awake_s is None else now.wall_s + hold.until_awake_s - now.awake_s
    return {
        "hold_id": hold.hold_id,
        "who": hold.who,
        "why": hold.why,
        "since_ts": iso(hold.since_ts),
        "until_ts": iso(until),
        "bound": hold.bound,
        "pid": hold.pid,
    }


def next_state(world: World, now: Now) -> dict[str, Any]:
    """Say which state comes next by itself: in how many seconds, at what time, and what stands in the way now."""
    below = _BELOW.get(world.lifecycle.state)
    blocked = [f"{h.who}: {h.why}" for h in islice(world.holds.by_id.values(), 20)]
    if world.agents.working or world.agents.waking:
        from torpord.core.agent_report import busy_in_words  # noqa: PLC0415 - most daemons at rest have no agents

        blocked += busy_in_words(world)
    blocked += [f"{run.flow}: {run_text(run)}" for run in islice(world.runs.busy, 20)]
    blocked += [f"{each['name']}: {each['found']}" for each in world.sleep.postponed]
    if world.lifecycle.state is State.SLEEP:
        if world.cycle.phase == "running":
            at = world.cycle_run.at if world.cycle_run else ""
            blocked.append(f"the sleep cycle is at {at or 'its beginning'}")
        staying = stays_for(world)
        if staying is not None and not staying.cycle:
            blocked.append(f"{staying.flow}: {run_text(staying)}")
        blocked += world.lifecycle.blocked_by
    due = [d for d in deadlines(world) if d.name in ("drowsy_due", "sleep_due", "hibernate_due")]
    if below is None or not due:
        return {"state": below, "in_s": None, "at": None, "blocked_by": blocked}
    left = [d.at_s - (now.awake_s if d.clock is Clock.AWAKE else now.wall_s) for d in due]
    in_s = max(0.0, min(left))
    return {"state": below, "in_s": round(in_s, 3), "at": iso(now.wall_s + in_s), "blocked_by": blocked}


def cycle_progress(world: World) -> dict[str, Any] | None:
    """Say how far an unfinished sleep cycle is, or None. `of` counts the flow's states, once it was loaded."""
    run = world.cycle_run
    if run is None:
        return None
    return {"phase": world.cycle.phase, "run_id": run.run_id, "step": run.at, "done": run.steps, "of": run.states}


def quarantine(world: World) -> dict[str, Any] | None:
    """Say which step of which flow is in quarantine and until when, or None."""
    for cycle in (world.cycle.of(flow) for flow in flows(world.policy)):
        if cycle.quarantine_until_ts is not None:
            return {
                "flow": cycle.flow,
                "run_id": cycle.run_id,
                "step": cycle.failed_step,
                "until_ts": iso(cycle.quarantine_until_ts),
                "failures": cycle.failures,
            }
    return None


def last_cycle(world: World) -> dict[str, Any] | None:
    """Show how the last sleep cycle ended and what it found, or None before the first."""
    return _ended_view(world.cycle.last)


def last_upkeep(world: World) -> dict[str, Any] | None:
    """Show how the last upkeep of the own store ended and what it found, or None before the first."""
    last = world.cycle.last
    # Before there were two flows of a sleep, the last cycle did not say whose it was.
    of_then = last is not None and "flow" not in last
    return _ended_view(last if of_then else world.cycle.upkept)


def _ended_view(last: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {**last, "started_ts": iso(last["started_ts"]), "ended_ts": iso(last["ended_ts"])}


def sleep_view(world: World, now: Now) -> dict[str, Any]:
    """Show the sleep cycle as `status` does. `debt_s`: for how long the next cycle has been overdue."""
    cycle = world.cycle.of(world.policy.sleep_flow)
    reason, due_ts = due(world, now.wall_s, now.awake_s)
    debt_s = 0.0
    if cycle.completed_ts is not None:
        debt_s = max(0.0, now.wall_s - cycle.completed_ts - world.policy.sleep_min_interval_s)
    return {
        "last_cycle": last_cycle(world),
        "last_upkeep": last_upkeep(world),
        "progress": cycle_progress(world),
        "quarantine": quarantine(world),
        "next": {"reason": reason, "due_ts": iso(due_ts)},
        "debt_s": round(debt_s, 3),
    }


def why(world: World, now: Now) -> dict[str, Any]:
    """Explain the state: what keeps the daemon as awake as it is, what comes next, and what that waits for."""
    awake = [_hold_reason(hold, now) for hold in islice(world.holds.by_id.values(), 100)]
    if world.agents.working or world.agents.waking:
        from torpord.core.agent_report import awake_reasons  # noqa: PLC0415 - most daemons at rest have no agents

        awake += awake_reasons(world, 100)
    awake += [_run_reason(run, now) for run in islice(world.runs.busy, 100)]
    state, activity = world.lifecycle.state, world.activity
    if state in (State.WAKE, State.DROWSY):
        after_s = world.policy.drowsy_after_s if state is State.WAKE else world.policy.sleep_after_s
        left_s = activity.idle_since_awake_s + after_s - now.awake_s
        if left_s > 0 and not world.busy:  # else something else keeps it, and is named
            seen = "the last activity is not long enough ago"
            until = iso(now.wall_s + left_s)
            awake.append(_reason("activity", who(activity.by), seen, iso(activity.last_ts), until))
    return {
        "state": state.value,
        "awake_because": awake,
        "next": next_state(world, now),
        "not_yet_because": [*_outdated_reasons(world, now), *_sleep_reasons(world), *_exit_reasons(world, now)],
        "quiet": _quiet(world),
        "planned": planned_view(world),
    }


def planned_view(world: World) -> dict[str, Any]:
    """Show the service manager's timer: for when it is wanted, for when it is known to be set, and what is wrong."""
    planned = world.planned
    wanted, armed = iso(world.wanted_wake_ts), iso(planned.armed_ts)
    return {"wanted": wanted, "armed": armed, "problem": planned.problem or None}


def observed(world: World) -> dict[str, Any]:
    """Show who manages the daemon, and what would bring it back, as `status` does."""
    proven = world.ways.proven
    return {
        "manager": world.process.manager or "none",
        "unit": world.process.unit,
        "wake_armed": iso(world.planned.armed_ts),
        "ways_back": {way: {**proven[way], "ts": iso(proven[way]["ts"])} for way in wire.WAYS if way in proven},
    }


def _quiet(world: World) -> list[dict[str, Any]]:
    if not world.agents.silent:
        return []
    from torpord.core.agent_report import silent_reasons  # noqa: PLC0415 - most daemons at rest have no agents

    return silent_reasons(world, 100)


def recovering(world: World) -> dict[str, Any]:
    """Say how many agents are out of quota, also of those offline, and when the first of them has one again."""
    recoveries = world.agents.recoveries
    return {"count": len(recoveries), "next_ts": iso(recoveries.first)}


def _reason(kind: str, by: str, text: str, since: str | None, until: str | None) -> dict[str, Any]:
    return {"kind": kind, "who": by, "why": text, "since": since, "until": until}


def _hold_reason(hold: Hold, now: Now) -> dict[str, Any]:
    view = hold_view(hold, now)
    return _reason("hold", hold.who, hold.why, view["since_ts"], view["until_ts"])


def _run_reason(run: Run, now: Now) -> dict[str, Any]:
    until = None if run.retry_awake_s is None else iso(now.wall_s + run.retry_awake_s - now.awake_s)
    return _reason("run", f"{run.flow} ({run.run_id})", run_text(run), iso(run.started_ts or run.created_ts), until)


def run_text(run: Run) -> str:
    """Say in a few words what a run is doing."""
    match run.status:
        case RunStatus.PENDING if run.awaits_start:
            return f"it goes on with the daemon's next start: {run.reason}"
        case RunStatus.PENDING:
            return f"it waits for its turn{f': {run.reason}' if run.reason else ''}"
        case RunStatus.RUNNING if run.only_waits:
            return f"it waits for its next attempt at {run.at}"
        case RunStatus.RUNNING:
            return f"it is at {run.at or 'its beginning'}"
        case status:
            return f"it is {status}{f': {run.reason}' if run.reason else ''}"


def run_brief(run: Run, now: Now, progress: Mapping[str, Any], worker_pid: int | None) -> dict[str, Any]:
    """Show a run as `run.list` does. One that is completed or cancelled stands nowhere any more."""
    over = run.status in (RunStatus.COMPLETED, RunStatus.CANCELLED)
    return {
        "run_id": run.run_id,
        "flow": run.flow,
        "status": run.status.value,
        "reason": run.reason,
        "stopping": run.stopping.value,
        "purpose": run.purpose,
        "session_id": run.session_id,
        "cycle": run.cycle,
        "created_ts": iso(run.created_ts),
        "started_ts": iso(run.started_ts),
        "ended_ts": iso(run.ended_ts),
        "worked_s": run.worked_s,
        "steps": run.steps,
        "max_steps": run.max_steps,
        "places": [] if over else [_place_view(place, now) for place in run.places[:MOST_PLACES]],
        "places_omitted": 0 if over else max(0, len(run.places) - MOST_PLACES),
        "progress": dict(progress),
        "error": run.error,
        "worker_pid": worker_pid,
    }


def resumes_ts(world: World) -> str | None:
    """Say when the first run that only waits wants to go on. Nothing wakes the daemon for it."""
    times = [place.retry_ts for run in world.runs.live.values() if run.only_waits for place in run.places]
    return iso(min((at_ts for at_ts in times if at_ts is not None), default=None))


def _place_view(place: Place, now: Now) -> dict[str, Any]:
    retry_at = None if place.retry_awake_s is None else iso(now.wall_s + place.retry_awake_s - now.awake_s)
    return {
        "branch": place.branch,
        "state": place.state,
        "visit": place.visit,
        "attempt": place.attempt,
        "status": place.status.value,
        "retry_at": retry_at,
        "since_ts": iso(place.since_ts),
        "error": place.error,
    }


def _outdated_reasons(world: World, now: Now) -> list[dict[str, Any]]:
    waiting = (run for run in world.runs.live.values() if run.awaits_start)
    return [{**_run_reason(run, now), "kind": "upgraded"} for run in islice(waiting, 100)]


def _sleep_reasons(world: World) -> list[dict[str, Any]]:
    since = iso(world.lifecycle.since_ts)
    until = iso(world.sleep.recheck_wall_s)
    reasons = [_reason("condition", each["name"], each["found"], since, until) for each in world.sleep.postponed]
    text = "it cannot be read here, and counts as met"
    return reasons + [_reason("unreadable", name, text, None, None) for name in world.sleep.unreadable]


def _exit_reasons(world: World, now: Now) -> list[dict[str, Any]]:
    since = iso(world.lifecycle.since_ts)
    state, reasons = world.lifecycle.state, []
    if world.lifecycle.wish and world.busy:
        reasons.append(_reason("wish", "hibernate", "it was asked for, and waits until nothing is busy", None, None))
    if state is State.HIBERNATION and world.policy.shadow_run:
        reasons.append(_reason("shadow_run", "settings", "the process stays because shadow_run is set", since, None))
    if state is not State.SLEEP:
        return reasons
    run = world.cycle_run if world.cycle.phase == "running" else stays_for(world)
    if run is None and world.planned.asked:
        text = "it has been asked for a timer for the next planned wake"
        reasons.append(_reason("planned", "service manager", text, None, None))
    if run is not None:
        kind = "sleep_cycle" if run.cycle else "run"
        reasons.append({**_run_reason(run, now), "kind": kind})
    elif world.cycle.phase == "ended":
        at = hibernate_at(world)
        # What forbids the exit is looked at again later, too: that is no grace, and named below.
        if at > now.awake_s and not world.lifecycle.blocked_by:
            until = iso(now.wall_s + at - now.awake_s)
            text = "it was used since it fell asleep, or has only just been started"
            reasons.append(_reason("grace", "lifecycle", text, since, until))
    return reasons + [_forbidden(world, text, now) for text in world.lifecycle.blocked_by]


def _forbidden(world: World, text: str, now: Now) -> dict[str, Any]:
    """Explain what forbids the exit: a planned wake, or what the shell found."""
    if world.agents.wakes:
        from torpord.core.agent_report import planned_reason  # noqa: PLC0415 - most daemons at rest have no slots

        planned = planned_reason(world, text, now)
        if planned is not None:
            return planned
    return _reason("forbidden", "exit", text, iso(world.lifecycle.since_ts), None)
