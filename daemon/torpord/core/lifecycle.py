"""The life of the daemon: four states, eight triggers, one table.

The theory. A daemon is as awake as somebody needs it to be. What pulls it up is demand: a request, a touched wake file,
a heartbeat while it dozes. What lets it sink is only the passing of idle time, one state at a time:

    WAKE         somebody was here a moment ago
    DROWSY       nobody for a while; nothing has been given up yet, and a heartbeat is enough to come back
    SLEEP        nobody for long; the time for work of its own
    HIBERNATION  nothing left to do; the process ends, and costs nothing

Up goes in one step from anywhere, because whoever asks must not wait. Down goes by neighbours only, so that each
state's own work (a hook, the sleep cycle) happens however late the deadline was noticed. A pair that is not in the
table changes nothing: it is no error to touch a daemon that is awake.

The table is all there is: `compute_transition` looks it up, the diagram in the README is printed from it, and the tests
go through every pair of state and trigger.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from torpord.core.value import value


class State(StrEnum):
    """How awake the daemon is."""

    WAKE = "WAKE"
    DROWSY = "DROWSY"
    SLEEP = "SLEEP"
    HIBERNATION = "HIBERNATION"


class Trigger(StrEnum):
    """What can move it. The first four are for clients to send; the rest come from deadlines and the sleep cycle."""

    REQUEST_ARRIVED = "request_arrived"
    HEARTBEAT_REFRESH = "heartbeat_refresh"
    WAKE_SIGNAL = "wake_signal"
    FORCE_SLEEP = "force_sleep"
    DROWSY_DUE = "drowsy_due"
    SLEEP_DUE = "sleep_due"
    SLEEP_CYCLE_DONE = "sleep_cycle_done"
    HIBERNATION_GRACE_EXPIRED = "hibernation_grace_expired"


class Guard(StrEnum):
    """A condition a row may demand besides its trigger."""

    IDLE = "idle"  # nobody was active for the state's idle time, and nothing is busy
    SLEEP_ELIGIBLE = "sleep_eligible"  # every condition of `[sleep] when` holds
    STILL_IDLE = "still_idle"  # nothing busy, and no activity since SLEEP began
    GRACE_OVER = "grace_over"  # the cycle is done, and it has been idle for `hibernate_grace`


@value
class Row:
    """Where a trigger leads, and what must hold for it (None: nothing)."""

    to: State
    guard: Guard | None = None


_W, _D, _S, _H = State.WAKE, State.DROWSY, State.SLEEP, State.HIBERNATION

TABLE: Mapping[tuple[State, Trigger], Row] = MappingProxyType(
    {
        (_W, Trigger.REQUEST_ARRIVED): Row(_W),
        (_D, Trigger.REQUEST_ARRIVED): Row(_W),
        (_S, Trigger.REQUEST_ARRIVED): Row(_W),
        (_H, Trigger.REQUEST_ARRIVED): Row(_W),
        (_D, Trigger.WAKE_SIGNAL): Row(_W),
        (_S, Trigger.WAKE_SIGNAL): Row(_W),
        (_H, Trigger.WAKE_SIGNAL): Row(_W),
        (_W, Trigger.DROWSY_DUE): Row(_D, Guard.IDLE),
        (_D, Trigger.HEARTBEAT_REFRESH): Row(_W),
        (_D, Trigger.SLEEP_DUE): Row(_S, Guard.SLEEP_ELIGIBLE),
        (_W, Trigger.FORCE_SLEEP): Row(_D),
        (_D, Trigger.FORCE_SLEEP): Row(_S),
        (_S, Trigger.SLEEP_CYCLE_DONE): Row(_H, Guard.STILL_IDLE),
        (_S, Trigger.HIBERNATION_GRACE_EXPIRED): Row(_H, Guard.GRACE_OVER),
    }
)

# These three are somebody's touch: they set the last activity and count, also where no transition follows.
ACTIVITY = frozenset({Trigger.REQUEST_ARRIVED, Trigger.HEARTBEAT_REFRESH, Trigger.WAKE_SIGNAL})

CLIENT_TRIGGERS = ACTIVITY | {Trigger.FORCE_SLEEP}


def compute_transition(state: State, event: Trigger, guards: frozenset[Guard]) -> State:
    """Return the state after `event`, given the guards that hold. The same state means: no transition."""
    row = TABLE.get((state, event))
    if row is None or (row.guard is not None and row.guard not in guards):
        return state
    return row.to


def mermaid() -> str:
    """Draw the table as a Mermaid state diagram, one arrow for each pair of states."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, trigger), row in TABLE.items():
        if row.to is not state:
            label = trigger.value + (f" [{row.guard}]" if row.guard else "")
            arrows.setdefault((state, row.to), []).append(label)
    lines = ["stateDiagram-v2", "    [*] --> WAKE : started"]
    lines += [f"    {start} --> {end} : {', '.join(labels)}" for (start, end), labels in arrows.items()]
    return "\n".join([*lines, "    HIBERNATION --> [*] : the process ends"])
