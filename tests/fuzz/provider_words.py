"""What providers say of a quota, as an agent passes it on: any text and headers tell a time within bounds, or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import orjson

from fuzz.mutation import bytes_mutated, json_mutated, written
from torpord.core.recovery import BadTimeError, Said, recovery
from torpord.core.recovery_forms import LONGEST_S
from torpord.core.recovery_text import is_no_quota
from torpord.host.zones import zone

_CORE = Path(__file__).parents[1] / "core"
NOW_S = 1_795_000_000.0
_WORDS = (
    "resets", "reset", "try again", "retry", "in", "at", "after", "delay", "|1900000000", "|1900000000000", "3pm",
    "12:30", "25:00", "(Europe/Berlin)", "(../../etc/passwd)", "(UTC)", "PST", "Feb 30, 2026 at 3pm", "Mon 9am", "6m0s",
    "1h2m3.5s", "999999999d", "an hour", "2026-11-21T16:00:00Z", "9999-12-31T23:59:59-12:00",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT", "session limit", "5-hour limit", ":" * 20, "' \"" * 20, "1" * 40, "\u0661", "²",
    "retry-after", "retry-after-ms", "ratelimit", '"day";r=0;t=5', "remaining=0, reset=5", "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-unified-reset", "x-codex-primary-reset-at", "x-codex-primary-used-percent", "rejected",
    "0", "-1",
)  # fmt: skip


class ProviderWords:
    """A report of `agent.transition` to exhausted."""

    name = "provider"

    def close(self) -> None:
        """Nothing was made."""

    def seeds(self) -> Sequence[bytes]:
        """Take those that were seen in the world."""
        texts = [json.loads(line) for line in (_CORE / "recovery_messages.jsonl").read_text().splitlines()]
        sets = [json.loads(line) for line in (_CORE / "recovery_headers.jsonl").read_text().splitlines()]
        found = [{"message": each["text"]} for each in texts] + [{"headers": each["headers"]} for each in sets]
        return [json.dumps(each).encode() for each in found] + [b'{"retry_after":"Sun, 06 Nov 2026 08:49:37 GMT"}']

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change texts word by word."""
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            return bytes_mutated(data, dice)
        if isinstance(value, dict) and isinstance(value.get("message"), str) and dice.random() < 0.8:
            words = value["message"].split(" ")
            for _ in range(dice.choice((1, 1, 2, 3, 8))):
                words.insert(dice.randint(0, len(words)), dice.choice(_WORDS) * dice.choice((1, 1, 1, 1, 500)))
                if dice.random() < 0.5:
                    del words[dice.randrange(len(words))]
            value["message"] = dice.choice((" ", " ", "", "\n")).join(words)
            return written(value, dice)
        return written(json_mutated(value, dice, _WORDS), dice)

    def one(self, data: bytes) -> Sequence[str]:
        """Find out until when it is, as the daemon does after its own look at what the params may be."""
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            return ["no JSON"]
        if not isinstance(value, dict):
            return ["no object"]
        message, headers, after = value.get("message"), value.get("headers"), value.get("retry_after")
        said = Said(
            message=message[:16_384] if isinstance(message, str) else "",
            headers={k: v for k, v in headers.items() if isinstance(v, str)} if isinstance(headers, dict) else {},
            **({"retry_after": after[:64]} if isinstance(after, str) else {}),
        )
        try:
            found = recovery(said, NOW_S, 18_000.0, zone)
        except BadTimeError as bad:
            return [f"bad: {bad}"]
        is_no_quota(said.message or "")
        assert NOW_S <= found.at_wall_s <= NOW_S + LONGEST_S, found
        return [f"taken: {found.source}"]
