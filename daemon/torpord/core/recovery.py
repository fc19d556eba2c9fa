"""When an exhausted agent can work again: the first of four things that a report can say, else an estimate.

What the agent says about itself (`recovery_at`, `retry_after`) has to be right, and is refused where it is not. What
it only passes on of its provider (`headers`, `message`) is read as well as it can be: what cannot be read, or is
further ahead than any limit that is known, is passed over, and what is past means now. A provider's forms change with
each of its releases, so the estimate is no exception but the usual end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from torpord.core.recovery_forms import LONGEST_S, http_date
from torpord.core.recovery_headers import from_headers
from torpord.core.recovery_text import from_message, is_no_quota

# An overloaded provider is no quota: five hours of rest for it would be far too long.
OVERLOAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a report of an exhausted agent says about its recovery, as it came over the wire.

    `recovery_at`: ISO 8601 with an offset. `retry_after`: seconds, also as text, or an HTTP date. `headers`: those of
    the provider's refusal. `message`: the text of it.
    """

    recovery_at: str | None = None
    retry_after: float | str | None = None
    headers: Mapping[str, float | str] | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """When, and by whose word: "recovery_at", "retry_after", "headers", "message" or "estimated" (by nobody's)."""

    at_wall_s: float
    source: str

    @property
    def estimated(self) -> bool:
        """Whether nothing that was said told it."""
        return self.source == "estimated"


class BadTimeError(ValueError):
    """The caller's own word for the recovery cannot be meant so. `field` is which; the text says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def recovery(said: Said, now_wall_s: float, default_s: float, zone: Callable[[str], tzinfo | None]) -> Recovery:
    """Return the recovery time by the first of `said` that tells one, else `default_s` from now.

    `now_wall_s` is when it was said. `zone` knows time zones by their names, and the machine's own as ''. Raises
    BadTimeError.
    """
    if said.recovery_at is not None:
        return Recovery(_ahead("recovery_at", _moment(said.recovery_at), now_wall_s), "recovery_at")
    if said.retry_after is not None:
        return Recovery(_ahead("retry_after", _after(said.retry_after, now_wall_s), now_wall_s), "retry_after")
    at_wall_s = from_headers(said.headers or {}, now_wall_s)
    if at_wall_s is not None:
        return Recovery(at_wall_s, "headers")
    message = said.message or ""
    at_wall_s = from_message(message, now_wall_s, zone)
    if at_wall_s is not None:
        return Recovery(at_wall_s, "message")
    return Recovery(now_wall_s + (OVERLOAD_S if is_no_quota(message) else default_s), "estimated")


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadTimeError("recovery_at", f"recovery_at is {text!r}, which is no time in ISO 8601") from None
    if moment.utcoffset() is None:
        raise BadTimeError("recovery_at", f"recovery_at is {text!r}: name an offset, as +01:00, or Z for UTC")
    return moment.timestamp()


def _after(value: float | str, now_wall_s: float) -> float:
    if isinstance(value, str):
        text = value.strip()
        at_wall_s = http_date(text, now_wall_s)
        if at_wall_s is not None:
            return at_wall_s
        if not text.isascii() or not text.replace(".", "", 1).isdigit():
            raise BadTimeError("retry_after", f"retry_after is {value!r}: give it in seconds, or as an HTTP date")
        value = float(text)
    if not math.isfinite(value):
        raise BadTimeError("retry_after", f"retry_after is {value!r}: give a number of seconds")
    return now_wall_s + value


def _ahead(field: str, at_wall_s: float, now_wall_s: float) -> float:
    if at_wall_s < now_wall_s:
        raise BadTimeError(
            field,
            f"{field} is past ({_shown(at_wall_s)}, and it was said at {_shown(now_wall_s)}):"
            " where the quota is back, say idle",
        )
    if at_wall_s > now_wall_s + LONGEST_S:
        days = (at_wall_s - now_wall_s) / 86_400
        raise BadTimeError(field, f"{field} is {days:.0f} days ahead, and at most 31 are taken: report again then")
    return at_wall_s


def _shown(wall_s: float) -> str:
    # A time before the year 1 or after 9999 cannot be shown, and comes from a number of seconds like 1e300.
    try:
        return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{wall_s:.3g} s after 1970"
