"""A document becomes a run: one of this version, or of the older version 1 that other programs have written.

What comes in is checked value by value before anybody works with it: it may be anything. What has passed can be stored,
shown within a page, exported again, and carried on by a worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from torpor import wire
from torpord.control.params import RefusedError
from torpord.control.run_documents import FORMAT, VERSION
from torpord.core.draft import Refusal
from torpord.core.limits import MAX_DATA_BYTES, MAX_ERROR_BYTES
from torpord.core.nesting import MAX_NESTING, is_too_deep
from torpord.core.run_history import from_document
from torpord.core.runs import (
    DEFAULT_MAX_STEPS,
    ENDED,
    MAIN,
    MAX_BRANCHES,
    Place,
    PlaceStatus,
    Run,
    RunStatus,
    Stopping,
)
from torpord.store import runs as rows

_LEGACY_FIELDS = ("current_node", "node_states", "completed_nodes")
# The year 9999: what is beyond cannot be written as a time.
_LAST_S = 253_402_300_799
# SQLite's whole numbers end somewhat above; no count of a run comes near.
_MOST = 2**53
# Names, reasons and messages; only tracebacks and outputs are longer.
_MOST_CHARS = 4096
_LONG = ("traceback", "output")
# Metadata, result and the old document lie in it, and each of their values may be MAX_NESTING deep.
_DETAIL_NESTING = MAX_NESTING + 2

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
    "again": int,
    "steps_before": int,
    "workers": int,  # kept, because the visits of a run that is resumed elsewhere count on from it
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
_STEP_BODY_FIELDS: Mapping[str, Any] = {
    "outcome": str,
    "started_ts": _NUMBER,
    "duration_s": _NUMBER,
    "cpu_s": _MAYBE_NUMBER,
    "peak_rss_bytes": _MAYBE_NUMBER,
}
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
_NEXT_FIELDS: Mapping[str, Any] = {"branch": str, "state": str, "visit": int}
_PLACE_ERROR_FIELDS: Mapping[str, Any] = {"type": str, "message": str}
_STEP_ERROR_FIELDS: Mapping[str, Any] = {**_PLACE_ERROR_FIELDS, "traceback": str}
_RUN_ERROR_FIELDS: Mapping[str, Any] = {**_PLACE_ERROR_FIELDS, "state": str, "branch": str}


def read(text: str, run_id: str, wall_s: float) -> tuple[Run, rows.Rows]:
    """Make a run with a new id of a document. Raises RefusedError, which says what is wrong with it."""
    try:
        document = _is(orjson.loads(text), dict)
        if document.get("format") == FORMAT:
            return _current(document, run_id, wall_s)
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


def _fields(document: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return these fields of an object, each of its kind and within the bounds of its kind."""
    given = {name: _is(_is(document, dict)[name], kind) for name, kind in fields.items()}
    for name, value in given.items():
        if isinstance(value, str):
            beyond = len(value) > (MAX_ERROR_BYTES if name in _LONG else _MOST_CHARS)
        else:
            beyond = isinstance(value, _NUMBER) and not 0 <= value <= (_LAST_S if name.endswith("_ts") else _MOST)
        if beyond:
            raise ValueError(f"{name} is beyond all bounds: {str(value)[:80]}")
    return given


def _error(error: Any, fields: Mapping[str, Any]) -> dict[str, Any] | None:
    return None if error is None else _fields(error, fields)


def _current(document: Mapping[str, Any], run_id: str, wall_s: float) -> tuple[Run, rows.Rows]:
    """Take a document of this version. What had not ended arrives paused, and nobody works at it twice unasked."""
    if document["version"] != VERSION:
        raise ValueError(f"it is of version {document['version']!r}; this torpor reads {VERSION}, and version 1")
    given = _fields(document["run"], _RUN_FIELDS)
    status = RunStatus(given["status"])
    given["error"] = _error(given["error"], _RUN_ERROR_FIELDS)
    places = _places(given["places"], status)
    if status in ENDED:
        given["ended_ts"] = wall_s if given["ended_ts"] is None else given["ended_ts"]
    else:
        status, given["reason"] = RunStatus.PAUSED, "imported: resume it, if nobody else goes on with it"
        given["ended_ts"] = None
    plain = {**given, "status": status.value, "run_id": run_id, "cycle": False, "worker": 0}
    plain |= {"loaded": False, "stopping": Stopping.NOT.value, "places": [_plain(place) for place in places]}
    branches = {place.branch for place in places}
    patches = [(name, patch) for name, patch in _is(document["data"], dict).items() if name in branches]
    data = [row for branch, patch in patches for row in _data_rows(branch, patch)]
    steps = tuple(_step_row(step) for step in _is(document["steps"], list))
    calls = {row[0]: row for row in map(_call_row, _is(document["calls"], list))}  # by key: there is one of each
    return from_document(plain), rows.Rows(_detail(document["detail"]), data, steps, tuple(calls.values()))


