"""Bad parameters of agents and slots: each is refused by name, in words, and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon_process import LineClient
from torpor import wire
from torpord.control.agent_params import Moment, wall_s
from wire.agents import ahead

NAMED = ("agent.register", "agent.heartbeat", "agent.transition", "agent.get", "agent.forget", "slot.add")
BESIDE: dict[str, dict[str, Any]] = {
    "agent.transition": {"to": "idle"},
    "slot.add": {"type": "work", "at": "2001-01-01T00:00:00Z"},
}
NO_IDS = ("", " ", "   ", "x" * 129, "x" * 10_000, "two\nlines", "\x00", "\x1b[31m", "a\tb", "\u202e", 5, None, ["a"])
EXHAUSTED: dict[str, Any] = {"agent_id": "known", "to": "exhausted"}
SLOT: dict[str, Any] = {"agent_id": "known", "type": "work", "at": "2001-01-01T00:00:00Z"}
KNOWN: dict[str, Any] = {"agent_id": "known"}


@pytest.fixture
def known(line: LineClient) -> LineClient:
    """A connection to a daemon that knows one agent, `known`."""
    line.call("agent.register", agent_id="known")
    return line


def _refused(line: LineClient, method: str, params: dict[str, Any], field: str, name: str = "invalid_params") -> str:
    before = line.call("status")
    was = line.call("agent.get", agent_id="known")
    error = line.ask(method, **params)["error"]
    assert (error["data"]["name"], error["data"]["field"]) == (name, field)
    assert len(error["message"]) < 1000
    after = line.call("status")
    assert [after[each] for each in ("ledger_seq", "wrapper_event_seq", "agents", "next_wake_ts")] == [
        before[each] for each in ("ledger_seq", "wrapper_event_seq", "agents", "next_wake_ts")
    ]
    assert line.call("agent.get", agent_id="known") == was  # not even presence
    return str(error["message"])


@pytest.mark.parametrize("method", NAMED)
@pytest.mark.parametrize("agent_id", NO_IDS, ids=lambda value: ascii(value)[:20])
def test_what_is_no_name_is_refused(known: LineClient, method: str, agent_id: Any) -> None:
    _refused(known, method, {**BESIDE.get(method, {}), "agent_id": agent_id}, "agent_id")


def test_any_printable_name_is_taken(line: LineClient) -> None:
    for agent_id in ("x" * 128, "é" * 128, "😀" * 128, "claude-code:3f2a", "../../etc/passwd", "a b", "'; drop", "-"):
        line.call("agent.register", agent_id=agent_id)
        assert line.call("agent.get", agent_id=agent_id)["agent"]["agent_id"] == agent_id
        line.call("agent.forget", agent_id=agent_id)


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("agent.register", {**KNOWN, "parent_id": ""}, "parent_id"),
        ("agent.register", {**KNOWN, "parent_id": " "}, "parent_id"),
        ("agent.register", {**KNOWN, "parent_id": "known"}, "parent_id"),
        ("agent.register", {**KNOWN, "pid": 0}, "pid"),
        ("agent.register", {**KNOWN, "pid": -1}, "pid"),
        ("agent.register", {**KNOWN, "pid": True}, "pid"),
        ("agent.register", {**KNOWN, "pid": 2**31}, "pid"),
        ("agent.register", {**KNOWN, "pid": 2**31 - 1}, "pid"),  # nobody's
        ("agent.register", {**KNOWN, "wake_command": ""}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": " "}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": []}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": [""]}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": ["a", 5]}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": ["a\0b"]}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": ["a"] * 65}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": ["a" * 1000] * 5}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": "a" * 1025}, "wake_command"),
        ("agent.register", {**KNOWN, "wake_command": {"argv": ["a"]}}, "wake_command"),
        ("agent.heartbeat", {**KNOWN, "doing": "exhausted"}, "doing"),
        ("agent.heartbeat", {**KNOWN, "doing": "offline"}, "doing"),
        ("agent.heartbeat", {**KNOWN, "doing": None}, "doing"),
        ("agent.transition", {**KNOWN, "to": "asleep"}, "to"),
        ("agent.transition", {**KNOWN, "to": ["idle"]}, "to"),
        ("agent.transition", {**KNOWN, "to": "idle", "reason": "x" * 1025}, "reason"),
        ("agent.transition", {**KNOWN, "to": "idle", "retry_after": 5}, "retry_after"),
        ("agent.transition", {**KNOWN, "to": "busy", "recovery_at": ahead(60)}, "recovery_at"),
        ("agent.transition", {**KNOWN, "to": "offline", "headers": {}}, "headers"),
        ("agent.transition", {**KNOWN, "to": "on_call", "message": "m"}, "message"),
        ("agent.transition", {**KNOWN, "to": "idle", "force": True}, "force"),
        ("agent.transition", {**EXHAUSTED, "reason": "it was me"}, "reason"),
        ("agent.transition", {**EXHAUSTED, "force": 1}, "force"),
        ("agent.transition", {**EXHAUSTED, "retry_after": -1}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": "soon"}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": ""}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": "x" * 65}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": True}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": 1e300}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": 32 * 86_400}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "retry_after": "Sun, 06 Nov 1994 08:49:37 GMT"}, "retry_after"),
        ("agent.transition", {**EXHAUSTED, "recovery_at": ahead(-60)}, "recovery_at"),
        ("agent.transition", {**EXHAUSTED, "recovery_at": ahead(32 * 86_400)}, "recovery_at"),
        ("agent.transition", {**EXHAUSTED, "recovery_at": 1_800_000_000}, "recovery_at"),
        ("agent.transition", {**EXHAUSTED, "headers": []}, "headers"),
        ("agent.transition", {**EXHAUSTED, "headers": {"retry-after": ["5"]}}, "headers"),
        ("agent.transition", {**EXHAUSTED, "headers": {"retry-after": "x" * 1025}}, "headers"),
        ("agent.transition", {**EXHAUSTED, "headers": {"x" * 129: "5"}}, "headers"),
        ("agent.transition", {**EXHAUSTED, "headers": {f"h{n}": "5" for n in range(129)}}, "headers"),
        ("agent.transition", {**EXHAUSTED, "message": "x" * 16_385}, "message"),
        ("agent.transition", {**EXHAUSTED, "message": {"text": "m"}}, "message"),
        ("agent.list", {"status": "asleep"}, "status"),
        ("agent.list", {"limit": 0}, "limit"),
        ("agent.list", {"limit": 1001}, "limit"),
        ("agent.list", {"cursor": ""}, "cursor"),
        ("agent.list", {"cursor": "x" * 129}, "cursor"),
        ("slot.add", {**SLOT, "type": "play"}, "type"),
        ("slot.add", {**SLOT, "duration_s": -1}, "duration_s"),
        ("slot.add", {**SLOT, "priority": 1001}, "priority"),
        ("slot.add", {**SLOT, "priority": 0.5}, "priority"),
        ("slot.take", {"slot_id": ""}, "slot_id"),
        ("slot.take", {"slot_id": "x" * 65}, "slot_id"),
        ("slot.take", {"slot_id": "0", "agent_id": ""}, "agent_id"),
        ("slot.take", {"slot_id": "0", "agent_id": " "}, "agent_id"),
        ("slot.cancel", {"slot_id": "0", "reason": ""}, "reason"),
        ("slot.list", {"status": "due"}, "status"),
        ("slot.list", {"cursor": "x" * 161}, "cursor"),
        ("slot.list", {"cursor": "0"}, "cursor"),
        ("slot.list", {"cursor": "0 "}, "cursor"),
        ("slot.list", {"cursor": " a"}, "cursor"),
        ("wait", {"agent_id": "known"}, "status"),
        ("wait", {"agent_id": "known", "status": "running"}, "status"),
        ("wait", {"agent_id": "known", "status": "asleep"}, "status"),
        ("wait", {"agent_id": "known", "run_id": "0", "status": "idle"}, "agent_id"),
        ("wait", {"agent_id": "known", "state": "WAKE"}, "agent_id"),
        ("wait", {"agent_id": "", "status": "idle"}, "agent_id"),
        ("wait", {"run_id": "0", "status": "idle"}, "status"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_a_bad_value_is_refused_and_its_field_named(
    known: LineClient, method: str, params: dict[str, Any], field: str
) -> None:
    assert field in _refused(known, method, params, field)


NO_MOMENTS = (
    "2026-11-21T18:00:00",  # where?
    "2026-11-21",
    "18:00",
    "tomorrow",
    "",
    "2h",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-21T18:00:00+25:00",
    "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-11-21T18:00:00Z" + " " * 64,
    1_800_000_000,
    True,
    None,
)


@pytest.mark.parametrize("value", NO_MOMENTS, ids=str)
@pytest.mark.parametrize("field", ["at", "recovery_at"])
def test_what_is_no_time_with_an_offset_is_refused(known: LineClient, field: str, value: Any) -> None:
    method, params = ("slot.add", SLOT) if field == "at" else ("agent.transition", EXHAUSTED)
    assert "name an offset" in _refused(known, method, {**params, field: value}, field)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-21T18:00:00+00:00", "2026-11-21T18:00:00Z"),
        ("2026-11-21T19:30:00+01:30", "2026-11-21T18:00:00Z"),
        ("2026-11-21 18:00:00.000001Z", "2026-11-21T18:00:00.000001+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"),
    ],
)
def test_a_time_with_an_offset_is_the_same_however_written(text: str, same: str) -> None:
    assert Moment().takes(text)
    assert Moment().takes(same)
    assert wall_s(text) == wall_s(same) == datetime.fromisoformat(same).timestamp()


def test_a_slot_may_be_a_year_ahead_and_no_more(known: LineClient) -> None:
    assert "366 days" in _refused(known, "slot.add", {**SLOT, "at": ahead(367 * 86_400)}, "at")
    at = datetime.now(UTC) + timedelta(days=365)
    added = known.call("slot.add", agent_id="known", type="work", at=at.isoformat())
    assert abs(datetime.fromisoformat(added["due_ts"]) - at) < timedelta(milliseconds=1)
    known.call("slot.cancel", slot_id=added["slot_id"])


def _deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("method", "field", "most"),
    [("agent.register", "meta", wire.MAX_META_BYTES), ("slot.add", "payload", wire.MAX_PAYLOAD_BYTES)],
)
@pytest.mark.parametrize("key", [{}, {"key": "k"}], ids=["bare", "key"])
def test_json_is_kept_up_to_its_size_and_depth(
    known: LineClient, method: str, field: str, most: int, key: dict[str, str]
) -> None:
    params = {**(SLOT if method == "slot.add" else KNOWN), **key}
    bare = {name: value for name, value in params.items() if name != "key"}
    _refused(known, method, {**params, field: "x" * (most - 1)}, field, "too_large")
    _refused(known, method, {**params, field: ["é" * (most // 2)]}, field, "too_large")
    for levels in (129, 300, 900):
        assert "deep: write it as text" in _refused(known, method, {**params, field: _deep(levels)}, field)
    for value in ("x" * (most - 2), _deep(128), {"a": [1, None, "é\n", 0.5]}, 5, "", False, [], {}):
        taken = known.call(method, **bare, **{field: value})
        if method == "agent.register":
            kept = known.call("agent.get", agent_id="known")["agent"]["meta"]
        else:
            kept = known.call("slot.list", agent_id="known")["slots"][0]["payload"]
            known.call("slot.cancel", slot_id=taken["slot_id"])
        assert kept == value
