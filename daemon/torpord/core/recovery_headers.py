"""A provider's refusal by its headers: the latest of those that block.

A header that says when something begins anew blocks only where that something is used up. By its *own* count, that is:
a refusal tells of every limit there is, also of those with most of it left, and of windows that end in a week.

| header | blocks |
| --- | --- |
| `retry-after`, `retry-after-ms` | always |
| `…ratelimit…-reset…` | where the `…-remaining…` of the same name is 0. One that is unknown (Azure sends -1) is not 0 |
| the same, without such a `…-remaining…` | where nothing else of the set blocks |
| `anthropic-ratelimit-unified-…-reset` | where its `…-status` is `rejected`; without one, where `…-utilization` ≥ 1 |
| `anthropic-ratelimit-unified-overage-…` | never: rejected only says that pay-as-you-go is off, also on a 200 |
| `ratelimit` | each of its items with nothing remaining (IETF drafts 07 to 11) |
| `x-codex-…-reset-at`, `…-reset-after-seconds` | where its `…-used-percent` ≥ 100 |

A status code would tell more (a 403 of GitHub's secondary limit has most of its quota left, and no `retry-after`), but
a report has none: there nothing blocks, and the message or the estimate tells. What the headers of each provider look
like, and where that is written, is in `tests/core/recovery_headers.jsonl`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torpord.core.recovery_forms import believed, counted, duration_s, http_date, instant, number

_UNIFIED = re.compile(r"(anthropic-ratelimit-unified)(?:-(?P<window>.+))?-reset")
_CODEX = re.compile(r"(x-codex-.+)-reset-(?:at|after-seconds)")
# GitLab's `-resettime` is its `-reset` as an HTTP date.
_RESET = re.compile(r"(.*ratelimit.*)-reset(?:time)?(-.+)?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_REMAINING = re.compile(r"(?:^|[;,\s])(?:r|remaining)=(\d+)", re.ASCII)
_LEFT_S = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d{1,15})", re.ASCII)


class _Found(NamedTuple):
    at_wall_s: float
    blocks: bool | None  # None: nothing in the set tells


def from_headers(headers: Mapping[str, float | str], now_wall_s: float) -> float | None:
    """Return when the last limit of a refusal ends; None where its headers tell of none."""
    # `x-rate-limit-` is how Azure has spelled some of them, and not their counts beside them.
    texts = {name.strip().lower().replace("rate-limit", "ratelimit"): _text(headers[name]) for name in headers}
    found = list(_found(texts, now_wall_s))
    for verdict in (True, None):
        taken = [believed(each.at_wall_s, now_wall_s) for each in found if each.blocks is verdict]
        ends = [end for end in taken if end is not None]
        if ends:
            return max(ends)
    return None


def _found(headers: Mapping[str, str], now_wall_s: float) -> Iterator[_Found]:
    for name, value in headers.items():
        if name == "retry-after-ms":
            wait_ms = number(value)
            if wait_ms is not None:
                yield _Found(now_wall_s + wait_ms / 1000, blocks=True)
        elif name == "ratelimit":
            yield from _structured(value, now_wall_s)
        elif (at_wall_s := _time(value, now_wall_s)) is not None:
            if name == "retry-after":
                yield _Found(at_wall_s, blocks=True)
            elif found := _UNIFIED.fullmatch(name):
                yield _Found(at_wall_s, _unified_blocks(headers, found["window"]))
            elif found := _CODEX.fullmatch(name):
                yield _Found(at_wall_s, (number(headers.get(f"{found[1]}-used-percent", "")) or 0.0) >= 100)
            elif found := _RESET.fullmatch(name):
                remaining = headers.get(f"{found[1]}-remaining{found[2] or ''}")
                yield _Found(at_wall_s, None if remaining is None else number(remaining) == 0)


def _unified_blocks(headers: Mapping[str, str], window: str | None) -> bool:
    if window is not None and window.startswith("overage"):
        return False
    limit = "anthropic-ratelimit-unified" + (f"-{window}" if window else "")
    status = headers.get(f"{limit}-status")
    if status is not None:
        return status.strip().lower() == "rejected"
    return (number(headers.get(f"{limit}-utilization", "")) or 0.0) >= 1


def _structured(value: str, now_wall_s: float) -> Iterator[_Found]:
    """Read IETF draft 07's one dictionary (`limit=9, remaining=0, reset=5`), or the list of 08 (`"day";r=0;t=5, …`)."""
    plain = _QUOTED.sub("name", value)  # a name may hold anything, also what looks like a count
    for item in [plain] if "remaining=" in plain or "reset=" in plain else plain.split(","):
        remaining, left = _REMAINING.search(item), _LEFT_S.search(item)
        if left:
            yield _Found(now_wall_s + float(left[1]), None if remaining is None else int(remaining[1]) == 0)


def _time(value: str, now_wall_s: float) -> float | None:
    bare = number(value)
    if bare is not None:
        return counted(bare, now_wall_s)
    wait_s = duration_s(value)
    if wait_s is not None:
        return now_wall_s + wait_s
    at_wall_s = instant(value)
    return http_date(value, now_wall_s) if at_wall_s is None else at_wall_s


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    # 1e22 of them or not: beyond any count that means something, and int() of such a float is exact.
    return str(int(value)) if float(value).is_integer() else str(value)
