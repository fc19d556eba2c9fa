"""A run as one JSON document, and back: of this version, or of the older version 1 that other programs have written.

What comes in is checked value by value before anybody works with it: it may be anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from torpord.control.params import RefusedError
from torpord.core.cycle import document as run_document
from torpord.core.draft import Refusal
from torpord.core.limits import MAX_DATA_BYTES
from torpord.core.nesting import MAX_NESTING, is_too_deep
from torpord.core.run_history import from_document
from torpord.core.runs import DEFAULT_MAX_STEPS, ENDED, MAIN, Place, PlaceStatus, Run, RunStatus, Stopping
from torpord.store import runs as rows

FORMAT = "torpor run"
VERSION = 2
# The year 9999: what is beyond cannot be written as a time.
_LAST_S = 253_402_300_799
_LEGACY_FIELDS = ("current_node", "node_states", "completed_nodes")
_ROWS_A_TIME = 50
# SQLite's whole numbers end somewhat above; no count or time of a run comes near.
_MOST = 2**53
# Metadata and result lie in it, and each of their values may be MAX_NESTING deep.
_DETAIL_NESTING = MAX_NESTING + 2


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where in a run's document to go on: behind row `after` of a section, at `offset` of the part that begins there.

    The sections are the head, the steps ("s", ended by "t") and the calls ("c", ended by "d"). `steps`: how many the
    run had done when the export began: a head that changes meanwhile would be torn.
    """

    steps: int
    section: str = "h"
    after: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.steps}.{self.section}.{self.after}.{self.offset}"

    @staticmethod
    def of(text: str) -> Cursor:
        """Read one that was given. Raises ValueError."""
        steps, section, *numbers = text.split(".")
        after, offset = (int(number) for number in numbers)
        if section not in _SECTIONS or min(int(steps), after, offset) < 0 or max(after, offset) > 2**62:
            raise ValueError(text)
        return Cursor(int(steps), section, after, offset)


_SECTIONS = ("h", "s", "t", "c", "d")


def piece(db: sqlite3.Connection, run: Run, cursor: Cursor, chars: int) -> tuple[str, Cursor | None]:
    """Return so many characters of a run's document from there on, and where to go on (None: that was the end)."""
    gathered, left, offset = [], chars, cursor.offset
    for section, after, text in _parts(db, run, cursor.section, cursor.after):
        part = text[offset : offset + left]
        gathered.append(part)
        left -= len(part)
        if left == 0:
            return "".join(gathered), Cursor(cursor.steps, section, after, offset + len(part))
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


def read(text: str, run_id: str, wall_s: float) -> tuple[Run, rows.Rows]:
    """Make a run with a new id of a document. Raises RefusedError, which says what is wrong with it."""
    try:
        document = _is(orjson.loads(text), dict)
        if document.get("format") == FORMAT:
            return _current(document, run_id)
        if any(name in document for name in _LEGACY_FIELDS):
            return _legacy(document, run_id, wall_s)
    except (KeyError, TypeError, ValueError) as error:
        message = f"this is no run's document: {error.args[0] if error.args else error!r}"
        raise RefusedError(Refusal("invalid_params", message[:500], {"field": "text"})) from error
    message = f"this is neither a document of format {FORMAT!r} nor of version 1 (with current_node)"
    raise RefusedError(Refusal("invalid_params", message, {"field": "text"}))


