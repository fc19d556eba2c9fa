"""`torpord` whose disk fails behind a COMMIT that is durable, and once more at the look whether it is.

    python -P unsure.py FILE run ...

It happens to the next batch that has a record of the kind that FILE names; the file is gone then.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torpord.cli import main
from torpord.store.store import Batch, Store, StoreError

named = Path(sys.argv[1])
commit, durable = Store.commit, Store.durable
fails_at_the_look = False


def commits(store: Store, batch: Batch) -> None:
    """Commit; then, if it is time, say that it did not work."""
    global fails_at_the_look  # noqa: PLW0603 - there is one store
    commit(store, batch)
    if named.exists() and named.read_text() in {entry.record.kind for entry in batch.entries}:
        named.unlink()
        fails_at_the_look = True
        raise StoreError("disk I/O error (behind the commit)")


def looks(store: Store, batch: Batch) -> bool:
    """Look whether a batch is there; once, not to be able to."""
    global fails_at_the_look  # noqa: PLW0603 - likewise
    if fails_at_the_look:
        fails_at_the_look = False
        raise StoreError("disk I/O error (at the look)")
    return durable(store, batch)


Store.commit, Store.durable = commits, looks  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
