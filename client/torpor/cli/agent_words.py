"""Agents, slots and their records in words, each on one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torpor import durations
from torpor.cli import agent_names, cells, run_words, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torpor.agent_replies import Agent, AgentFacts, Slot, Word

# All that the ledger tells of agents and slots.
KINDS = (
    "agent_registered", "agent_online", "agent_offline", "agent_quiet", "agent_doing", "agent_exhausted",
    "agent_recovered", "agent_forgotten", "agent_wake_started", "agent_wake_ended", "slot_added", "slot_offered",
    "slot_waiting", "slot_queued", "slot_deferred", "slot_taken", "slot_finished", "slot_cancelled",
)  # fmt: skip

_HEADINGS = ("AGENT", "STATUS", "SINCE", "UNTIL", "FOLDER", "SOURCE", "HOLDS")
_FOLDER = _HEADINGS.index("FOLDER")
_FOLDER_CELLS = 16
_NAME_COLUMNS = 40  # a longer name pushes the rest of its own line, and of no other
_TEXT_CHARS = 40  # of a hold's reason in a table
_NAMED_SLOTS = 3  # of those an agent is told of, in a line for people
_OF_DOING = {"busy": "work", "on_call": "on_call"}
_OFFLINE = {"timeout": "no heartbeat in time", "process_ended": "its process ended", "said": ""}
_RECOVERED = {"reached": "its time has come", "said": ""}


def name(agent_id: object) -> str:
    """Return an agent's name on one line."""
    return run_words.one_line(agent_id)


def word(found: Word) -> str:
    """Return what became of an agent's word: its status, until when, and what is due for it."""
    told = f"{name(found['agent_id'])}: {found['status']}"
    if at := found.get("recovery_at"):
        exhausted = "" if found["status"] == "exhausted" else ", exhausted"
        when = "," if show.is_past(at) else " until"
        told += f"{exhausted}{when} {_how_known(show.due(at), found.get('recovery_source'))}"
    return told + due(found["slots"], found["due"])


def due(slots: Sequence[Slot], count: int) -> str:
    """Return which slots an agent is offered, behind a comma; of `count` that wait to be taken."""
    if not slots:
        return f", {run_words.counted(count, 'slot')} due" if count else ""
    named = ", ".join(f"{each['slot_id']} ({each['type']})" for each in slots[:_NAMED_SLOTS])
    more = count - min(len(slots), _NAMED_SLOTS)
    return f", due: {named}" + (f" and {more} more" if more > 0 else "")


def recovery(at: object, source: object) -> str:
    """Return until when an agent is exhausted, and how that is known: "15:20 (message)"."""
    return _how_known(show.soon(at), source)


def _how_known(when: str, source: object) -> str:
    return f"{when} {known_from(source)}" if source else when


def known_from(source: object) -> str:
    """Return in brackets how it is known until when an agent is exhausted: the wire's word in a person's."""
    return f"({'said' if source == 'recovery_at' else str(source).replace('_', ' ')})"


