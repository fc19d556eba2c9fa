"""What can be wrong with a flow, a step or its data, and how an error becomes a record of bounded size."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import Any

from torpord.core.limits import MAX_ERROR_BYTES

_OURS = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - frames have their file names as text
_CUT = "\n[... cut: over 64 KiB ...]\n"
_MAX_TYPE_CHARS = 256
# Of an error that is too long both ends tell most: what was called, and what happened last.
_HEAD_SHARE = 3


class FlowError(Exception):
    """The flow's author or its settings must mend something before it can run. Has all that is wrong, one a line."""

    def __init__(self, flow: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"flow {flow}: {problem}" for problem in problems))
        self.flow = flow
        self.problems = tuple(problems)


class StepError(Exception):
    """A step cannot be taken as it ended: its data, its result or what it returned is not what a run can keep."""


class StepMistakeError(StepError):
    """The state's code is wrong, and would do the same again: no further attempt is made before somebody mends it."""


class StepTimeoutError(Exception):
    """The attempt took longer than the state's `timeout`."""


class CallUnknownError(Exception):
    """A call was begun in an earlier attempt and nobody knows how it ended; its author asked not to make it again.

    Look at the outside what became of it; `runs retry` makes the call again, with the same idempotency key.
    """


class AttemptEndedError(Exception):
    """The daemon has ended this attempt: whatever it does now is not taken. Nothing for a state to handle."""


class StepInterruptedError(BaseException):
    """Raised inside a `def` state when its time is over or it is cancelled. Clean up and let it pass."""


def describe(error: BaseException) -> dict[str, Any]:
    """Return the error as `{type, message, traceback}`, cut to 64 KiB with the cut marked."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next  # a traceback begins where the author's code does
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except Exception as broken:  # noqa: BLE001 - an exception's own code may do anything
        lines = [f"(its traceback cannot be shown: {type(broken).__name__})"]
    return bounded(type(error).__name__, _message(error), "".join(lines))


def bounded(kind: str, message: str, trace: str = "") -> dict[str, Any]:
    """Return the record of an error, at most 64 KiB of UTF-8 in all: the message goes first, the traceback then."""
    message = _cut(message, MAX_ERROR_BYTES // 2 - _MAX_TYPE_CHARS * 4)
    left = MAX_ERROR_BYTES - len(message.encode()) - _MAX_TYPE_CHARS * 4
    return {"type": _text(kind)[:_MAX_TYPE_CHARS], "message": message, "traceback": _cut(trace, left)}


def _message(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception as broken:  # noqa: BLE001 - likewise
        return f"(its text cannot be shown: {type(broken).__name__})"


def _text(text: str) -> str:
    """Return what can be written as UTF-8: a file name of other bytes comes in lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= limit:
        return raw.decode()
    head = limit // _HEAD_SHARE
    tail = limit - head - len(_CUT)
    return raw[:head].decode(errors="ignore") + _CUT + raw[-tail:].decode(errors="ignore")
