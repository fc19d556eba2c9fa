"""Waiting for a condition with a deadline: the only place of the tests that may sleep.

A test that sleeps a fixed time is too slow on a good day and wrong on a bad one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_LOOK_EVERY_S = 0.01
# A look may be a process of its own, at the cost of what is waited for: two thirds of the time are for that.
_REST_AFTER_A_LOOK = 2.0
_LONGEST_REST_S = 0.1


def until(condition: Callable[[], T | None], *, limit_s: float = 10.0, what: str = "") -> T:
    """Return the first truthy value of `condition`; fails the test after `limit_s`, with the last value seen."""
    looked_at = time.monotonic()
    end_at = looked_at + limit_s
    while not (value := condition()):
        _check(end_at, limit_s, what, value)
        took_s = time.monotonic() - looked_at
        time.sleep(max(_LOOK_EVERY_S, min(_REST_AFTER_A_LOOK * took_s, _LONGEST_REST_S)))
        looked_at = time.monotonic()
    return value


async def until_async(condition: Callable[[], T | None], *, limit_s: float = 10.0, what: str = "") -> T:
    """Do the same while the event loop goes on."""
    end_at = time.monotonic() + limit_s
    while not (value := condition()):
        _check(end_at, limit_s, what, value)
        await anyio.sleep(_LOOK_EVERY_S)
    return value


def _check(end_at: float, limit_s: float, what: str, value: object) -> None:
    if time.monotonic() > end_at:
        raise AssertionError(f"not within {limit_s} s: {what or 'the condition'}; last seen: {value!r}")