def table(
    agents: Sequence[Agent], holds: Mapping[str, str], folders: Mapping[str, str], *, among: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a line of headings and one for each agent; without folders, no column for them.

    `holds`: the reasons of holds by their ids. `among`: the ids of other agents, whose names are to differ, too.
    """
    called = agent_names.short([*(agent["agent_id"] for agent in agents), *among])
    rows = [_HEADINGS, *(_row(agent, called, holds, folders) for agent in agents)]
    if not any(row[_FOLDER] for row in rows[1:]):
        rows = [(*row[:_FOLDER], *row[_FOLDER + 1 :]) for row in rows]
    yield from columns(rows)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines whose columns stand below each other."""
    widths = [max(map(cells.width, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], _NAME_COLUMNS)
    for row in rows:
        yield "  ".join(map(cells.padded, row, widths)).rstrip()


def _row(
    agent: Agent, called: Mapping[str, str], holds: Mapping[str, str], folders: Mapping[str, str]
) -> tuple[str, ...]:
    named = name(called[agent["agent_id"]])
    since = show.elapsed(agent["since_ts"])
    source = run_words.one_line(agent["source"] or "", _TEXT_CHARS)
    where = cells.cut(run_words.one_line(folders.get(agent["agent_id"], "")), _FOLDER_CELLS)
    return named, status(agent), since, until(agent), where, source, _has(agent, holds)


def status(agent: AgentFacts) -> str:
    """Return an agent's status, with what that does not tell: an offline one's quota, how long one is silent."""
    if agent["status"] == "offline" and agent["recovery_at"]:
        return "offline, exhausted"
    if agent.get("quiet") and agent["seen_ts"]:
        return f"{agent['status']} (silent {show.elapsed(agent['seen_ts']).split()[0]})"
    return agent["status"]


def until(agent: AgentFacts) -> str:
    """Return until when an agent stays what it is, as far as that is known: its recovery, or its next slot."""
    if agent["recovery_at"]:
        return _how_known(show.due(agent["recovery_at"]), agent["recovery_source"])
    return f"{show.due(agent['next_slot_ts'])} (slot)" if agent["next_slot_ts"] else ""


def _has(agent: Agent, holds: Mapping[str, str]) -> str:
    told = [f'hold "{run_words.one_line(holds.get(each, each), _TEXT_CHARS)}"' for each in agent["holds"]]
    planned = agent["slots"]
    if agent["slot_id"]:
        kind = _OF_DOING.get(agent["doing"])
        told.append(f"slot {agent['slot_id']}" + (f" ({kind})" if kind else ""))
        planned -= 1
    if planned > 0:
        told.append(run_words.counted(planned, "slot"))
    return ", ".join(told)


def slot(found: Slot) -> str:
    """Return what a slot is, without its name and its agent: "work, due 15:20, planned, priority 3"."""
    told = [found["type"], f"due {show.soon_or_now(found['due_ts'])}", found["status"]]
    if found["priority"]:
        told.append(f"priority {found['priority']}")
    if found["duration_s"]:
        told.append(f"for {durations.show(found['duration_s'])}")
    return ", ".join(told)


def record(kind: str, data: Mapping[str, Any]) -> str:
    """Return what a ledger's record says of an agent or a slot, with its name, and without the kind."""
    who = name(data.get("agent_id"))
    if kind.startswith("slot_"):
        who = f"{data.get('slot_id')} of {who}"
    told = run_words.one_line(_of_slot(kind, data) if kind.startswith("slot_") else _of_agent(kind, data))
    return f"{who}: {told}" if told else who


def _of_agent(kind: str, data: Mapping[str, Any]) -> str:
    match kind:
        case "agent_registered":
            of = {"child of": data.get("parent_id"), "pid": data.get("pid"), "wakes by": _command(data)}
            return ", ".join(f"{label} {value}" for label, value in of.items() if value)
        case "agent_offline":
            return _joined(_OFFLINE.get(data["how"], data["how"]), data.get("reason"))
        case "agent_quiet":
            return "no heartbeat in time, and its process lives"
        case "agent_doing":
            at = f"{data['doing']} with slot {data['slot_id']}" if data.get("slot_id") else data["doing"]
            return _joined(at, data.get("reason"))
        case "agent_exhausted":
            moved = "now " if data.get("moved") else ""
            return f"{data['reason']}, {moved}until {recovery(data['recovery_ts'], data['recovery_source'])}"
        case "agent_recovered":
            return _RECOVERED.get(data["how"], str(data["how"]))
        case "agent_forgotten":
            return "after long silence" if data.get("how") == "expired" else ""
        case "agent_wake_started":
            return f"for slot {data['slot_id']}: {data['command']}"
        case "agent_wake_ended":
            return f"for slot {data['slot_id']}: {data.get('problem') or 'done'}"
        case _:
            return ""


def _of_slot(kind: str, data: Mapping[str, Any]) -> str:
    match kind:
        case "slot_added":
            priority = f"priority {data['priority']}" if data.get("priority") else None
            return _joined(f"{data['type']} at {show.soon(data['at_ts'])}", priority)
        case "slot_offered":
            told = "by its wake command" if data["via"] == "command" else ""
            return _joined(told, f"time {data['offers']}" if data["offers"] > 1 else None)
        case "slot_queued":
            return "its wake command runs already" if data.get("pause_s") else "other wake commands run"
        case "slot_deferred":
            return f"until {show.soon(data['until_ts'])}"
        case "slot_cancelled":
            return _joined("its agent was forgotten" if data["how"] == "agent_forgotten" else "", data.get("reason"))
        case _:
            return ""


def _command(data: Mapping[str, Any]) -> str:
    found = data.get("wake_command")
    return " ".join(found) if isinstance(found, list | tuple) else str(found or "")


def _joined(*parts: object) -> str:
    return ", ".join(str(each) for each in parts if each)