def _detail(document: Any) -> str:
    """Return what only readers want of a run, as JSON."""
    given = _is(document, dict)
    detail = {"metadata": _is(given.get("metadata", {}), dict)}
    if "result" in given:
        detail["result"] = given["result"]
    if "errors" in given:
        errors = _is(given["errors"], list)
        detail["errors"] = [_fields(error, _RUN_ERROR_FIELDS) for error in errors[: MAX_BRANCHES + 1]]
    if "legacy" in given:
        detail["legacy"] = _is(given["legacy"], dict)
    return _text(detail, _DETAIL_NESTING)


def _places(documents: list[Any], status: RunStatus) -> list[Place]:
    """Return where the run stands; it must be somewhere from where it can go on, if it may."""
    places = [_place(document, status) for document in documents[: MAX_BRANCHES + 2]]
    main, branches = places[0] if places else None, places[1:]
    if main is None or main.branch != MAIN or len({p.branch for p in places}) != len(places):
        raise ValueError("the places of the run are none")
    forked = main.status is PlaceStatus.FORKED
    if len(branches) > MAX_BRANCHES or forked != bool(branches) or any(p.join != main.join for p in branches):
        raise ValueError("its main branch and the others do not belong together")
    if any(not p.state for p in branches) or (forked and not main.join):
        raise ValueError("a branch is at no state")
    over = main.status is PlaceStatus.AT_JOIN and status not in (RunStatus.COMPLETED, RunStatus.CANCELLED)
    if over or PlaceStatus.FORKED in {p.status for p in branches}:
        raise ValueError("a place has a status that it cannot have")
    return places


def _place(document: Any, status: RunStatus) -> Place:
    given = _fields(document, _PLACE_FIELDS)
    given["error"] = _error(given["error"], _PLACE_ERROR_FIELDS)
    if given["error"] is not None:
        given["error"]["message"] = given["error"]["message"][:300]  # as a place has it; its step has all of it
    at = PlaceStatus(given["status"])
    # A time of another machine's awake clock means nothing here, and an attempt under way there is not one here; what
    # had failed in a run that goes on is done again.
    again = at in (PlaceStatus.RUNNING, PlaceStatus.WAITING) or (at is PlaceStatus.FAILED and status not in ENDED)
    return Place(**{**given, "visit": max(1, given["visit"]), "status": PlaceStatus.READY if again else at})


def _plain(place: Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in Place.__dataclass_fields__}


def _data_rows(branch: str, patch: Any) -> Iterator[tuple[str, str, str | None]]:
    values, size = _is(_is(patch, dict)["set"], dict), 0
    for key, value in values.items():
        text = _text(value)
        size += len(key) + len(text)
        if size > MAX_DATA_BYTES:
            raise ValueError(f"its data is over {MAX_DATA_BYTES} bytes")
        yield branch, key, text
    removed = dict.fromkeys(_is(key, str) for key in _is(patch["removed"], list))
    yield from ((branch, key, None) for key in removed if branch != MAIN and key not in values)


def _step_row(step: Any) -> tuple[str, str, int, int, str]:
    at = _fields(step, _STEP_FIELDS)
    body = _fields(step, _STEP_BODY_FIELDS)
    if "next" in step:
        body["next"] = [_fields(each, _NEXT_FIELDS) for each in _is(step["next"], list | tuple)[:MAX_BRANCHES]]
    if "error" in step:
        body["error"] = _error(step["error"], _STEP_ERROR_FIELDS)
    if "output" in step:
        body |= _fields(step, {"output": (str, type(None))})
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
        purpose=_word(document, "purpose"),
        session_id=_word(document, "session_id"),
        legacy=True,
        max_steps=_count(document, "max_steps") or DEFAULT_MAX_STEPS,
        steps=_count(document, "current_step"),
        steps_before=_count(document, "current_step"),
        started_ts=known,
    )
    metadata = document.get("metadata") or {}
    whole = {"metadata": metadata if isinstance(metadata, dict) else {"metadata": metadata}, "legacy": document}
    data = document.get("data") or {}
    patch: dict[str, Any] = {"set": data if isinstance(data, dict) else {"data": data}, "removed": []}
    return run, rows.Rows(_text(whole, _DETAIL_NESTING), tuple(_data_rows(MAIN, patch)))


def _word(document: Mapping[str, Any], name: str) -> str:
    """Return a text, as much of it as the wire takes: all of it is in the document, which is kept."""
    value = document.get(name)
    return "" if value is None else str(_is(value, str | int))[: wire.MAX_TEXT_CHARS]


def _count(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST else 0


def _moment(value: Any) -> float | None:
    """Read a time as version 1 had it: ISO 8601, or seconds since the epoch. None: it is kept in the document alone."""
    try:
        if isinstance(value, _NUMBER):
            found = float(_is(value, _NUMBER))
        else:
            moment = datetime.fromisoformat(value)
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 <= found <= _LAST_S else None
