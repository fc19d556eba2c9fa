"""Planned wakes: for a slot that will be due, somebody must be there (`client/PROTOCOL.md`, "Agents and slots").

A timer of the service manager follows the earliest slot at all times, some seconds behind at most: so a power cut loses
none. Before HIBERNATION it is set and looked at anew, as anybody may have stopped it meanwhile. A timer is calendar
time, which the manager follows over suspend and steps of the clock by itself: nothing is done about those here.
"""

from __future__ import annotations

from math import inf

from torpord.core import effects as fx
from torpord.core import records as r
from torpord.core.draft import Draft
from torpord.core.moment import Now
from torpord.core.report import iso
from torpord.core.world import World

# Between two wishes: each costs some processes.
LEAST_BETWEEN_S = 5.0
# The shell asks some commands of five seconds each; whoever has said nothing by then says nothing any more.
ANSWER_S = 60.0
FIRST_RETRY_S = 60.0
LAST_RETRY_S = 3600.0
# What is due sooner is not armed: a timer that is made too late is none, and nobody would be told.
TOO_SOON_S = 2.0
# Before the exit the timer must have been looked at no longer ago than this.
FRESH_S = 60.0
# How long the exit waits for it before it looks again; an answer comes first.
RECHECK_S = 10.0
NO_ANSWER = f"it gave no answer for {ANSWER_S:g} s"


def armed(world: World) -> bool:
    """Whether a timer of the service manager starts a daemon that is down when its next slot is due."""
    return bool(world.process.timer) and not world.planned.problem


def planned(world: World, now: Now) -> tuple[str, ...]:
    """Name the wake the process must stay for: one within `planned_reach` that nothing else would bring.

    For a later one it does not stay: it is taken up at the next start, and whoever planned it was told so.
    """
    wakes = world.agents.wakes
    # What went wrong before this SLEEP may be mended: then it is the exit that asks once more (`settled`).
    is_old = bool(world.process.timer) and not world.planned.asked and not _tried_in_this_sleep(world)
    reach_s = TOO_SOON_S if is_old or armed(world) else world.policy.planned_reach_s
    if wakes.first is None or wakes.first > now.wall_s + reach_s:
        return ()
    (slot_id,) = wakes.due(wakes.first, 1)
    slot = world.agents.slots[slot_id]
    return (f"a planned wake at {iso(wakes.first)}: slot {slot_id} of {slot.agent_id}, and {nobody_else(world)}",)


def nobody_else(world: World) -> str:
    """Say why nothing but this process can be there at the next planned wake."""
    if not world.process.timer:
        return "nothing could start the daemon"
    if world.planned.problem:
        return f"the service manager does not take a timer: {world.planned.problem}"
    return "it is too soon for a timer of the service manager"


def arm_due(draft: Draft) -> None:
    """Ask for the timer that is wanted, or see that no answer comes to the last wish."""
    wanted_ts, planned = draft.world.wanted_wake_ts, draft.world.planned
    if planned.asked:
        answered(draft, planned.asked_ts, NO_ANSWER)
    elif wanted_ts is not None and wanted_ts <= draft.now.wall_s + TOO_SOON_S:
        wait_s = max(1.0, wanted_ts - draft.now.wall_s)
        draft.record(r.WakeRechecked(planned.tries, draft.now.awake_s + wait_s))
    else:
        _ask(draft)


def settled(draft: Draft) -> bool:
    """Whether the timer is as wanted and was looked at just now; if not, ask, and let the exit wait for the answer.

    One that cannot be had does not keep the process: whether it must stay for the wake, `planned` says.
    """
    planned, now_s = draft.world.planned, draft.now.awake_s
    if not planned.asked:
        tried_s = -inf if planned.tried_awake_s is None else planned.tried_awake_s
        since_s = draft.world.lifecycle.since_awake_s
        if planned.problem and _tried_in_this_sleep(draft.world):
            return True
        wanted_ts = draft.world.wanted_wake_ts
        if not planned.differs(wanted_ts) and (wanted_ts is None or tried_s >= max(since_s, now_s - FRESH_S)):
            return True
        _ask(draft)
    draft.record(r.HibernationRechecked(now_s + RECHECK_S))
    return False


def _tried_in_this_sleep(world: World) -> bool:
    tried_s = world.planned.tried_awake_s
    return tried_s is not None and tried_s >= world.lifecycle.since_awake_s


def leave(draft: Draft) -> None:
    """Ask for what is wanted of the timer without this process, whatever was asked before."""
    planned = draft.world.planned
    if not planned.asked or planned.asked_ts != draft.world.wanted_wake_ts:
        _ask(draft)


def _ask(draft: Draft) -> None:
    wanted_ts = draft.world.wanted_wake_ts
    draft.record(r.WakeAsked(wanted_ts, draft.now.awake_s + ANSWER_S))
    draft.effects.append(fx.ArmWake(wanted_ts))


def answered(draft: Draft, at_ts: float | None, problem: str) -> None:
    """Take the service manager's answer; one that is not to the last wish is to none."""
    planned = draft.world.planned
    if not planned.asked or at_ts != planned.asked_ts:
        return
    asked_s = draft.now.awake_s if planned.tried_awake_s is None else planned.tried_awake_s
    if problem and at_ts is not None and at_ts <= draft.now.wall_s:
        # Its time has come meanwhile: there is no timer of the past, and nobody's fault in that.
        if planned.armed_ts is not None:
            draft.record(r.WakeDisarmed())
        draft.record(r.WakeRechecked(planned.tries, asked_s + LEAST_BETWEEN_S))
        return
    if problem:
        if problem != planned.problem:
            draft.record(r.WakeNotArmed(at_ts, problem))
        pause_s, tries = min(FIRST_RETRY_S * 2 ** min(planned.tries, 16), LAST_RETRY_S), planned.tries + 1
        draft.record(r.WakeRechecked(tries, draft.now.awake_s + pause_s))
        return
    if planned.differs(at_ts):
        draft.record(r.WakeDisarmed() if at_ts is None else r.WakeArmed(at_ts, draft.world.process.timer))
    draft.record(r.WakeRechecked(0, asked_s + LEAST_BETWEEN_S))
