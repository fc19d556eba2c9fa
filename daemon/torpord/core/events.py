"""What happens: everything that reaches the writer and may change the world.

`cause` says who or what, and goes to the ledger as it is: the peer of a connection, a deadline, a file, a signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core.lifecycle import Trigger
from torpord.core.policy import Policy
from torpord.core.value import value

Cause = Mapping[str, Any]


@value
class Event:
    """The root of all events."""

    cause: Cause


@value
class ProcessStarted(Event):
    """A daemon process has the home.

    `manager` is one of `wire.MANAGERS`, and `unit` what the daemon is called there without `.service` ("" where nothing
    manages it). `timer`: whose timer can start a daemon that is down, one of `wire.MANAGERS`, or "" where nobody's can.
    `wake_file`: `wake.at` was there, so a timer may be set. `dead_holds`, `dead_agents`: those whose process ended
    while no daemon was there to see it.
    """

    pid: int
    version: str
    start_cause: str
    supervisor: str
    boot_id: str
    policy: Policy
    dead_holds: tuple[str, ...] = ()
    dead_agents: tuple[str, ...] = ()
    timer: str = ""
    manager: str = "none"
    unit: str = ""
    wake_file: bool = False


@value
class ClientTrigger(Event):
    """A client's `event`, a touched wake file."""

    trigger: Trigger


@value
class HoldRequested(Event):
    """Somebody wants to hold the daemon awake."""

    hold_id: str
    who: str
    why: str
    ttl_s: float | None = None
    pid: int | None = None
    pid_start: str | None = None
    connection: int | None = None


@value
class HoldReleaseRequested(Event):
    """Somebody lets go of a hold."""

    hold_id: str


@value
class ConnectionClosed(Event):
    """A connection that had holds is gone."""

    connection: int


@value
class HolderEnded(Event):
    """The process a hold hangs on has ended."""

    hold_id: str


@value
class HibernateWanted(Event):
    """A client's `hibernate`."""

    now: bool


@value
class StopWanted(Event):
    """A client's `stop`, or SIGTERM or SIGINT."""

    how: str


@value
class SettingsRead(Event):
    """The settings were read again and are good. `changed` names what is different. By request, it is a request."""

    policy: Policy
    changed: tuple[str, ...]
    by_request: bool


@value
class Condition:
    """One condition of `[sleep] when` as it was read. `met` None: it could not be read, and counts as met."""

    name: str
    met: bool | None
    found: str
    changes_at_wall_s: float | None = None  # when it will hold, where that is known (a time window)


@value
class DeadlinePassed(Event):
    """A deadline of `deadlines(world)` passed. The two lists are the facts read for it, where it needs any."""

    deadline: str
    conditions: tuple[Condition, ...] = ()  # for sleep_due
    forbids_exit: tuple[str, ...] = ()  # for hibernate_due


@value
class SuspendSeen(Event):
    """The machine was suspended for `asleep_s`; `suspended_s` is the clock's new total."""

    asleep_s: float
    suspended_s: float


@value
class StallSeen(Event):
    """This process did not run for `stalled_s`, or could take nothing in: nobody was heard meanwhile."""

    stalled_s: float


@value
class FileRejected(Event):
    """A file in `wake.d/` was put aside."""

    name: str
    why: str


@value
class HookProblem(Event):
    """A hook failed or took too long."""

    hook: str
    command: str
    problem: str


@value
class WakeArmed(Event):
    """The answer to an `ArmWake` of this `at_ts`: it is done as asked and was looked at, or `problem` says why not.

    Every `ArmWake` has one, whatever went wrong; of wishes that came one upon the other, the last has.
    """

    at_ts: float | None
    problem: str = ""


@value
class WayProven(Event):
    """A client's `way.proven`: this process was started by this way (`wire.WAYS`), in so much time as it measured."""

    way: str
    took_s: float | None = None


@value
class AgentEvent(Event):
    """The root of all that happens to agents and slots (`core/agent_events.py`)."""


@value
class AgentWord(AgentEvent):
    """The root of what clients say of agents and slots."""


@value
class Leaving(Event):
    """The point of no return on the way out."""

    reason: str
