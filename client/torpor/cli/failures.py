"""Why something failed, as `runs show` tells it: its whole message, the ends of its traceback and of what it said."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from torpor.cli import run_words, streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torpor.run_replies import RunStep

# Bounds on what a page shows; --json and the export have all of it.
_MESSAGE_CHARS = 2000
_LAST_LINES = 12
_LINE_CHARS = 400
_MOST_COLUMNS = 110  # of a message that is wrapped: longer lines are hard to read


def of_step(step: RunStep, before: RunStep | None, indent: str) -> Iterator[str]:
    """Yield the lines about a step that failed. `before`: the failed one before it, which is not told twice."""
    error: Mapping[str, Any] = step["error"] or {}
    if before is not None and (before["error"], before["output"]) == (step["error"], step["output"]):
        yield f"{indent}{run_words.error(error)}, as before"
        return
    yield from message(error, indent)
    yield from _last(_before_message(error), indent + "  ")
    said = list(_last(step["output"], indent + "  "))
    in_message = {_plain(line).strip() for line in str(error.get("message") or "").splitlines()}
    # The message of a command that failed has the end of its output: that is not told twice.
    if any(line.strip() not in in_message for line in said):
        yield f"{indent}said:"
        yield from said


def message(error: Mapping[str, Any], indent: str, ahead: str = "") -> Iterator[str]:
    """Yield an error's type and message in lines that fit, behind `ahead` on the first of them."""
    kind, text = error.get("type"), str(error.get("message") or "").strip()
    told = ahead + (f"{kind}: {text}" if kind and text else kind or text or "no reason given")
    if len(told) > _MESSAGE_CHARS:
        told = told[: _MESSAGE_CHARS - 1] + "…"
    room = max(min(streams.columns() or _MOST_COLUMNS, _MOST_COLUMNS) - len(indent), len(indent))
    for line in told.splitlines():
        # A path or a command is to be copied: it stays whole, whatever its length.
        parts = textwrap.wrap(_plain(line), room, break_long_words=False, break_on_hyphens=False)
        yield from (f"{indent}{part}".rstrip() for part in parts or [""])


def _before_message(error: Mapping[str, Any]) -> str:
    """Return a traceback without the message it ends with: that is told already, and may be longer than its end."""
    trace, text = str(error.get("traceback") or "").rstrip(), str(error.get("message") or "").rstrip()
    if text and trace.endswith(text):
        return trace[: trace.rfind("\n", 0, len(trace) - len(text)) + 1]
    return trace


def _last(text: object, indent: str) -> Iterator[str]:
    lines = [_plain(line) for line in str(text or "").rstrip().splitlines()]
    if len(lines) > _LAST_LINES:
        lines = ["…", *lines[-_LAST_LINES:]]
    for line in lines:
        yield f"{indent}{line if len(line) <= _LINE_CHARS else line[: _LINE_CHARS - 1] + '…'}".rstrip()


def _plain(line: str) -> str:
    """Return `line` as it stands, its indentation too, without control characters: none is to move the cursor."""
    return "".join(char if char.isprintable() else " " for char in line.expandtabs())
