"""When a sleep cycle may begin: one set of rules for a fresh SLEEP, and for one that lasts for want of a way back.

What a sleep does is the flow of the settings and, before it, the upkeep of the own store where that is another one:
whoever has a flow of their own did not ask for a store that grows. Each of the two has its own due time, failures and
quarantine, and keeps the other from nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from torpord.core.policy import UPKEEP, Policy
from torpord.core.runs import CYCLE_PATIENCE_S, RunStatus
from torpord.core.value import value
from torpord.core.world import World

ASKED_AT_ONCE = "hibernation was asked for at once"
# In one SLEEP, however small `min_interval` is: else a daemon that has no way back would do nothing but cycles.
LEAST_BETWEEN_CYCLES_S = 600.0


@value
class Pause:
    """Why a cycle cannot begin, and until when: by the wall clock, by the awake clock, or (neither) not by itself.

    One of the wall clock counts from `since_s` on: before that, the clock was set back.
    """

    reason: str
    wall_s: float | None = None
    awake_s: float | None = None
    since_s: float = -inf

    def is_over(self, wall_s: float, awake_s: float) -> bool:
        """Whether it keeps no cycle any more."""
        if self.awake_s is not None:
            return self.awake_s <= awake_s
        return self.wall_s is not None and not self.since_s <= wall_s < self.wall_s


def flows(policy: Policy) -> tuple[str, ...]:
    """Name the flows of a sleep, in their order."""
    return (policy.sleep_flow,) if policy.sleep_flow == UPKEEP else (UPKEEP, policy.sleep_flow)


def pauses(world: World, flow: str, *, lasting: bool) -> Iterator[Pause]:
    """Give what keeps this flow's cycle from beginning. `lasting`: in a SLEEP that had its cycles already."""
    current = world.cycle_run
    if current is not None and current.worker and current.flow != flow:
        yield Pause(f"the run {current.run_id} still ends its step")
        return
    known = world.cycle.of(flow)
    run = world.runs.live.get(known.run_id)
    if run is None or run.status is RunStatus.FAILED:
        if known.quarantine_until_ts is not None:
            yield Pause("quarantine", known.quarantine_until_ts)
        if known.retry_ts is not None:
            yield Pause("it failed lately", known.retry_ts)
        if run is None and known.completed_ts is not None:
            interval_s = world.policy.sleep_min_interval_s
            if lasting:
                yield Pause("not due yet", known.completed_ts + max(interval_s, LEAST_BETWEEN_CYCLES_S))
            else:
                # A completion in the future: then it is due, rather than not for years.
                yield Pause("not due yet", known.completed_ts + interval_s, since_s=known.completed_ts)
    elif run.status is RunStatus.PAUSED:
        yield Pause(f"its run {run.run_id} is paused: {run.reason}")
    elif run.awaits_start or (lasting and run.worker):
        yield Pause(run.reason)
    elif run.only_waits and run.retry_awake_s is not None:
        # An attempt that is near is waited for in the cycle.
        yield Pause("it waits for its next attempt", awake_s=run.retry_awake_s - (0.0 if lasting else CYCLE_PATIENCE_S))


def first_pause(world: World, flow: str, wall_s: float, awake_s: float, *, lasting: bool = False) -> Pause | None:
    """Return what keeps this flow's cycle from beginning now; None: nothing."""
    kept = (each for each in pauses(world, flow, lasting=lasting) if not each.is_over(wall_s, awake_s))
    return next(kept, None)


def due(world: World, wall_s: float, awake_s: float) -> tuple[str, float | None]:
    """Say why no cycle can begin now, and when one can (wall clock; None: not by itself). "": one can."""
    if world.lifecycle.wish == "now":
        return ASKED_AT_ONCE, None
    found = [first_pause(world, flow, wall_s, awake_s) for flow in flows(world.policy)]
    if None in found:
        return "", wall_s
    pause = found[-1]  # of the settings' flow
    assert pause is not None  # noqa: S101 - for the type checker
    if pause.awake_s is not None:
        return pause.reason, wall_s + pause.awake_s + CYCLE_PATIENCE_S - awake_s
    return pause.reason, pause.wall_s


def next_cycle(world: World) -> tuple[float | None, float | None]:
    """Say when a SLEEP that lasts has its next cycle: by the wall clock, or by the awake clock (neither: not)."""
    walls, awakes = [], []
    for flow in () if world.lifecycle.wish == "now" else flows(world.policy):
        found = list(pauses(world, flow, lasting=True))
        if any(each.wall_s is None and each.awake_s is None for each in found):
            continue
        if found and found[0].awake_s is not None:
            awakes.append(found[0].awake_s)
        elif found:
            walls.append(max(each.wall_s for each in found if each.wall_s is not None))
        else:  # the settings have just come to name it
            awakes.append(world.lifecycle.since_awake_s)
    return min(walls, default=None), min(awakes, default=None)
