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


def until(condition: Callable[[], T | None], *, limit_s: float = 10.0, what: str = "") -> T:
    """Return the first truthy value of `condition`; fails the test after `limit_s`, with the last value seen."""
    end_at = time.monotonic() + limit_s
    while not (value := condition()):
        _check(end_at, limit_s, what, value)
        time.sleep(_LOOK_EVERY_S)
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
