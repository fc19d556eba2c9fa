"""A memory that is put in order while it rests: a SQLite store of notes, looked after by a flow of torpor's.

Try it here and now, without a daemon:

    python memory_sleep.py --make-sample notes.db
    python memory_sleep.py notes.db

As what a daemon does in its sleep, in its torpor.toml (it then takes the store that STORE names):

    [flows.memory_sleep]
    python = "memory_sleep:flow"
    path = "/the/folder/of/this/file"

    [sleep]
    flow = "memory_sleep"

Or as a run of its own: `torpor runs start memory_sleep --follow --data '{"store": "/somewhere/notes.db"}'`.

What there must be is a table `notes (id INTEGER PRIMARY KEY, written_at TEXT, text TEXT)`. What there is afterwards: no
note that says what an earlier one says (those are in `duplicates`), a full-text index of all notes (`notes_index`), and
beside the store, in `copies`, a copy of it that was read back. Nothing that was written is thrown away.

Every state can be broken off anywhere and begun anew: by `kill -9`, by a power cut, or because somebody needs torpor.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import sqlite3
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torpord import Complete, Failed, Flow, Parallel, Run

# Where nobody names another. A daemon has an environment of its own: no variable of somebody's shell is asked.
STORE = Path("~/.local/share/memory/notes.db")
BATCH = 200  # notes in one transaction: some milliseconds of work, so whoever writes a note waits no longer
PAUSE_S = 0.005  # between two of them: SQLite's lock has no queue, so who lets go leaves others time to take it
BUSY_S = 1.0  # how long to wait for that lock; less than the two seconds in which a step that is asked to end must end
COPIES_KEPT = 3

Note = tuple[int, str, str]

flow = Flow("memory_sleep")


@flow.state(initial=True, retries=3)
def look(run: Run) -> Parallel | Complete | Failed:
    """See what there is, and make the tables that the branches fill."""
    named = run.data.get("store")
    store = Path(named or STORE).expanduser()
    if not store.is_file():
        if named:
            return Failed(f"there is no store of notes at {store}: give its whole path, or make one with --make-sample")
        return Complete(f"nothing to do: there is no store of notes at {store}")
    run.data["store"] = str(store)
    with closing(opened(run)) as db, writing(db):
        db.execute(
            "CREATE TABLE IF NOT EXISTS duplicates"
            " (number INTEGER PRIMARY KEY, id INTEGER, kept_id INTEGER, how TEXT, written_at TEXT, text TEXT)"
        )
        db.execute("DROP TABLE IF EXISTS seen")
        db.execute("CREATE TABLE seen (plain BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID")
        db.execute("DROP TABLE IF EXISTS new_index")
        db.execute("CREATE VIRTUAL TABLE new_index USING fts5 (text)")
        run.data["last_id"] = one(db, "SELECT coalesce(max(id), 0) FROM notes")
        run.data["last_duplicate"] = one(db, "SELECT coalesce(max(number), 0) FROM duplicates")
    # From here on at once; the next state of both is `settle`, and it begins when both have come there.
    return Parallel((dedupe, reindex), join=settle)


# The timeout is for a lock that nobody gives back; the retries are for a disk that has a bad moment.
@flow.state(retries=3, timeout="1h")
def dedupe(run: Run) -> Any:
    """Set aside the notes that say what an earlier one says, but for case and spaces."""
    with closing(opened(run)) as db:

        def set_aside(notes: list[Note]) -> None:
            for note_id, written_at, text in notes:
                kept = earlier_note(db, note_id, text)
                if kept is not None:
                    how = "same" if kept[1] == text else "alike"
                    moved = (note_id, kept[0], how, written_at, text)
                    db.execute("INSERT INTO duplicates (id, kept_id, how, written_at, text) VALUES (?,?,?,?,?)", moved)
                    db.execute("DELETE FROM notes WHERE id = ?", (note_id,))

        done = batch_by_batch(run, db, set_aside)
    return settle if done else dedupe


@flow.state(retries=3, timeout="1h")
def reindex(run: Run) -> Any:
    """Build a new full-text index beside the one that is in use."""
    with closing(opened(run)) as db:

        def index(notes: list[Note]) -> None:
            rows = [(note_id, text) for note_id, _, text in notes]
            db.executemany("INSERT OR REPLACE INTO new_index (rowid, text) VALUES (?, ?)", rows)

        done = batch_by_batch(run, db, index)
    return settle if done else reindex


@flow.state(retries=3)
def settle(run: Run) -> str:
    """Tell the new index what happened to the notes meanwhile, and put it in the place of the old one."""
    with closing(opened(run)) as db, writing(db):
        # Not there: an attempt before this one came as far as the COMMIT, and could not say so any more.
        if one(db, "SELECT count(*) FROM sqlite_master WHERE name = 'new_index'"):
            db.execute("DELETE FROM new_index WHERE rowid NOT IN (SELECT id FROM notes)")
            db.execute(
                "INSERT OR REPLACE INTO new_index (rowid, text)"
                " SELECT id, text FROM notes EXCEPT SELECT rowid, text FROM new_index"
            )
            db.execute("DROP TABLE IF EXISTS notes_index")
            db.execute("ALTER TABLE new_index RENAME TO notes_index")
            db.execute("DROP TABLE seen")
        # Counted in the store. A count in run.data would not know what an attempt that was killed had done.
        counted = "SELECT how, count(*) FROM duplicates WHERE number > ? GROUP BY how"
        run.data["set_aside"] = dict(db.execute(counted, (run.data["last_duplicate"],)))
        run.data["notes"] = one(db, "SELECT count(*) FROM notes")
    return "check"


@flow.state(timeout="1h")
def check(run: Run) -> Any:
    """Have SQLite read all of the store and compare it with itself."""
    with closing(opened(run)) as db:
        # It cannot be divided as the batches can: it is broken off, and begun anew in the next sleep.
        db.set_progress_handler(lambda: run.yielding, 100_000)
        try:
            found = one(db, "PRAGMA integrity_check(1)")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return check
            raise
    # No retries: it would be as damaged the next time. And no copy, which would push out a good one.
    return copy if found == "ok" else Failed(f"{run.data['store']} is damaged: {found}; {copies_of(run)} has copies")


# A store that is written all the time begins its copy again and again: hence the timeout.
@flow.state(retries=2, timeout="1h")
def copy(run: Run) -> Any:
    """Copy the store, while others use it, and read the copy back."""
    part = copies_of(run) / "copy.part"
    part.parent.mkdir(mode=0o700, exist_ok=True)
    part.unlink(missing_ok=True)

    def copied(_status: int, left: int, pages: int) -> None:
        run.progress(pages - left, pages, "pages")
        if run.yielding:
            raise InterruptedError

    with closing(opened(run)) as db, closing(sqlite3.connect(part)) as target:
        try:
            db.backup(target, pages=256, progress=copied)
        except InterruptedError:
            return copy
        target.execute("PRAGMA journal_mode = DELETE")  # a copy is one file
        found = one(target, "PRAGMA integrity_check(1)")
    run.data["copied_at"] = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    return keep if found == "ok" else Failed(f"the copy {part} is damaged: {found}")


@flow.state(retries=2)
async def keep(run: Run) -> Complete:
    """Give the copy its name, and let go of the oldest one."""
    # Outside the store, and not to be done twice: recorded before, and its result kept.
    args = {"folder": str(copies_of(run)), "copied_at": run.data["copied_at"]}
    kept = await run.call("keep_copy", args, keep_copy)
    return Complete({"notes": run.data["notes"], "set_aside": run.data["set_aside"], "copy": kept})


def keep_copy(folder: str, copied_at: str, idempotency_key: str) -> str:
    """Do it. The key is the same whenever this is called again, as it is where nobody could note that it was done."""
    name = Path(folder, f"notes-{copied_at}-{idempotency_key[:8]}.db")
    if not name.exists():
        Path(folder, "copy.part").replace(name)
    for old in sorted(Path(folder).glob("notes-*.db"))[:-COPIES_KEPT]:
        old.unlink()
    return str(name)


def batch_by_batch(run: Run, db: sqlite3.Connection, work: Callable[[list[Note]], None]) -> bool:
    """Hand every note to `work`, a batch in a transaction. False: somebody waits, and run.data knows how far it came.

    A state that then returns itself is begun again in the next sleep, with that data.
    """
    position = f"{run.state}_to"  # of its own for each branch: at the join two values for one key would be a conflict
    while not run.yielding:
        try:
            with writing(db):
                batch = "SELECT id, written_at, text FROM notes WHERE id > ? ORDER BY id LIMIT ?"
                notes = db.execute(batch, (run.data.get(position, 0), BATCH)).fetchall()
                work(notes)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            continue  # somebody writes for long: no failure, and another moment to ask who waits
        if not notes:
            return True
        run.data[position] = notes[-1][0]
        run.progress(run.data[position], run.data["last_id"], "notes")
        time.sleep(PAUSE_S)
    return False


def earlier_note(db: sqlite3.Connection, note_id: int, text: str) -> tuple[int, str] | None:
    """Return the note that says the same and was seen before this one; None where this is the first."""
    plain = plain_text(text)
    key = hashlib.sha256(plain.encode()).digest()
    known = "SELECT id, text FROM notes WHERE id = (SELECT id FROM seen WHERE plain = ?)"
    found: tuple[int, str] | None = db.execute(known, (key,)).fetchone()
    # It may be this very note, seen by an attempt that was killed; or have been written anew since it was seen.
    if found is not None and found[0] != note_id and plain_text(found[1]) == plain:
        return found
    db.execute("INSERT OR REPLACE INTO seen (plain, id) VALUES (?, ?)", (key, note_id))
    return None


def plain_text(text: str) -> str:
    """Return what two notes have in common that say the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def opened(run: Run) -> sqlite3.Connection:
    """Open the store of a run. In WAL mode everybody can read while somebody writes."""
    db = sqlite3.connect(f"{Path(run.data['store']).as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    return db


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """Do something in one transaction. It begins as a writer: as a reader it could be refused in the middle."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        yield


def one(db: sqlite3.Connection, query: str) -> Any:
    """Return the first value of the first row."""
    return db.execute(query).fetchone()[0]


def copies_of(run: Run) -> Path:
    """Return the folder in which a run's copies are kept."""
    return Path(run.data["store"]).with_name("copies")


def make_sample(store: Path, count: int = 5000) -> None:
    """Make a store to try this on: of eight notes one is a copy of another, and one the same in other letters."""
    dice = random.Random(count)  # noqa: S311 - the same notes each time
    words = ["the", "tea", "garden", "rain", "letter", "harbour", "lantern", "blue", "seven", "Zürich", "naïve"]
    texts = [f"{' '.join(dice.choices(words, k=20))}, number {number}." for number in range(count * 3 // 4)]
    texts += dice.choices(texts, k=count // 8)
    texts += [f"  {text.upper()}\n" for text in dice.choices(texts, k=count - len(texts))]
    dice.shuffle(texts)
    store.touch(exist_ok=False)
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, written_at TEXT NOT NULL, text TEXT NOT NULL)")
        rows = [(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", text) for text in texts]
        db.executemany("INSERT INTO notes (written_at, text) VALUES (?, ?)", rows)


def main() -> int:
    """Make a sample, or do all of it here and now."""
    parser = argparse.ArgumentParser(description="Put a store of notes in order.")
    parser.add_argument("store", type=Path, help="the SQLite file")
    parser.add_argument("--make-sample", action="store_true", help="make it, with some thousand notes, and do no more")
    options = parser.parse_args()
    if options.make_sample:
        make_sample(options.store)
        return 0
    ended = asyncio.run(flow.run_here({"store": str(options.store.absolute())}))
    if ended.error is not None:
        print(f"{ended.error['type']}: {ended.error['message']}", file=sys.stderr)
        return 1
    print(json.dumps(ended.result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
