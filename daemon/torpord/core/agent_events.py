"""What happens to agents and slots: what clients say, and what is seen of processes and wake commands.

`said_ts` of an agent's word about itself is when it was said, by the wall clock; None where that is now.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from torpord.core.agents import Doing, Status
from torpord.core.events import AgentEvent, AgentWord
from torpord.core.value import value

if TYPE_CHECKING:  # it is loaded with the first report
    from torpord.core.recovery import Recovery


class Unset(Enum):
    """The type of `UNSET`: what was not said, where None says that there is none."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@value
class AgentRegisterWanted(AgentWord):
    """A client's `agent.register`. What is UNSET stays as it is. `pid_start` goes with `pid`; `meta` is JSON text."""

    agent_id: str
    parent_id: str | Unset | None = UNSET
    pid: int | Unset | None = UNSET
    pid_start: str | None = None
    wake_command: str | tuple[str, ...] | Unset | None = UNSET
    meta: str | Unset | None = UNSET
    said_ts: float | None = None


@value
class AgentBeat(AgentWord):
    """A client's `agent.heartbeat`."""

    agent_id: str
    doing: Doing | None = None
    said_ts: float | None = None


@value
class AgentMoveWanted(AgentWord):
    """A client's `agent.transition`. `recovery`: what was read from a report, for `to` exhausted alone."""

    agent_id: str
    to: Status
    reason: str = ""
    recovery: Recovery | None = None
    force: bool = False
    said_ts: float | None = None


@value
class AgentForgetWanted(AgentWord):
    """A client's `agent.forget`."""

    agent_id: str


@value
class SlotWanted(AgentWord):
    """A client's `slot.add`, with the id that control made for it."""

    slot_id: str
    agent_id: str
    type: str
    at_ts: float
    duration_s: float | None = None
    priority: int = 0
    payload: str | None = None


@value
class SlotTakeWanted(AgentWord):
    """A client's `slot.take`; `agent_id` None: for whomever it is."""

    slot_id: str
    agent_id: str | None = None
    said_ts: float | None = None


@value
class SlotFinishWanted(AgentWord):
    """A client's `slot.finish`."""

    slot_id: str
    said_ts: float | None = None


@value
class SlotCancelWanted(AgentWord):
    """A client's `slot.cancel`."""

    slot_id: str
    reason: str = ""


@value
class AgentProcessEnded(AgentEvent):
    """The process an agent named as its own has ended."""

    agent_id: str
    pid: int
    start: str


@value
class AgentProcessUnwatched(AgentEvent):
    """The process an agent named as its own cannot be watched: nobody would see its end."""

    agent_id: str
    pid: int
    start: str


@value
class AgentsExpired(AgentEvent):
    """These were found to have been offline for longer than agents are kept."""

    agent_ids: tuple[str, ...]


@value
class WakeCommandEnded(AgentEvent):
    """A wake command has ended, or could not be started; `problem` is "" where it went well."""

    agent_id: str
    slot_id: str
    problem: str = ""
