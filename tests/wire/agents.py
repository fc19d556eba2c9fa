"""Agents and slots for the tests of the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from daemon_process import LineClient

WORD = {"agent_id", "status", "changed", "slots", "due", "seq"}
AGENT = {
    "agent_id",
    "status",
    "since_ts",
    "online",
    "quiet",
    "doing",
    "seen_ts",
    "source",
    "exhausted_at",
    "exhaust_reason",
    "recovery_at",
    "recovery_source",
    "parent_id",
    "pid",
    "slot_id",
    "slots",
    "next_slot_ts",
    "holds",
}
SLOT = {
    "slot_id",
    "agent_id",
    "type",
    "at",
    "due_ts",
    "duration_s",
    "priority",
    "payload",
    "status",
    "offers",
    "offered_again_ts",
    "taken_ts",
    "armed",
}


def ahead(seconds: float) -> str:
    """Return a time so far from now, as ISO 8601."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def until_s(text: str) -> float:
    """Return how far a time is ahead."""
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


def added(line: LineClient, agent_id: str, in_s: float = -1, **params: object) -> str:
    """Add a slot for an agent, due unless it is said otherwise, and return its id."""
    given = {"type": "work", **params}
    return str(line.call("slot.add", agent_id=agent_id, at=ahead(in_s), **given)["slot_id"])
