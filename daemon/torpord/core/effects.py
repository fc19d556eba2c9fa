"""What to do about a decision, once it is durable. Imperative, and carried out by the shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core.value import value


@value
class GoDown:
    """End the process. `reason` is "hibernate" (work that is found on the way cancels it), "stop" or "signal"."""

    reason: str


@value
class StartWorker:
    """Start worker number `worker` of a run."""

    run_id: str
    worker: int


@value
class BeginSteps:
    """Tell the worker to begin these steps, each `{branch, state, visit, attempt}`; or to merge, at `join`."""

    run_id: str
    worker: int
    steps: tuple[Mapping[str, Any], ...]
    join: str | None = None


@value
class YieldWorker:
    """Tell the worker to end its steps; `within_s` from now it is ended."""

    run_id: str
    worker: int
    within_s: float


@value
class StopWorker:
    """End the worker: `broken_off` says whether steps of it are running."""

    run_id: str
    worker: int
    broken_off: bool


@value
class RunHook:
    """Run the hook of the settings for this transition."""

    hook: str
    transition: Mapping[str, Any]


@value
class WatchProcess:
    """Tell when this very process (pid and start time) ends; the hold hangs on it."""

    hold_id: str
    pid: int
    start: str


@value
class UseSettings:
    """Work by the settings that were read last, also by what of them the core does not decide by."""


@value
class WatchAgent:
    """Tell when this very process (pid and start time) ends; it is an agent's."""

    agent_id: str
    pid: int
    start: str


@value
class RunWakeCommand:
    """Run an agent's wake command for a slot, if that is still wanted then (`offering.errand`)."""

    agent_id: str
    slot_id: str


@value
class ArmWake:
    """Have the service manager start a daemon that is down at this time (wall clock), by one timer; None: by none.

    The answer is `events.WakeArmed`, always. A second wish takes the place of one that is not carried out yet.
    """

    at_ts: float | None


Effect = (
    GoDown
    | StartWorker
    | BeginSteps
    | YieldWorker
    | StopWorker
    | RunHook
    | WatchProcess
    | UseSettings
    | WatchAgent
    | RunWakeCommand
    | ArmWake
)

# What no world asks for: it follows once from a decision that is durable (`descent.outstanding` has the rest).
ONCE = (RunHook, UseSettings)
