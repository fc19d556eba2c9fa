"""A life that is stored as it is lived: each of its decisions goes into a real store, as the writer's batches do."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

from core.life import Life, Turn
from torpord.store.store import Batch, Store, line


@contextlib.contextmanager
def a_store() -> Iterator[Store]:
    """Give an empty store in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tp-", dir="/tmp") as folder:
        store = Store(pathlib.Path(folder) / "torpor.db")
        store.connection.execute("PRAGMA synchronous = OFF")  # no power cut is played, and some hundred commits are
        try:
            yield store
        finally:
            store.close()


def commit(store: Store, turns: Sequence[Turn]) -> None:
    """Store some turns in one batch."""
    entries = [entry for turn in turns for entry in turn.decision.entries]
    lines = [found for found in map(line, entries) if found is not None]
    store.commit(Batch(store.number + 1, turns[0].before, turns[-1].decision.world, lines, (), entries))


def store_of(store: Store, life: Life) -> Store:
    """Store all of a life, some turns in a batch."""
    for first in range(0, len(life.turns), 5):
        commit(store, life.turns[first : first + 5])
    return store
