"""What a state asked of its run and has to await: a call that is forgotten never happens, and nobody would know."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Sized
from typing import Any

from torpord.flows.errors import StepMistakeError

_FIRST_SWEEP = 64


class Awaited:
    """The coroutines that one attempt was given, and how far each has come.

    They are plain coroutines, so that `gather`, `create_task` and whatever else takes one take them. Which are over
    is looked at and not told: a wrapper that tells would cost each call a frame more.
    """

    __slots__ = ("_given", "_sweep_at")

    def __init__(self) -> None:
        self._given: list[tuple[str, str, Coroutine[Any, Any, Any]]] = []
        self._sweep_at = _FIRST_SWEEP

    def __bool__(self) -> bool:
        return bool(self._given)

    def give(self, called: str, instead: str, work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """Hand out `work`, which the author knows as `called`; `instead` is its like in a plain `def`."""
        if len(self._given) >= self._sweep_at:
            self._given = [each for each in self._given if not _is_over(each[2])]
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._given))
        self._given.append((called, instead, work))
        return work

    def mistake(self) -> StepMistakeError | None:
        """Return what to tell an author whose state has returned before all of it was over; None if it was."""
        begun, forgotten = [], []
        for called, instead, work in self._given:
            if _is_over(work):
                continue
            if inspect.getcoroutinestate(work) != inspect.CORO_CREATED:
                begun.append(called)
            else:
                forgotten.append((called, instead))
                work.close()  # else Python warns of it beside us
        if forgotten:
            called, instead = forgotten[0]
            return StepMistakeError(
                f"{called} was not awaited{_others(forgotten)}: await it, or use {instead} in a plain def"
            )
        if begun:
            text = f"{begun[0]} was not over when the state returned{_others(begun)}: await it, or the task it is in"
            return StepMistakeError(text)
        return None


def _is_over(work: Coroutine[Any, Any, Any]) -> bool:
    return inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


def _others(all_of_them: Sized) -> str:
    return f" (and {len(all_of_them) - 1} more)" if len(all_of_them) > 1 else ""
