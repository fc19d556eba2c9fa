"""The facts a deadline asks for: whether the machine is fit for sleep, and whether there is a way back from an exit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import torpor
from torpord.core.events import Condition, DeadlinePassed
from torpord.core.moment import Now
from torpord.core.policy import DAY_S, Policy
from torpord.host import power


def passed(
    deadline: str, policy: Policy, now: Now, minute: Callable[[float], int], forbids_exit: tuple[str, ...]
) -> DeadlinePassed:
    """Build the event of a due deadline. `minute` tells the minute of the local day at a time."""
    conditions: tuple[Condition, ...] = ()
    if deadline == "sleep_due":
        conditions = tuple(_conditions(policy, now, minute))
    forbids = forbids_exit if deadline == "hibernate_due" else ()
    return DeadlinePassed({"source": "deadline", "deadline": deadline}, deadline, conditions, forbids)


def _conditions(policy: Policy, now: Now, minute: Callable[[float], int]) -> list[Condition]:
    conditions: list[Condition] = []
    if policy.power == "mains":
        found = power.on_mains()
        conditions.append(Condition("power", found, "on mains power" if found else "on battery"))
    if policy.max_cpu < 100:
        load = power.cpu_load_percent()
        met = None if load is None else load <= policy.max_cpu
        shown = "unknown" if load is None else f"{load:.0f} %"
        conditions.append(Condition("max_cpu", met, f"the load is {shown}, the ceiling {policy.max_cpu:g} %"))
    if policy.between:
        wait_s = seconds_until(policy.between, minute(now.wall_s), now.wall_s)
        found_text = f"it is outside {policy.between}"
        conditions.append(Condition("between", wait_s == 0, found_text, now.wall_s + wait_s if wait_s else None))
    return conditions


def seconds_until(window: str, minute: int, wall_s: float) -> float:
    """Return how long until the local time window opens; 0 within it. A window may go over midnight.

    The day is taken as 24 hours: on the two days a year when it is not, the next look corrects it.
    """
    opens, closes = (int(each[:2]) * 60 + int(each[3:]) for each in window.split("-"))
    within = opens <= minute < closes if opens <= closes else minute >= opens or minute < closes
    if within or opens == closes:
        return 0.0
    return max(1.0, (opens - minute) * 60 % DAY_S - wall_s % 60)


def no_way_back() -> tuple[str, ...]:
    """Say why nobody could start this daemon again, if so: neither a client, nor a manager that holds its socket."""
    if not os.access(sys.executable, os.X_OK):
        return (f"there is no way back: the interpreter {sys.executable} is gone, so nobody could start the daemon",)
    # Not Path.exists, which raises where a folder may not be entered; and one that cannot be read starts nobody either.
    if not os.access(torpor.__file__, os.R_OK):
        return (f"there is no way back: {torpor.__file__} is gone, so nobody could start the daemon",)
    return ()


def all_that_forbids(stuck: Mapping[str, str]) -> tuple[str, ...]:
    """Name everything that forbids the exit."""
    return (*stuck.values(), *no_way_back())
