"""What the daemon of the tour does in its sleep: a flow in Python, written into its home. Nothing here runs it."""

from __future__ import annotations

FLOW = "notes"
STATES = ("gather", "index", "back_up")
NOTES = 20_000
BATCH = 100
# So long a batch takes at least: a fast machine is to be interrupted in the middle, too.
BATCH_S = 0.01

SETTINGS = f"""\
[sleep]
flow = "{FLOW}"
[flows.{FLOW}]
python = "{FLOW}:flow"    # {FLOW}.py, in this folder
path = "."
"""

SOURCE = f'''\
"""Notes are gathered, their words are indexed, the store is backed up; and whoever comes meanwhile goes first."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from torpord import Complete, Flow, Run

STORE = Path(__file__).with_name("notes.db")
BACKUP = Path(__file__).with_name("notes-backup.db")

flow = Flow("{FLOW}")


@flow.state(initial=True)
def gather(run: Run):
    """Write some thousand notes."""
    notes = [(f"note {{n}} of a {{n % 7}} and a {{n % 11}} and the {{n % 13}}",) for n in range({NOTES})]
    STORE.unlink(missing_ok=True)
    with closing(sqlite3.connect(STORE)) as db, db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        db.execute("CREATE TABLE words (word TEXT, note INTEGER, PRIMARY KEY (word, note)) WITHOUT ROWID")
        db.executemany("INSERT INTO notes (text) VALUES (?)", notes)
    return "index"


@flow.state
def index(run: Run):
    """Index their words, a few notes at a time."""
    with closing(sqlite3.connect(STORE)) as db:
        while not run.yielding:
            done = run.data.get("indexed", 0)
            notes = db.execute("SELECT id, text FROM notes WHERE id > ? LIMIT {BATCH}", (done,)).fetchall()
            if not notes:
                return "back_up"
            with db:
                words = [(word, note) for note, text in notes for word in text.split()]
                db.executemany("INSERT OR IGNORE INTO words VALUES (?, ?)", words)
            run.data["indexed"] = done + len(notes)
            run.data["batches"] = run.data.get("batches", 0) + 1
            run.progress(run.data["indexed"], {NOTES}, "notes")
            time.sleep({BATCH_S})
    return "index"  # somebody waits: in the next sleep it begins here again, with this data


@flow.state
def back_up(run: Run):
    """Make a compact copy, and read it back."""
    BACKUP.unlink(missing_ok=True)
    with closing(sqlite3.connect(STORE)) as db:
        db.execute("VACUUM INTO ?", (str(BACKUP),))
    with closing(sqlite3.connect(BACKUP)) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
    return Complete({{"backup": BACKUP.name, "found": found, "batches": run.data["batches"]}})
'''  # noqa: S608 - a text of a program with queries in it, not a query made of text
