"""What commands print: JSON for programs, local times and rounded lengths for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from torpor import durations

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_DATA_CHARS = 160  # of a record's data in a line for people; --json has all of it


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
    except ValueError:
        return "an unknown time" if ts is None else str(ts)


def ago(ts: object) -> str:
    """Return how long ago a time of the wire was."""
    left_s = _left_s(ts)
    return "at an unknown time" if left_s is None else f"{durations.show(-left_s)} ago"


def until(ts: object) -> str:
    """Return how long it is until a time of the wire; one that has passed is 0.0s away."""
    left_s = _left_s(ts)
    return "an unknown time" if left_s is None else durations.show(left_s)


def _left_s(ts: object) -> float | None:
    try:
        return (datetime.fromisoformat(str(ts)).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None


def record(found: Mapping[str, Any]) -> str:
    """Return one record of the ledger as a line."""
    data = dict(found["data"])
    if found["kind"] == "state_transition":
        what = f"{data.pop('from', '?')} -> {data.pop('to', '?')}"
    else:
        what = str(found["kind"])
    rest = " ".join(f"{name}={_value(value)}" for name, value in data.items() if value not in (None, "", {}, []))
    if len(rest) > _DATA_CHARS:
        rest = rest[: _DATA_CHARS - 1] + "…"
    return f"{found['seq']:>6}  {moment(found['ts'])}  {what:<24} {rest}{cause(found.get('cause'))}".rstrip()


def cause(found: object) -> str:
    """Return who was behind a record, in brackets after two blanks, or nothing where nobody is named."""
    if not isinstance(found, dict) or not found:
        return f"  ({found})" if found else ""
    named = [str(found[name]) for name in ("by", "program", "deadline", "name") if found.get(name)]
    if found.get("pid") is not None:
        named.append(f"pid {found['pid']}")
    return f"  ({', '.join(named) or found.get('source', 'unknown')})"


def _value(value: object) -> str:
    if isinstance(value, str) and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
