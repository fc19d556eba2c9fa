"""Hook payloads: whatever an agent writes to `torpor hook`, its words are such as the daemon takes, or there are none.

Beyond the payload an input says how the daemon answers: a line of digits, a refusal each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson

from fuzz.mutation import bytes_mutated, json_mutated, written
from fuzz.seat import Seat, refused
from torpor import claude_code, hook_wire
from torpord.control import framing
from torpord.control.calls import Call
from torpord.control.methods import change, find
from torpord.core.draft import Refusal

_PAYLOADS = Path(__file__).parents[1] / "client" / "claude_code_payloads.jsonl"
_MOST_ROUNDS = 4
_REFUSALS: tuple[dict[str, Any] | None, ...] = (
    None, None, {"name": "not_found"},
    {"name": "conflict", "status": "exhausted", "until": "2020-01-01T00:00:00+00:00"},
    {"name": "conflict", "status": 5, "until": [], "exhausted_at": {}}, {"name": "invalid_params", "field": "pid"},
    {"name": "too_many", "field": "pid"}, {"name": "storage_unavailable"}, {}, {"name": None},
)  # fmt: skip
# `_run` lets these pass: a hook that is not understood is silent.
_SILENT = (ValueError, StopIteration, RecursionError)
_WORDS = (
    *claude_code.EVENTS, "session_id", "agent_id", "agent_type", "cwd", "error", "error_type", "rate_limit",
    "billing_error",
    "source", "compact", "background_tasks", "status", "running", "notification_type", "permission_prompt", "message",
    "last_assistant_message", "error_details", "hook_event_name", "a/b", "claude-code:abc123", "x" * 600,
)  # fmt: skip


class _Line:
    """Answers words as an input says, and looks at each of them as the daemon does."""

    def __init__(self, seat: Seat, refusals: Sequence[dict[str, Any] | None]) -> None:
        self.rounds = 0
        self.said: list[str] = []
        self._seat = seat
        self._refusals = list(refusals)

    def ask(self, words: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any] | None]:
        self.rounds += 1
        assert self.rounds <= _MOST_ROUNDS
        for method, params in words:
            text = hook_wire.written(params)
            assert orjson.loads(text) == params
            self.said.append(f"{method}: {self._taken(method, json.loads(text))}")
        return [self._refusals.pop(0) if self._refusals else None for _ in words]

    def _taken(self, method: str, params: dict[str, Any]) -> str:
        # Neither does the daemon find anything to complain of.
        made = self._seat.taken(change(find(method), Call(self._seat.desk, params, {"source": "client"}, 1)))
        if isinstance(made, Refusal):
            assert made.name in ("not_found", "conflict"), made
            return refused(framing.NO_ID, made)
        return "taken"


class HookPayload:
    """The first line is the payload, the second the answers."""

    name = "hook"

    def __init__(self) -> None:
        self._seat = Seat()

    def close(self) -> None:
        """Close what its words are looked at in."""
        self._seat.close()

    def seeds(self) -> Sequence[bytes]:
        """Take those of the documentation and of the world."""
        lines = [json.loads(line)["payload"] for line in _PAYLOADS.read_text().splitlines()]
        return [json.dumps(each).encode() + b"\n0" for each in lines]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change the payload, and draw answers."""
        payload = data.rpartition(b"\n")[0]
        answers = "".join(dice.choice("0123456789") for _ in range(dice.randint(0, 8)))
        if dice.random() < 0.9:
            try:
                payload = written(json_mutated(orjson.loads(payload), dice, _WORDS), dice)
            except orjson.JSONDecodeError:
                payload = dice.choice(self.seeds()).rpartition(b"\n")[0]
        else:
            payload = bytes_mutated(payload, dice)
        return payload + b"\n" + answers.encode()

    def one(self, data: bytes) -> Sequence[str]:
        """Read the payload as the hook does, and say what it means."""
        text, _, answers = data.decode(errors="replace").rpartition("\n")
        try:
            payload = hook_wire.parsed(text)
        except _SILENT as silent:
            return [f"silent: {type(silent).__name__}"]
        meaning = claude_code.read(payload) if isinstance(payload, dict) else None
        if meaning is None:
            return ["nothing"]
        self._seat.begin()
        line = _Line(self._seat, [_REFUSALS[int(each)] for each in answers if each in "0123456789"])
        try:
            hook_wire.tell(line, meaning)  # type: ignore[arg-type]  # all it is asked for is `ask`
        except hook_wire.Unheard as unheard:
            line.said.append(f"unheard: {unheard.is_down}")
        return line.said
