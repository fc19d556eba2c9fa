"""The rows of runs: written in the transaction of the records that change them, and read for workers and readers.

`write` folds the records of a batch over the runs that have just ended, as the core does: those are in no world any
more. The row of any other is what the world has of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from torpord.core import run_records as rr
from torpord.core.records import Entry, Started
from torpord.core.run_history import evolve_run, shifted
from torpord.core.runs import ENDED, MAIN, Run
from torpord.core.world import World
from torpord.store import codec

_DETAIL = "SELECT detail FROM runs WHERE run_id = ?"


@dataclass(frozen=True, slots=True)
class Resumption:
    """All that a worker is told of a run before it goes on.

    `data`: the main branch's. `branches`: what each other wrote: `{set, removed}`. `visits`: how often each branch
    entered each state.
    """

    data: Mapping[str, Any]
    branches: Mapping[str, Mapping[str, Any]]
    visits: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Rows:
    """What an imported run brings, as rows without the run's id; each checked to be what its columns take.

    `detail`: a JSON object. `data`: branch, key, value. `steps`: branch, state, visit, attempt, body. `calls`: as
    `CALL_COLUMNS`. Values, bodies, args and results are JSON texts.
    """

    detail: str
    data: Sequence[tuple[str, str, str | None]] = ()
    steps: Sequence[tuple[str, str, int, int, str]] = ()
    calls: Sequence[tuple[Any, ...]] = ()


def write(db: sqlite3.Connection, entries: Sequence[Entry], before: World, after: World) -> None:
    """Write what the records of a batch make of runs."""
    runs: dict[str, Run] = {}
    for entry in entries:
        record = entry.record
        if isinstance(record, Started) and record.rebase_s:  # a reboot moved what is by the awake clock
            moved = {
                run_id: shifted(runs.get(run_id, run), record.rebase_s) for run_id, run in before.runs.live.items()
            }
            runs |= moved | dict(after.runs.live)
        if not isinstance(record, rr.RunRecord):
            continue
        if isinstance(record, rr.RunRemoved):
            _remove(db, record.run_id)
            runs.pop(record.run_id, None)
            continue
        run_id = record.run_id
        # What is live afterwards is folded already; what has ended is folded here, through all that led to it.
        run = after.runs.live.get(run_id)
        runs[run_id] = run or evolve_run(runs.get(run_id) or before.runs.live.get(run_id), entry, record)
        _write_record(db, entry, record, runs[run_id])
    for run in runs.values():
        live = run.run_id in after.runs.live
        was = before.runs.live.get(run.run_id)
        if live and was is not None and (was.status, was.flow) == (run.status, run.flow):
            # What is in an index stays out of it: SQLite would write its page anew.
            db.execute("UPDATE runs SET body = ? WHERE run_id = ?", (codec.dump(run), run.run_id))
            continue
        ended_ts = run.ended_ts if run.status in ENDED else None
        values = (live, run.status.value, run.flow, ended_ts, codec.dump(run), run.run_id)
        db.execute("UPDATE runs SET live = ?, status = ?, flow = ?, ended_ts = ?, body = ? WHERE run_id = ?", values)


def _write_record(db: sqlite3.Connection, entry: Entry, record: rr.RunRecord, run: Run) -> None:
    match record:
        case rr.StepEnded():
            _step(db, record, record.outcome, next=record.next)
            _patch(db, record.run_id, record.branch, record.set_, record.removed)
        case rr.StepFailed():
            error = {"type": record.error_type, "message": record.message, "traceback": record.traceback}
            _step(db, record, record.how, error=error, output=record.output or None)
        case rr.StepInterrupted():
            outcome = "cancelled" if record.why == "cancelled" else "interrupted"
            _step(db, record, outcome, error={"type": "Interrupted", "message": record.why, "traceback": ""})
        case rr.CallBegun():
            _begin_call(db, entry, record)
        case rr.CallEnded():
            status = "done" if record.ok else "failed"
            values = (status, record.result, entry.wall_s, record.run_id, record.key)
            db.execute("UPDATE calls SET status = ?, result = ?, ended_ts = ? WHERE run_id = ? AND key = ?", values)
        case rr.RunJoined():
            db.execute("DELETE FROM run_data WHERE run_id = ? AND branch != ''", (record.run_id,))
            _patch(db, record.run_id, MAIN, record.set_, record.removed)
        case rr.RunCreated():
            _insert(db, run, f'{{"metadata": {record.metadata}}}')
            _patch(db, record.run_id, MAIN, record.data_, ())
        case rr.RunImported():
            if isinstance(record.rows, Rows):
                _import(db, run, record.rows)
        case rr.RunCompleted():
            _detail(db, run.run_id, result=orjson.Fragment(record.result))
        case rr.RunFailed():
            _detail(db, run.run_id, errors=record.errors)
        case _:
            pass  # it is in the run's body


def _insert(db: sqlite3.Connection, run: Run, detail: str) -> None:
    columns = "run_id, live, status, flow, session_id, body, detail"
    values = (run.run_id, 1, run.status.value, run.flow, run.session_id, "", detail)
    db.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - ours


def _detail(db: sqlite3.Connection, run_id: str, **more: Any) -> None:
    (detail,) = db.execute(_DETAIL, (run_id,)).fetchone()
    values = (codec.dump({**orjson.loads(detail), **more}), run_id)
    db.execute("UPDATE runs SET detail = ? WHERE run_id = ?", values)


def _step(db: sqlite3.Connection, record: rr.StepDone, outcome: str, **more: Any) -> None:
    body = {
        "outcome": outcome,
        "started_ts": record.started_ts,
        "duration_s": record.duration_s,
        "cpu_s": record.cpu_s,
        "peak_rss_bytes": record.peak_rss_bytes,
        **more,
    }
    values = (record.run_id, record.branch, record.state, record.visit, record.attempt, codec.dump(body))
    next_ = "INSERT INTO steps SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM steps WHERE run_id = ?1"
    db.execute(next_, values)


def _patch(db: sqlite3.Connection, run_id: str, branch: str, set_: Mapping[str, str], removed: Iterable[str]) -> None:
    if set_:
        rows = [(run_id, branch, key, value) for key, value in set_.items()]
        db.executemany("INSERT OR REPLACE INTO run_data VALUES (?, ?, ?, ?)", rows)
    for key in removed:
        if branch == MAIN:
            db.execute("DELETE FROM run_data WHERE run_id = ? AND branch = ? AND key = ?", (run_id, branch, key))
        else:
            db.execute("INSERT OR REPLACE INTO run_data VALUES (?, ?, ?, NULL)", (run_id, branch, key))


def _begin_call(db: sqlite3.Connection, entry: Entry, record: rr.CallBegun) -> None:
    """Record an intent. One of an earlier attempt, without an outcome or with a failure, is taken up again."""
    place = (record.run_id, record.key, record.branch, record.state, record.visit)
    db.execute(
        "INSERT INTO calls (run_id, key, branch, state, visit, attempt, tool, status, args, begun_ts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'begun', ?, ?) ON CONFLICT (run_id, key)"
        " DO UPDATE SET attempt = excluded.attempt, status = 'begun', result = NULL, ended_ts = NULL",
        (*place, record.attempt, record.tool, record.args, entry.wall_s),
    )


def _import(db: sqlite3.Connection, run: Run, rows: Rows) -> None:
    _insert(db, run, rows.detail)
    db.executemany("INSERT INTO run_data VALUES (?, ?, ?, ?)", [(run.run_id, *row) for row in rows.data])
    steps_ = [(run.run_id, number, *row) for number, row in enumerate(rows.steps, 1)]
    db.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", steps_)
    marks = ", ?" * len(CALL_COLUMNS)
    query = f"INSERT INTO calls (run_id, {', '.join(CALL_COLUMNS)}) VALUES (?{marks})"  # noqa: S608 - ours
    db.executemany(query, [(run.run_id, *row) for row in rows.calls])


STEP_COLUMNS = ("id", "branch", "state", "visit", "attempt")
CALL_COLUMNS = (
    "key",
    "branch",
    "state",
    "visit",
    "attempt",
    "tool",
    "status",
    "args",
    "result",
    "begun_ts",
    "ended_ts",
)


def _remove(db: sqlite3.Connection, run_id: str) -> None:
    for table in ("runs", "run_data", "steps", "calls"):
        db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - ours


def live(db: sqlite3.Connection) -> list[Run]:
    """Read every run that has not ended."""
    return [codec.run(body) for (body,) in db.execute("SELECT body FROM runs WHERE live ORDER BY id")]


def ended_counts(db: sqlite3.Connection) -> dict[str, int]:
    """Count the others by status."""
    return dict(db.execute("SELECT status, count(*) FROM runs WHERE NOT live GROUP BY status"))


def find(db: sqlite3.Connection, run_id: str) -> Run | None:
    """Read one run."""
    row = db.execute("SELECT body FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    return codec.run(row[0]) if row else None


def resumption(db: sqlite3.Connection, run: Run) -> Resumption:
    """Read what a worker needs to go on."""
    branches = data(db, run.run_id)
    main = branches.pop(MAIN)["set"]
    visits: dict[str, dict[str, int]] = {}
    # All rows of the run, which lie together: some milliseconds for ten thousand steps.
    query = "SELECT branch, state, max(visit) FROM steps WHERE run_id = ? GROUP BY branch, state"
    for branch, state, visit in db.execute(query, (run.run_id,)):
        visits.setdefault(branch, {})[state] = visit
    for place in run.places:
        known = visits.setdefault(place.branch, {})
        if place.state:
            known[place.state] = max(known.get(place.state, 0), place.visit)
    return Resumption(main, branches, visits)


def recorded_calls(
    db: sqlite3.Connection, run_id: str, branch: str, state: str, visit: int
) -> Mapping[str, Mapping[str, Any]]:
    """Read what earlier attempts of one visit recorded."""
    query = "SELECT key, status, result FROM calls WHERE run_id = ? AND branch = ? AND state = ? AND visit = ?"
    rows = db.execute(query, (run_id, branch, state, visit))
    return {
        key: {"status": status, "result": None if result is None else orjson.loads(result)}
        for key, status, result in rows
    }


def detail(db: sqlite3.Connection, run_id: str) -> dict[str, Any]:
    """Read what only a run's readers want: metadata, result, errors, the document of version 1 it came as."""
    row = db.execute(_DETAIL, (run_id,)).fetchone()
    found: dict[str, Any] = orjson.loads(row[0]) if row else {}
    return found


