"""Runs as the wire shows them, page by page: read on the store's thread, never more than a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

import orjson

from torpor import wire
from torpord.control.desk import Desk
from torpord.control.params import RefusedError
from torpord.control.run_documents import Cursor, TornError, piece
from torpord.core import report
from torpord.core.draft import Refusal
from torpord.core.runs import MAIN, Run
from torpord.store import runs as rows

T = TypeVar("T")

# Half a page of text: what it is wrapped in on the wire, and what escaping adds, comes on top.
_PAGE_CHARS = wire.MAX_PAGE_BYTES // 2
# A value over this is named with its size, and has its place in the export.
_SHOWN_CHARS = 16 * 1024
_SHOWN_DATA_CHARS = 32 * 1024
_NAME_CHARS = 128  # of a key whose value is not shown
_ROWS_A_PAGE = 200
DEFAULT_RUNS = 100


async def _read(desk: Desk, read: Callable[[sqlite3.Connection], T]) -> T:
    try:
        return await desk.runner.run(lambda: read(desk.store.connection))
    except sqlite3.Error as error:
        raise RefusedError(Refusal("storage_unavailable", f"runs cannot be read now: {error}")) from error


def _brief(desk: Desk, run: Run) -> dict[str, Any]:
    live = desk.world.runs.live.get(run.run_id, run)
    progress, pid = (desk.workers.progress(run.run_id), desk.workers.pid(run.run_id)) if desk.workers else ({}, None)
    return report.run_brief(live, desk.now(), progress, pid)


def _number(cursor: str | None, prefix: str) -> int | None:
    if cursor is None or not cursor.startswith(prefix):
        return None
    text = cursor.removeprefix(prefix)
    if not text.isascii() or not text.isdigit():
        raise _no_cursor()
    return min(int(text), 2**62)


def _no_cursor() -> RefusedError:
    return RefusedError(Refusal("invalid_params", "cursor is not one that was given", {"field": "cursor"}))


async def run_list(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `run.list`: the newest first."""
    before = _number(params.get("cursor"), "")
    limit = params.get("limit", DEFAULT_RUNS)
    wanted = {name: params.get(name, "") for name in ("status", "flow", "session_id")}
    found = await _read(desk, lambda db: rows.page(db, before, limit + 1, **wanted))
    shown: list[dict[str, Any]] = []
    size = last = 0
    for number, run in found:
        view = _brief(desk, run)
        size += len(orjson.dumps(view))
        if shown and (len(shown) == limit or size > _PAGE_CHARS):
            return {"runs": shown, "cursor": str(last)}
        shown.append(view)
        last = number
    return {"runs": shown, "cursor": None}


async def found_run(desk: Desk, run_id: str) -> Run:
    """Return a run, live or not. Raises RefusedError."""
    live = desk.world.runs.live.get(run_id)
    run = live or await _read(desk, lambda db: rows.find(db, run_id))
    if run is None:
        message = "there is no such run: it was removed, or never was; run.list names them"
        raise RefusedError(Refusal("not_found", message, {"field": "run_id"}))
    return run


async def run_get(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `run.get`: the run, and a page of its history: first all steps, then all calls."""
    run, cursor = await found_run(desk, params["run_id"]), params.get("cursor")
    if cursor is not None and cursor[0] not in "sc":
        raise _no_cursor()
    detail, data = await _read(desk, lambda db: (rows.detail(db, run.run_id), rows.data(db, run.run_id)))
    shown = {**_brief(desk, run), **_details(run, detail, data)}
    left = _PAGE_CHARS - min(len(orjson.dumps(shown)), _PAGE_CHARS // 2)
    steps: list[dict[str, Any]] = []
    after_call = _number(cursor, "c")
    if after_call is None:
        after = _number(cursor, "s") or 0
        found = await _read(desk, lambda db: rows.steps(db, run.run_id, after, _ROWS_A_PAGE))
        steps = _fitting([_step(step) for step in found], left)
        if len(steps) < len(found) or len(found) == _ROWS_A_PAGE:
            return {"run": shown, "steps": steps, "calls": [], "cursor": f"s{steps[-1]['id']}"}
        left -= len(orjson.dumps(steps))
    first = after_call or 0
    made = await _read(desk, lambda db: rows.calls(db, run.run_id, first, _ROWS_A_PAGE))
    calls = _fitting([_call(call) for _, call in made], left)
    more = len(calls) < len(made) or len(made) == _ROWS_A_PAGE
    return {"run": shown, "steps": steps, "calls": calls, "cursor": f"c{made[len(calls) - 1][0]}" if more else None}


def _fitting(views: Iterable[dict[str, Any]], left: int) -> list[dict[str, Any]]:
    """Return the first of them, as many as fit, and one in any case: a page that says nothing would have no end."""
    fitting: list[dict[str, Any]] = []
    for each in views:
        left -= len(orjson.dumps(each))
        if fitting and left < 0:
            break
        fitting.append(each)
    return fitting


def _details(run: Run, detail: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    shown, omitted = _bounded(data[MAIN]["set"], _SHOWN_DATA_CHARS)
    return {
        "version": run.version,
        "metadata": _small(detail.get("metadata", {})),
        "data": shown,
        "data_omitted": omitted,
        "result": _small(detail.get("result")),
        "errors": list(islice(detail.get("errors", ()), 20)),
        "origin": run.origin,
        "legacy": run.legacy,
    }


def _bounded(values: Mapping[str, Any], most: int) -> tuple[dict[str, Any], dict[str, int]]:
    shown, omitted = {}, {}
    for key, value in values.items():
        size = len(orjson.dumps(value))
        if size + len(key) > min(_SHOWN_CHARS, most):
            omitted[key[:_NAME_CHARS]] = size
        else:
            shown[key] = value
            most -= size + len(key)
    return shown, dict(islice(omitted.items(), 200))


def _small(value: Any) -> Any:
    size = len(orjson.dumps(value))
    return value if size <= _SHOWN_CHARS else {"omitted_bytes": size}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    error = step.get("error")
    if error and len(error["traceback"]) > _SHOWN_CHARS:
        error = {**error, "traceback": error["traceback"][-_SHOWN_CHARS:]}
    return {"next": [], "output": None, **step, "error": error, "started_ts": report.iso(step["started_ts"])}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: report.iso(call[name]) for name in ("begun_ts", "ended_ts")}
    failed = call["status"] == "failed"
    result = {"result": None if failed else _small(call["result"]), "error": _small(call["result"]) if failed else None}
    return {**call, **times, **result, "args": _small(call["args"])}


# Escaping may make six bytes of one character on the wire (a control character), and a page is bounded in bytes.
_EXPORT_CHARS = wire.MAX_PAGE_BYTES // 8


async def run_export(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `run.export`: so many characters of the document from the cursor on."""
    run = await found_run(desk, params["run_id"])
    try:
        cursor = Cursor.of(params["cursor"]) if "cursor" in params else Cursor()
    except ValueError:
        raise _no_cursor() from None
    try:
        text, more = await _read(desk, lambda db: piece(db, rows.find(db, run.run_id) or run, cursor, _EXPORT_CHARS))
    except TornError:
        message = "the run went on while it was read: pause it, or begin the export anew"
        raise RefusedError(Refusal("conflict", message, {"field": "cursor"})) from None
    return {"text": text, "cursor": None if more is None else str(more)}
