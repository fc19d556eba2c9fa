"""What to do about a decision, once it is durable. Imperative, and carried out by the shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GoDown:
    """End the process. `reason` is "hibernate" (work that is found on the way cancels it), "stop" or "signal"."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartCycle:
    """Run the sleep cycle from `step` on."""

    step: str


@dataclass(frozen=True, slots=True)
class StopCycle:
    """Make the sleep cycle give way."""


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run the hook of the settings for this transition."""

    hook: str
    transition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WatchProcess:
    """Tell when this very process (pid and start time) ends; the hold hangs on it."""

    hold_id: str
    pid: int
    start: str


@dataclass(frozen=True, slots=True)
class UseSettings:
    """Work by the settings that were read last, also by what of them the core does not decide by."""


Effect = GoDown | StartCycle | StopCycle | RunHook | WatchProcess | UseSettings
