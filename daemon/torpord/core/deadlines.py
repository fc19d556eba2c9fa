"""Deadlines, computed from the world and never polled: what will happen by itself, and when, by which clock."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from torpord.core.agent_deadlines import agent_deadlines
from torpord.core.cycle_due import next_cycle
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.runs import MAX_WORKERS, Run, RunStatus
from torpord.core.value import value
from torpord.core.world import World


class Clock(StrEnum):
    """Which clock a deadline follows: awake time, or the wall clock."""

    AWAKE = "awake"
    WALL = "wall"


@value
class Deadline:
    """Something that is due at `at_s` of its clock."""

    name: str
    at_s: float
    clock: Clock = Clock.AWAKE
    sliced: bool = False  # one decision passes only some of what is due: others have their turn between them

    def is_due(self, now: Now) -> bool:
        """Whether it has passed."""
        return self.at_s <= (now.awake_s if self.clock is Clock.AWAKE else now.wall_s)


def deadlines(world: World) -> Iterator[Deadline]:
    """Give every deadline the world has. Whoever passes one must change the world so that it moves or goes."""
    if world.process.leaving:
        return
    if world.holds.next_expiry_awake_s is not None:
        yield Deadline("hold_expired", world.holds.next_expiry_awake_s)
    gone = world.lifecycle.state is State.HIBERNATION and not world.policy.shadow_run  # but for the exit's last steps
    if world.runs.live and not gone:
        yield from _retries(world)
    arm_s = None if gone else world.planned.attempt_awake_s(world.wanted_wake_ts)
    if arm_s is not None:
        yield Deadline("arm_due", arm_s)
    if world.agents.by_id:
        floor_s, timeout_s = world.process.presence_from_awake_s, world.policy.heartbeat_timeout_s
        for name, at_s, by_wall in agent_deadlines(world.agents, floor_s, timeout_s):
            yield Deadline(name, at_s, Clock.WALL if by_wall else Clock.AWAKE, sliced=True)
    if world.busy:
        return
    idle_since = world.activity.idle_since_awake_s
    match world.lifecycle.state:
        case State.WAKE:
            yield Deadline("drowsy_due", idle_since + world.policy.drowsy_after_s)
        case State.DROWSY:
            yield from _sleep_due(world, idle_since + world.policy.sleep_after_s)
        case State.SLEEP:
            if world.cycle.phase == "ended":
                # First, and so taken first where both are due: a next cycle is no reason to stay.
                if stays_for(world) is None:
                    yield Deadline("hibernate_due", hibernate_at(world))
                yield from _cycle_due(world)
        case State.HIBERNATION:
            pass


def free_workers(world: World) -> int:
    """Return how many more runs may have a worker. The sleep cycle's, in its time, is beside these."""
    return MAX_WORKERS - sum(1 for run in world.runs.live.values() if run.worker and not run.cycle)


def _retries(world: World) -> Iterator[Deadline]:
    """Give the times of waiting attempts, but for those that could not begin then: others' ends are looked at."""
    free, sleeping = free_workers(world) > 0, world.cycle.run_id if world.cycle.phase == "running" else None
    times = [
        run.retry_awake_s
        for run in world.runs.live.values()
        if run.status in (RunStatus.PENDING, RunStatus.RUNNING) and not run.stopping
        if (run.loaded if run.worker else run.only_waits and (run.run_id == sleeping if run.cycle else free))
    ]
    first_s = min((at_s for at_s in times if at_s is not None), default=None)
    if first_s is not None:
        yield Deadline("retry_due", first_s)


def _cycle_due(world: World) -> Iterator[Deadline]:
    """Give when a process that has stayed in SLEEP begins its next cycle: not only a fresh SLEEP brings one."""
    wall_s, awake_s = next_cycle(world)
    if wall_s is not None:
        yield Deadline("cycle_due", wall_s, Clock.WALL)
    if awake_s is not None:
        yield Deadline("cycle_due", awake_s)


def stays_for(world: World, from_awake_s: float = 0.0) -> Run | None:
    """Return the run that keeps the process in SLEEP: one that ends its steps, or has a next attempt soon.

    Soon: in `planned_reach` from when the process may go, or from `from_awake_s`, if that is later.
    """
    for run in world.runs.live.values():
        if run.worker and not run.only_waits:
            return run
        soon_s = max(hibernate_at(world), from_awake_s) + world.policy.planned_reach_s
        if not run.cycle and run.only_waits and run.status is not RunStatus.PAUSED:
            again_s = run.retry_awake_s
            if again_s is not None and again_s <= soon_s:
                return run
    return None


def _sleep_due(world: World, first_s: float) -> Iterator[Deadline]:
    sleep = world.sleep
    if sleep.recheck_awake_s is None and sleep.recheck_wall_s is None:
        yield Deadline("sleep_due", first_s)
    if sleep.recheck_awake_s is not None:
        yield Deadline("sleep_due", sleep.recheck_awake_s)
    if sleep.recheck_wall_s is not None:
        yield Deadline("sleep_due", sleep.recheck_wall_s, Clock.WALL)


def hibernate_at(world: World) -> float:
    """Return when, by the awake clock, a daemon whose cycle is done may go: after `min_up`, and idle enough."""
    earliest = world.process.started_awake_s + world.policy.min_up_s
    if not still_idle(world) and not world.lifecycle.wish:
        earliest = max(earliest, world.activity.idle_since_awake_s + world.policy.hibernate_grace_s)
    if world.sleep.blocked_recheck_awake_s is not None:
        earliest = max(earliest, world.sleep.blocked_recheck_awake_s)
    return earliest


def still_idle(world: World) -> bool:
    """Whether nothing is busy and nobody was active since SLEEP began."""
    return not world.busy and world.activity.idle_since_awake_s <= world.lifecycle.since_awake_s
