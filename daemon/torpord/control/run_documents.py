"""A run as one JSON document, given in pieces. The way back is `run_imports.py`."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from torpord.core.cycle import document as run_document
from torpord.core.runs import Run
from torpord.store import runs as rows

FORMAT = "torpor run"
VERSION = 2
_ROWS_A_TIME = 50


class TornError(Exception):
    """The run has changed between two pieces of its document's head: they do not belong together."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where in a run's document to go on: behind row `after` of a section, at `offset` of the part that begins there.

    The sections are the head, the steps ("s", ended by "t") and the calls ("c", ended by "d"). `head`: the checksum of
    the head that this began with. Rows of steps never change, and those of calls within one part.
    """

    head: int = 0
    section: str = "h"
    after: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.head}.{self.section}.{self.after}.{self.offset}"

    @staticmethod
    def of(text: str) -> Cursor:
        """Read one that was given. Raises ValueError."""
        head, section, *numbers = text.split(".")
        after, offset = (int(number) for number in numbers)
        if section not in _SECTIONS or min(int(head), after, offset) < 0 or max(after, offset) > 2**62:
            raise ValueError(text)
        return Cursor(int(head), section, after, offset)


_SECTIONS = ("h", "s", "t", "c", "d")


def piece(db: sqlite3.Connection, run: Run, cursor: Cursor, chars: int) -> tuple[str, Cursor | None]:
    """Return so many characters of a run's document from there on, and where to go on (None: that was the end).

    Raises TornError.
    """
    gathered, left, offset, head = [], chars, cursor.offset, cursor.head
    for section, after, text in _parts(db, run, cursor.section, cursor.after):
        if section == "h":
            head = zlib.crc32(text.encode())
            if offset and head != cursor.head:
                raise TornError
        part = text[offset : offset + left]
        gathered.append(part)
        left -= len(part)
        if left == 0:
            return "".join(gathered), Cursor(head, section, after, offset + len(part))
        offset = 0
    return "".join(gathered), None


def _parts(db: sqlite3.Connection, run: Run, section: str, after: int) -> Iterator[tuple[str, int, str]]:
    """Give the document in parts from a place on, each with its place: never all of it in memory."""
    at = _SECTIONS.index(section)
    if at <= 0:
        head = {"format": FORMAT, "version": VERSION, "run": run_document(run)}
        body = orjson.dumps({**head, "detail": rows.detail(db, run.run_id), "data": rows.data(db, run.run_id)})
        yield "h", 0, body.decode()[:-1] + ', "steps": ['
    if at <= 1:
        behind = after if section == "s" else 0
        while found := rows.steps(db, run.run_id, behind, _ROWS_A_TIME):
            for step in found:
                yield "s", behind, ("," if behind else "") + orjson.dumps(step).decode()
                behind = step["id"]
    if at <= 2:
        yield "t", 0, '], "calls": ['
    if at <= 3:
        behind = after if section == "c" else 0
        while calls := rows.calls(db, run.run_id, behind, _ROWS_A_TIME):
            for number, call in calls:
                yield "c", behind, ("," if behind else "") + orjson.dumps(call).decode()
                behind = number
    yield "d", 0, "]}"
