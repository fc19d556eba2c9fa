"""`torpord`, broken on purpose: its store commits with another `PRAGMA synchronous`: `broken.py LEVEL run ...`."""

from __future__ import annotations

import sqlite3
import sys

from torpord.cli import main
from torpord.store import opening

if __name__ == "__main__":
    level = sys.argv.pop(1)
    whole = opening._set_up

    def set_up(db: sqlite3.Connection) -> None:
        whole(db)
        db.execute(f"PRAGMA synchronous = {level}")

    opening._set_up = set_up
    sys.exit(main(sys.argv[1:]))
