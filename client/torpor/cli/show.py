"""What commands print: JSON for programs, local times and rounded lengths for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from torpor import durations
from torpor.cli import run_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_DATA_CHARS = 200  # of a record's data in a line for people; --json has all of it
_SECONDS_MATTER_S = 120.0  # of a time that is no farther away
_NOT_FOR_PEOPLE = ("policy", "boot_id", "rebase_s", "suspended_s")  # the daemon's own; --json has them
_OF_RUNS = ("run_", "step_", "call_", "flow_", "worker_")
_OF_AGENTS = ("agent_", "slot_")


def say(args: argparse.Namespace, line: str, found: Mapping[str, Any]) -> None:
    """Print `found` where --json was given, else `line`."""
    print_json(found) if args.json else print(line)


def print_json(found: object) -> None:
    """Print one line of JSON, and have it out at once: a reader may be waiting for it."""
    print(json.dumps(found, ensure_ascii=False), flush=True)


def moment(ts: object) -> str:
    """Return a time of the wire in the reader's own time zone."""
    try:
        return datetime.fromisoformat(str(ts)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return "an unknown time" if ts is None else str(ts)


def clock(ts: object = None) -> str:
    """Return the time of day of a time of the wire in the reader's own time zone; without one, of now."""
    try:
        found = datetime.now(UTC) if ts is None else datetime.fromisoformat(str(ts))
    except (ValueError, OverflowError):
        return str(ts)
    return found.astimezone().strftime("%H:%M:%S")


def ago(ts: object) -> str:
    """Return how long ago a time of the wire was."""
    left_s = _left_s(ts)
    return "at an unknown time" if left_s is None else f"{durations.show(-left_s)} ago"


def elapsed(ts: object) -> str:
    """Return how long it is since a time of the wire."""
    left_s = _left_s(ts)
    return "an unknown time" if left_s is None else durations.show(-left_s)


def until(ts: object) -> str:
    """Return how long it is until a time of the wire; one that has passed is 0.0s away."""
    left_s = _left_s(ts)
    return "an unknown time" if left_s is None else durations.show(left_s)


def soon(ts: object) -> str:
    """Return a time of the wire as people say one that is near: "15:18", on another day with the date."""
    try:
        found = datetime.fromisoformat(str(ts)).astimezone()
    except (ValueError, OverflowError):
        return moment(ts)
    near = abs((found - datetime.now(UTC)).total_seconds()) < _SECONDS_MATTER_S
    day = "" if found.date() == datetime.now(UTC).astimezone().date() else found.strftime("%Y-%m-%d ")
    return day + found.strftime("%H:%M:%S" if near else "%H:%M")


def due(ts: object) -> str:
    """Return a time of the wire that is to come as `soon` does; one that is not, as "due now"."""
    return "due now" if is_past(ts) else soon(ts)


def soon_or_now(ts: object) -> str:
    """Return a time of the wire as `soon` does; one that has come, as "now"."""
    return "now" if is_past(ts) else soon(ts)


def is_past(ts: object) -> bool:
    """Say whether a time of the wire has come."""
    left_s = _left_s(ts)
    return left_s is not None and left_s <= 0


def _left_s(ts: object) -> float | None:
    try:
        return (datetime.fromisoformat(str(ts)).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None


def record(found: Mapping[str, Any]) -> str:
    """Return one record of the ledger as a line."""
    data, what = dict(found["data"]), str(found["kind"])
    if what.startswith(_OF_RUNS) and "run_id" in data:
        rest = f"{data['run_id']}  {run_words.one_line(run_words.record(what, data), _DATA_CHARS)}".rstrip()
    elif what.startswith(_OF_AGENTS) and "agent_id" in data:
        from torpor.cli import agent_words  # noqa: PLC0415 - where there are agents

        rest = run_words.one_line(agent_words.record(what, data), _DATA_CHARS)
    else:
        if what == "state_transition":
            what = f"{data.pop('from', '?')} -> {data.pop('to', '?')}"
        for name in _NOT_FOR_PEOPLE:
            data.pop(name, None)
        rest = " ".join(f"{name}={_value(value)}" for name, value in data.items() if value not in (None, "", {}, []))
        rest = run_words.one_line(rest, _DATA_CHARS)
    return f"{found['seq']:>6}  {moment(found['ts'])}  {what:<24} {rest}{cause(found.get('cause'))}".rstrip()


def cause(found: object) -> str:
    """Return who was behind a record, in brackets after two blanks, or nothing where nobody is named."""
    if not isinstance(found, dict) or not found:
        return f"  ({found})" if found else ""
    named = [run_words.one_line(found[name]) for name in ("by", "program", "deadline", "name") if found.get(name)]
    if found.get("pid") is not None:
        named.append(f"pid {found['pid']}")
    return f"  ({', '.join(named) or found.get('source', 'unknown')})"


def _value(value: object) -> str:
    if isinstance(value, str) and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
