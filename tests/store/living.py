"""A life that is stored as it is lived: each of its decisions goes into a real store, as the writer's batches do."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace

import memory
from core.life import Life, Turn
from torpord.core.agenda import Agenda
from torpord.core.events import ProcessStarted
from torpord.core.persistent import Map
from torpord.core.world import World
from torpord.store.store import Batch, Store, line


@contextlib.contextmanager
def a_store() -> Iterator[Store]:
    """Give an empty store in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tp-", dir=memory.folder()) as folder:
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


def batches(turns: Sequence[Turn], at_once: int) -> Iterator[list[Turn]]:
    """Part turns into batches of so many as the writer does: what may wait is stored with what comes next.

    A batch is of one process: a start is the first thing in its first.
    """
    batch: list[Turn] = []
    waits = True
    for turn in turns:
        if batch and ((len(batch) >= at_once and not waits) or isinstance(turn.event, ProcessStarted)):
            yield batch
            batch = []
        batch.append(turn)
        waits = all(entry.record.deferred for entry in turn.decision.entries)
    if batch:
        yield batch


def store_of(store: Store, life: Life) -> Store:
    """Store all of a life, some turns in a batch."""
    for turns in batches(life.turns, 5):
        commit(store, turns)
    return store


def assert_stored(store: Store, world: World) -> None:
    """Check that a store holds a world, as a daemon finds it that knows when each agent was heard of.

    The awake clock of that is in no store. And a load files each agent's presence at the time it counts from, where a
    living world may still have it at an earlier one.
    """
    agents, floor_s = world.agents, world.process.presence_from_awake_s
    seen = {name: was._replace(filed_s=agents.effective_seen(name, floor_s)) for name, was in agents.seen.items()}
    presence = Agenda.of((seen[name].filed_s, name) for _, name in agents.presence)
    filed = replace(world, agents=replace(agents, seen=Map.of(seen), presence=presence))
    assert store.load(lambda name: agents.seen[name].awake_s) == filed
