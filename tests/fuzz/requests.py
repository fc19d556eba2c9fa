"""Requests that are taken, one or more of each method, and the words that stand in them."""

from __future__ import annotations

import json
from typing import Any

from torpor import wire

AT = "2026-11-21T16:00:00+01:00"
LEGACY = {"run_id": "old-1", "current_node": "b", "data": {"n": 1}, "tool_results_cache": {"k": 1}, "status": "running"}

# method, params
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hello", {"protocol": 1, "client": {"name": "fuzz", "version": "1"}}),
    *(("event", {"event": event, "by": "somebody"}) for event in wire.EVENTS),
    ("status", {}),
    ("why", {}),
    ("doctor", {}),
    ("log", {"after": 1, "limit": 10, "kinds": ["started"]}),
    ("subscribe", {"after": 1, "kinds": ["started", "stopped"]}),
    ("wait", {"state": "WAKE", "timeout_s": 0}),
    ("wait", {"run_id": "run-live", "status": "completed", "timeout_s": 0.01}),
    ("wait", {"agent_id": "codex", "status": "idle", "timeout_s": 0.01}),
    ("hold.acquire", {"who": "make", "why": "a build", "ttl_s": 0.5}),
    ("hold.acquire", {"who": "make", "why": "a build", "key": "k-1"}),
    ("hold.acquire", {"who": "make", "why": "a build", "pid": 1}),
    ("hold.release", {"hold_id": "hold-1"}),
    ("hold.list", {"cursor": "hold-1"}),
    ("hibernate", {"now": True}),
    ("stop", {}),
    ("reload", {}),
    ("way.proven", {"way": "spawn", "took_s": 0.5}),
    (
        "run.start",
        {"flow": "chain", "data": {"a": [1]}, "state": "b", "purpose": "p", "session_id": "s", "max_steps": 9,
         "metadata": {"who": "me"}, "key": "k-2"},
    ),
    ("run.list", {"status": "running", "flow": "chain", "session_id": "s", "cursor": "5", "limit": 3}),
    ("run.get", {"run_id": "run-done", "cursor": "s1"}),
    ("run.get", {"run_id": "run-failed", "cursor": "c1"}),
    ("run.pause", {"run_id": "run-live"}),
    ("run.resume", {"run_id": "run-paused", "flow": "chain", "state": "b"}),
    ("run.cancel", {"run_id": "run-live"}),
    ("run.retry", {"run_id": "run-failed"}),
    ("run.remove", {"run_id": "run-done"}),
    ("run.export", {"run_id": "run-done", "cursor": "0.s.0.0"}),
    ("run.import", {"text": json.dumps(LEGACY)}),
    ("run.import", {"text": '{"current_node"', "more": True}),
    (
        "agent.register",
        {"agent_id": "new", "parent_id": "codex", "pid": 1, "wake_command": ["true"], "meta": {"cwd": "/src"}},
    ),
    ("agent.register", {"agent_id": "codex", "parent_id": None, "pid": None, "wake_command": None, "meta": None}),
    ("agent.heartbeat", {"agent_id": "codex", "doing": "busy"}),
    *(("agent.transition", {"agent_id": "codex", "to": to, "reason": "said"}) for to in wire.DOINGS),
    ("agent.transition", {"agent_id": "codex", "to": "exhausted", "reason": "billing", "recovery_at": AT}),
    ("agent.transition", {"agent_id": "spent", "to": "exhausted", "retry_after": "Sat, 21 Nov 2026 16:00:00 GMT"}),
    (
        "agent.transition",
        {"agent_id": "claude", "to": "exhausted", "headers": {"retry-after": 30, "x-ratelimit-reset-tokens": "6m0s",
         "x-ratelimit-remaining-tokens": "0", "anthropic-ratelimit-unified-5h-reset": "1900000000"}, "force": True},
    ),
    ("agent.transition", {"agent_id": "codex", "to": "exhausted", "message": "Your limit resets at 3pm (UTC)"}),
    ("agent.get", {"agent_id": "claude"}),
    ("agent.list", {"status": "idle", "exhausted": False, "cursor": "claude", "limit": 2}),
    ("agent.forget", {"agent_id": "quiet"}),
    (
        "slot.add",
        {"agent_id": "codex", "type": "work", "at": AT, "duration_s": 60, "priority": 5, "payload": {"n": [1]}},
    ),
    ("slot.take", {"slot_id": "slot-due", "agent_id": "codex"}),
    ("slot.finish", {"slot_id": "slot-taken"}),
    ("slot.cancel", {"slot_id": "slot-later", "reason": "no more wanted"}),
    ("slot.list", {"agent_id": "codex", "status": "planned", "cursor": "codex", "limit": 1}),
)  # fmt: skip

# What a place may take that is of another: names of methods, parameters, statuses, ids; and what is at a bound.
WORDS: tuple[Any, ...] = tuple(
    dict.fromkeys(
        [
            *(method for method, _ in REQUESTS),
            *(name for _, params in REQUESTS for name in params),
            *(value for _, params in REQUESTS for value in params.values() if isinstance(value, str | int)),
            *wire.STATES, *wire.RUN_STATUSES, *wire.AGENT_STATUSES, *wire.SLOT_TYPES, *wire.WAYS,
            "id", "jsonrpc", "method", "params", "2.0", "batch", "tool", "spent", "a", "only", "split",
            "resets at 3pm (Europe/Berlin)", "try again in 6m0s", "limit reached|1900000000", "0.h.0.0", "1.t.1.1",
        ]
    )
)  # fmt: skip
