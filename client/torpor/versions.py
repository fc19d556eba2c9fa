"""Which of two versions of torpor is the older one."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


def is_older(one: str, other: str) -> bool:
    """Say whether `one` comes before `other`, by their numbers alone (PEP 440's release segment).

    What follows those (`rc1`, `+local`) decides nothing: of two that differ in it neither is known to be the older one.
    """
    first, second = _numbers(one), _numbers(other)
    return bool(first and second) and first < second


def _numbers(version: str) -> tuple[int, ...]:
    found = _NUMBERS.match(version)
    numbers = [int(each) for each in found[0].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.0 is 1
    return tuple(numbers) or ((0,) if found else ())
