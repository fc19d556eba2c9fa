"""The authority: one SQLite file, WAL, `synchronous=FULL`, one connection. One call at a time.

What the connection promises: a batch is in the file whole, or not at all, and once `commit` returns it survives a power
cut. What a caller must know: an exception of `commit` does not say that nothing was written; `durable` does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from types import MappingProxyType

import orjson

from torpord.core.agents import Agents
from torpord.core.records import Entry
from torpord.core.runs import Run, Runs
from torpord.core.value import value
from torpord.core.world import Holds, Process, World
from torpord.points import reached
from torpord.store import codec, migrations, opening, runs
from torpord.store.faults import StoreError, StoreTooNewError, StoreUnreadableError, fault

__all__ = [
    "Batch",
    "KeptReply",
    "Line",
    "Page",
    "Store",
    "StoreError",
    "StoreTooNewError",
    "StoreUnreadableError",
    "line",
]

VERSION = migrations.TO
# Replies are kept this long in any case, then until this many newer ones have come (or, in housekeeping, for a day).
KEEP_REPLIES_LEAST_S = 15 * 60.0
KEEP_REPLIES = 100_000
# How many lines are looked at for one page of some kinds: a few milliseconds.
LINES_A_SCAN = 10_000


@value
class KeptReply:
    """The first result of a request with a key. `request` is its method and params as canonical JSON."""

    key: str
    ts: float
    request: str
    result: str


@value
class Line:
    """A line of the ledger as it is stored; `data` and `cause` are JSON texts."""

    seq: int
    ts: float
    awake_s: float
    kind: str
    data: str
    cause: str


def line(entry: Entry) -> Line | None:
    """Write an entry as a line; None for one that is not ledgered. Raises TypeError for what is no JSON."""
    if entry.seq is None:
        return None
    data, cause = codec.dump(entry.record.data()), codec.dump(entry.cause)
    return Line(entry.seq, entry.wall_s, entry.awake_s, entry.record.kind, data, cause)


@value
class Batch:
    """One transaction: the lines of all that arrived, the world before and after them, and the replies to keep.

    `entries` are the records themselves: of runs, the store keeps more than the world and the ledger do.
    """

    number: int
    before: World
    after: World
    lines: Sequence[Line]
    replies: Sequence[KeptReply] = ()
    entries: Sequence[Entry] = ()


@value
class Page:
    """Some lines in order. `end`: the seq up to which the ledger was read for them; None: all of it was."""

    lines: list[Line] = field(default_factory=list)
    end: int | None = None


class Store:
    """An open store. `number` is that of the last durable batch. `read_only`: for a look that changes nothing.

    `brought_up`: the copy of what it was, where the opening brought it up from an earlier version. `openings`:
    how often it was opened, or tried to be: with each the connection before it has ended.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._db, self.brought_up = (opening.to_look(path), None) if read_only else opening.to_write(path)
        self.number = 0
        self.openings = 1

    def close(self) -> None:
        """Close it; the WAL goes into the file."""
        self._db.close()

    def reopen(self) -> None:
        """Start over with a fresh connection after an error of the disk. Raises as opening does; then there is none."""
        self.openings += 1
        self._db.close()
        self._db, _ = opening.to_write(self.path)

    def is_of_this_version(self) -> bool:
        """Whether it has come up to this version's tables: one that was opened to be read may not. Raises as `load`."""
        try:
            return bool(self._db.execute("PRAGMA user_version").fetchone() == (VERSION,))
        except sqlite3.Error as error:
            raise fault(self.path, error) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """The one connection, for housekeeping on the same thread."""
        return self._db

    def load(self, heard_awake_s: Callable[[str], float] = lambda _: 0.0) -> World:
        """Read the world. Raises StoreError, or StoreUnreadableError where the file does not hold one.

        `heard_awake_s`: when an agent was last heard of by the awake clock, which means nothing to another process and
        is not stored. Without it, everybody's presence counts from the start.
        """
        try:
            bodies = dict(self._db.execute("SELECT part, body FROM world"))
            held = [body for (body,) in self._db.execute("SELECT body FROM holds")]
            ended = runs.ended_counts(self._db)
            (newest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()  # it is never trimmed
            head = orjson.loads(bodies.pop("head", "{}"))
            holds = [codec.hold(body) for body in held]
            parts = {name: codec.part(name, body) for name, body in bodies.items()}
            live = {run.run_id: run for run in runs.live(self._db)}
            agents = self._load_agents(parts.get("process", Process()), heard_awake_s)
        except sqlite3.Error as error:
            raise fault(self.path, error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise StoreUnreadableError(f"the world in {self.path} does not parse: {error!r}") from error
        self.number = head.get("number", 0)
        known = Runs(MappingProxyType(live), MappingProxyType(ended))
        return World(**parts, holds=Holds.of(holds), runs=known, agents=agents, ledger_seq=newest)

    def _load_agents(self, process: Process, heard_awake_s: Callable[[str], float]) -> Agents:
        (some,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM agents)").fetchone()
        if not some:
            return Agents()
        from torpord.store import agents  # noqa: PLC0415 - most daemons at rest have none, and are to be small

        return agents.load(self._db, process.presence_from_awake_s, heard_awake_s)

    def commit(self, batch: Batch) -> None:
        """Write a batch in one transaction. Raises StoreError; whether it is durable then, `durable` says."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            reached("store.begun")
            self._write(batch)
            reached("store.written")
            db.execute("COMMIT")
            reached("store.committed")
        except sqlite3.Error as error:
            _roll_back(db)
            raise StoreError(f"{self.path}: {error}") from error
        except Exception:
            _roll_back(db)  # a value that SQLite does not take: a mistake of ours, and nothing of it is kept
            raise
        self.number = batch.number

    def _write(self, batch: Batch) -> None:
        db, after = self._db, batch.after
        if batch.lines:
            rows = [(line.seq, line.ts, line.awake_s, line.kind, line.data, line.cause) for line in batch.lines]
            db.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", rows)
        before = batch.before if batch.before.process.generation else None
        parts = codec.changed_parts(before, after)
        if not batch.lines:
            parts.append(("head", codec.dump({"number": batch.number})))
        if parts:
            db.executemany("INSERT OR REPLACE INTO world VALUES (?, ?)", parts)
        if after.holds is not batch.before.holds:
            self._write_holds(batch.before.holds, after.holds)
        if after.runs is not batch.before.runs or batch.entries:
            runs.write(db, batch.entries, batch.before, after)
        if after.agents is not batch.before.agents:
            from torpord.store import agents  # noqa: PLC0415 - likewise

            agents.write(db, batch.entries, batch.before.agents, after.agents)
        if batch.replies:
            kept = [(reply.key, reply.ts, reply.request, reply.result) for reply in batch.replies]
            db.executemany("INSERT INTO replies (key, ts, request, result) VALUES (?, ?, ?, ?)", kept)
            self._forget_replies(batch.replies)

    def _forget_replies(self, new: Sequence[KeptReply]) -> None:
        """Drop twice as many old replies as came, if there are more than are kept: a daemon may never sleep."""
        (newest,) = self._db.execute("SELECT max(id) FROM replies").fetchone()
        if newest > KEEP_REPLIES:
            old = "SELECT id FROM replies WHERE id <= ? AND ts < ? ORDER BY id LIMIT ?"
            limits = (newest - KEEP_REPLIES, new[-1].ts - KEEP_REPLIES_LEAST_S, 2 * len(new))
            self._db.execute(f"DELETE FROM replies WHERE id IN ({old})", limits)  # noqa: S608 - ours

    def _write_holds(self, before: Holds, after: Holds) -> None:
        gone = [(hold_id,) for hold_id in before.by_id if hold_id not in after.by_id]
        new = [(i, codec.dump(hold)) for i, hold in after.by_id.items() if before.by_id.get(i) is not hold]
        self._db.executemany("DELETE FROM holds WHERE hold_id = ?", gone)
        self._db.executemany("INSERT OR REPLACE INTO holds VALUES (?, ?)", new)

    def durable(self, batch: Batch) -> bool:
        """Return whether a batch is in the file, whatever `commit` said. Raises StoreError if unknown."""
        try:
            (newest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
            row = self._db.execute("SELECT body FROM world WHERE part = 'head'").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        stored = orjson.loads(row[0])["number"] if row else 0
        # One that writes history is known by its last line, and only another by its number.
        found = bool(newest >= batch.lines[-1].seq if batch.lines else stored == batch.number)
        if found:
            self.number = batch.number
        return found

    def kept_replies(self, keys: Sequence[str]) -> Mapping[str, KeptReply]:
        """Look up the first results of these keys. Raises StoreError."""
        found: dict[str, KeptReply] = {}
        query = "SELECT key, ts, request, result FROM replies WHERE key = ?"
        try:
            for key in keys:
                for row in self._db.execute(query, (key,)):
                    found[key] = KeptReply(*row)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return found

    def found_runs(self, run_ids: Iterable[str]) -> Mapping[str, Run]:
        """Look up these runs, ended or not. Raises StoreError."""
        try:
            found = [runs.find(self._db, run_id) for run_id in run_ids]
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return {run.run_id: run for run in found if run is not None}

    def oldest(self) -> int:
        """Return the seq of the oldest line that is kept; 0 where there is none. Raises StoreError."""
        try:
            row = self._db.execute("SELECT min(seq) FROM ledger").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return int(row[0] or 0)

    def page(self, after: int, limit: int, max_bytes: int, kinds: Iterable[str] = ()) -> Page:
        """Read the lines behind `after`, at most `limit` of them and `max_bytes` of text. Raises StoreError.

        Of rare `kinds` it may find few or none on a page: it looks at a bounded part of the ledger only, as everybody
        else waits meanwhile.
        """
        wanted = tuple(kinds)
        marks = f" AND kind IN ({', '.join('?' * len(wanted))})" if wanted else ""
        columns = "seq, ts, awake_s, kind, data, cause"
        query = f"SELECT {columns} FROM ledger WHERE seq > ? AND seq <= ?{marks} ORDER BY seq LIMIT ?"  # noqa: S608 - only marks
        lines: list[Line] = []
        size = 0
        try:
            (newest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
            last = after + LINES_A_SCAN if wanted else newest
            for row in self._db.execute(query, (after, last, *wanted, limit + 1)):
                line = Line(*row)
                size += len(line.data.encode()) + len(line.cause.encode()) + 128
                if len(lines) == limit or (lines and size > max_bytes):
                    return Page(lines, end=lines[-1].seq)
                lines.append(line)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return Page(lines, end=last if last < newest else None)


def _roll_back(db: sqlite3.Connection) -> None:
    try:
        if db.in_transaction:
            db.execute("ROLLBACK")
    except sqlite3.Error:
        # SQLite rolls back by itself on a full disk and on an I/O error, and says so by refusing this.
        return