def page(
    db: sqlite3.Connection, before_id: int | None, limit: int, *, status: str = "", flow: str = "", session_id: str = ""
) -> list[tuple[int, Run]]:
    """Read up to `limit` runs older than row `before_id`, the newest first, each with its row's number."""
    query = (
        "SELECT id, body FROM runs WHERE (?1 IS NULL OR id < ?1) AND (?2 = '' OR status = ?2)"
        " AND (?3 = '' OR flow = ?3) AND (?4 = '' OR session_id = ?4) ORDER BY id DESC LIMIT ?5"
    )
    rows = db.execute(query, (before_id, status, flow, session_id, limit))
    return [(number, codec.run(body)) for number, body in rows]


def steps(db: sqlite3.Connection, run_id: str, after_id: int, limit: int) -> list[dict[str, Any]]:
    """Read up to `limit` attempts of a run that ended behind the one of number `after_id`."""
    columns = "number, branch, state, visit, attempt, body"
    query = f"SELECT {columns} FROM steps WHERE run_id = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608 - ours
    rows = db.execute(query, (run_id, after_id, limit))
    return [{**dict(zip(STEP_COLUMNS, row[:-1], strict=True)), **orjson.loads(row[-1])} for row in rows]


def calls(db: sqlite3.Connection, run_id: str, after_id: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """Read up to `limit` calls of a run behind row `after_id`, each with its row's number; args and result as JSON."""
    query = f"SELECT id, {', '.join(CALL_COLUMNS)} FROM calls WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 - ours
    found = []
    for number, *row in db.execute(query, (run_id, after_id, limit)):
        call = dict(zip(CALL_COLUMNS, row, strict=True))
        call["args"] = orjson.loads(call["args"])
        call["result"] = None if call["result"] is None else orjson.loads(call["result"])
        found.append((number, call))
    return found


def data(db: sqlite3.Connection, run_id: str) -> dict[str, dict[str, Any]]:
    """Read all of a run's data: by branch, what it set and what it removed."""
    found: dict[str, dict[str, Any]] = {MAIN: {"set": {}, "removed": []}}
    for branch, key, value in db.execute("SELECT branch, key, value FROM run_data WHERE run_id = ?", (run_id,)):
        patch = found.setdefault(branch, {"set": {}, "removed": []})
        if value is None:
            patch["removed"].append(key)
        else:
            patch["set"][key] = orjson.loads(value)
    return found


def over_age(db: sqlite3.Connection, before_ts: float, keep: int, limit: int) -> list[str]:
    """Name up to `limit` runs that ended before `before_ts`, or are more than the newest `keep` that ended."""
    ended = "SELECT run_id, ended_ts FROM runs WHERE ended_ts IS NOT NULL AND NOT live ORDER BY ended_ts DESC"
    old = "SELECT run_id FROM runs WHERE ended_ts < ? AND NOT live"
    query = f"SELECT run_id FROM ({ended} LIMIT -1 OFFSET ?) UNION {old} LIMIT ?"  # noqa: S608 - ours
    return [run_id for (run_id,) in db.execute(query, (keep, before_ts, limit))]