def _is(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{str(value)[:80]!r} is not what belongs there")
    return value


def _text(value: Any, most: int = MAX_NESTING) -> str:
    text = orjson.dumps(value).decode()
    if is_too_deep(value, text, most):
        raise ValueError(f"it is over {most} lists and objects deep")
    return text


_NUMBER = (int, float)
_MAYBE_NUMBER = (int, float, type(None))
_MAYBE_OBJECT = (dict, type(None))
# field of a run: what it may be
_RUN_FIELDS: Mapping[str, Any] = {
    "flow": str,
    "created_ts": _NUMBER,
    "places": list,
    "origin": str,
    "status": str,
    "reason": str,
    "purpose": str,
    "session_id": str,
    "legacy": bool,
    "version": (int, type(None)),
    "states": int,
    "max_steps": int,
    "steps": int,
    "steps_before": int,
    "worked_s": _NUMBER,
    "started_ts": _MAYBE_NUMBER,
    "ended_ts": _MAYBE_NUMBER,
    "crashes": int,
    "error": _MAYBE_OBJECT,
}
_PLACE_FIELDS: Mapping[str, Any] = {
    "branch": str,
    "state": str,
    "visit": int,
    "attempt": int,
    "status": str,
    "failures": int,
    "since_ts": _NUMBER,
    "join": str,
    "error": _MAYBE_OBJECT,
}
_STEP_FIELDS: Mapping[str, Any] = {"branch": str, "state": str, "visit": int, "attempt": int}
_CALL_FIELDS: Mapping[str, Any] = {
    "key": str,
    "branch": str,
    "state": str,
    "visit": int,
    "attempt": int,
    "tool": str,
    "status": str,
    "begun_ts": _NUMBER,
    "ended_ts": _MAYBE_NUMBER,
}


def _fields(document: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: _is(_is(document, dict)[name], kind) for name, kind in fields.items()}
    numbers = {name: value for name, value in given.items() if isinstance(value, int | float)}
    beyond = [n for n, value in numbers.items() if not 0 <= value <= (_LAST_S if n.endswith("_ts") else _MOST)]
    if beyond:
        raise ValueError(f"{beyond[0]} is beyond all bounds: {given[beyond[0]]}")
    return given


def _current(document: Mapping[str, Any], run_id: str) -> tuple[Run, rows.Rows]:
    """Take a document of this version. What had not ended arrives paused, and nobody works at it twice unasked."""
    if document["version"] != VERSION:
        raise ValueError(f"it is of version {document['version']!r}; this torpor reads {VERSION}, and version 1")
    given = _fields(document["run"], _RUN_FIELDS)
    places = [_place(place) for place in given["places"]]
    if not places or places[0].branch != MAIN or len({p.branch for p in places}) != len(places):
        raise ValueError("the places of the run are none")
    status = RunStatus(given["status"])
    if status not in ENDED:
        status, given["reason"] = RunStatus.PAUSED, "imported: resume it, if nobody else goes on with it"
    plain = {**given, "status": status.value, "run_id": run_id, "cycle": False, "worker": 0, "workers": 0}
    plain |= {"loaded": False, "stopping": Stopping.NOT.value, "places": [_plain(place) for place in places]}
    data = [row for branch, patch in _is(document["data"], dict).items() for row in _data_rows(branch, patch)]
    steps = tuple(_step_row(step) for step in _is(document["steps"], list))
    calls = tuple(_call_row(call) for call in _is(document["calls"], list))
    return from_document(plain), rows.Rows(_text(_is(document["detail"], dict), _DETAIL_NESTING), data, steps, calls)


def _place(document: Any) -> Place:
    given = _fields(document, _PLACE_FIELDS)
    status = PlaceStatus(given["status"])
    # A time of another machine's awake clock means nothing here, and an attempt under way there is not one here.
    moving = status in (PlaceStatus.RUNNING, PlaceStatus.WAITING)
    return Place(**{**given, "status": PlaceStatus.READY if moving else status})


def _plain(place: Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in Place.__dataclass_fields__}


def _data_rows(branch: Any, patch: Any) -> Iterator[tuple[str, str, str | None]]:
    size = 0
    for key, value in _is(_is(patch, dict)["set"], dict).items():
        text = _text(value)
        size += len(key) + len(text)
        if size > MAX_DATA_BYTES:
            raise ValueError(f"its data is over {MAX_DATA_BYTES} bytes")
        yield branch, key, text
    for key in _is(patch["removed"], list):
        yield branch, _is(key, str), None


def _step_row(step: Any) -> tuple[str, str, int, int, str]:
    at = _fields(step, _STEP_FIELDS)
    body = {name: value for name, value in step.items() if name not in rows.STEP_COLUMNS}
    body = {**_fields(body, {"outcome": str, "started_ts": _NUMBER, "duration_s": _NUMBER}), **body}
    return at["branch"], at["state"], at["visit"], at["attempt"], _text(body)


def _call_row(call: Any) -> tuple[Any, ...]:
    given = _fields(call, _CALL_FIELDS)
    if given["status"] not in ("begun", "done", "failed"):
        raise ValueError(f"a call is not {given['status']!r}")
    given["args"] = _text(call["args"])
    given["result"] = None if given["status"] == "begun" else _text(call["result"])
    return tuple(given[name] for name in rows.CALL_COLUMNS)


def _legacy(document: Mapping[str, Any], run_id: str, wall_s: float) -> tuple[Run, rows.Rows]:
    """Take a document of version 1: all of its fields are kept, and it is paused until it is told its flow."""
    at = _word(document, "current_node")
    known = _moment(document.get("started_at"))
    run = Run(
        run_id=run_id,
        flow="",
        created_ts=wall_s if known is None else known,
        places=(Place(MAIN, at, since_ts=wall_s),),
        origin=_word(document, "run_id") or run_id,
        status=RunStatus.PAUSED,
        reason="imported from version 1: tell it its flow (run.resume with flow)",
        purpose=_word(document, "purpose")[:1024],
        session_id=_word(document, "session_id")[:1024],
        legacy=True,
        max_steps=_count(document, "max_steps") or DEFAULT_MAX_STEPS,
        steps=_count(document, "current_step"),
        started_ts=known,
    )
    metadata = document.get("metadata") or {}
    detail = _text({"metadata": metadata if isinstance(metadata, dict) else {"metadata": metadata}, "legacy": document})
    data = document.get("data") or {}
    patch: dict[str, Any] = {"set": data if isinstance(data, dict) else {"data": data}, "removed": []}
    return run, rows.Rows(detail, tuple(_data_rows(MAIN, patch)))


def _word(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    return str(_is(value, str | int))


def _count(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST else 0


def _moment(value: Any) -> float | None:
    """Read a time as version 1 had it: ISO 8601, or seconds since the epoch."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value <= _LAST_S else None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None  # it is kept as it is, in the document
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
