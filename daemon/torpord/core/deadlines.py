"""Deadlines, computed from the world and never polled: what will happen by itself, and when, by which clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.world import World


class Clock(StrEnum):
    """Which clock a deadline follows: awake time, or the wall clock."""

    AWAKE = "awake"
    WALL = "wall"


@dataclass(frozen=True, slots=True)
class Deadline:
    """Something that is due at `at_s` of its clock."""

    name: str
    at_s: float
    clock: Clock = Clock.AWAKE

    def is_due(self, now: Now) -> bool:
        """Whether it has passed."""
        return self.at_s <= (now.awake_s if self.clock is Clock.AWAKE else now.wall_s)


def deadlines(world: World) -> Iterator[Deadline]:
    """Give every deadline the world has. Whoever passes one must change the world so that it moves or goes."""
    if world.process.leaving:
        return
    if world.holds.next_expiry_awake_s is not None:
        yield Deadline("hold_expired", world.holds.next_expiry_awake_s)
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
                yield Deadline("hibernate_due", hibernate_at(world))
        case State.HIBERNATION:
            pass


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
