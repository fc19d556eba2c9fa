"""A writer on a real store, with its shell and its runner replaced by what can be looked at."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.lowlevel

from core.model_worker import FLOWS, STEP, ModelWorker
from shell.virtual_time import LoopClock
from torpord.core import effects as fx
from torpord.core.events import DeadlinePassed, ProcessStarted
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.records import Entry
from torpord.core.run_records import RunStarted, StepEnded, StepStarted
from torpord.core.runs import PlaceStatus
from torpord.core.world import World
from torpord.store.store import Batch, KeptReply, Line, Store, StoreError
from torpord.writer import Writer

T = TypeVar("T")


class Disk:
    """Runs jobs where the store lives, and can be made to fail."""

    def __init__(self) -> None:
        self.full = False
        self.gate: anyio.Event | None = None

    async def run(self, job: Callable[[], T], *, brief: bool = False) -> T:  # noqa: ARG002 - all the same to a fake
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        return job()


class CountingStore(Store):
    """A store that counts its commits, and can report errors as a bad disk does."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self.commits: list[Batch] = []
        self.attempts = 0
        self.refuse = False
        self.fail_after_commit = 0
        self.blind = False
        self.fail_searches = 0
        self.mistake_at = ""  # "search" or "commit": a mistake of ours there, and no error of the disk's
        self.mistake_with = ""  # and only where this key is in it
        self.mistake_to: State | None = None  # a mistake of ours in a commit that leads there
        self.fails: list[Exception] = []  # what the next commits raise, one after the other

    def commit(self, batch: Batch) -> None:
        self.attempts += 1
        if self.fails:
            raise self.fails.pop(0)
        if self.refuse:
            raise StoreError("no space left on device")
        if batch.after.lifecycle.state is self.mistake_to:
            raise TypeError("a mistake")
        if self.mistake_at == "commit" and self.mistake_with in ("", *(reply.key for reply in batch.replies)):
            raise TypeError("a mistake")
        super().commit(batch)
        self.commits.append(batch)
        if self.fail_after_commit:
            self.fail_after_commit -= 1
            raise StoreError("disk I/O error")

    def durable(self, batch: Batch) -> bool:
        if self.blind:
            raise StoreError("disk I/O error")
        return super().durable(batch)

    def kept_replies(self, keys: Sequence[str]) -> Mapping[str, KeptReply]:
        if self.fail_searches:
            self.fail_searches -= 1
            raise StoreError("disk I/O error")
        if self.mistake_at == "search" and self.mistake_with in ("", *keys):
            raise ValueError("a mistake")
        return super().kept_replies(keys)

    def reopen(self) -> None:
        if self.blind:
            raise StoreError("disk I/O error")
        super().reopen()


@dataclass
class Shell:
    """Records what the writer tells, and works for every run: each step ends at once."""

    policy: Policy
    writer: Writer | None = None
    entries: list[Entry] = field(default_factory=list)
    effects: list[fx.Effect] = field(default_factory=list)
    armed: list[float | None] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def facts(self, deadline: str, now: Now) -> DeadlinePassed:  # noqa: ARG002 - as the writer asks
        return DeadlinePassed({"source": "deadline", "deadline": deadline}, deadline)

    def committed(
        self,
        entries: Sequence[Entry],
        lines: Sequence[Line],  # noqa: ARG002 - likewise
        before: World,  # noqa: ARG002 - likewise
        after: World,
    ) -> None:
        self.entries += entries
        self.told.append("committed")
        for entry in entries:
            self._work(entry, after)

    def reread(self, before: World, after: World) -> None:  # noqa: ARG002 - likewise
        self.told.append("reread")

    def perform(self, effects: Sequence[fx.Effect]) -> None:
        self.effects += effects
        if effects:
            self.told.append("performed")

    def rearmed(self, wall_s: float | None) -> None:
        self.armed.append(wall_s)

    def _work(self, entry: Entry, world: World) -> None:
        record = entry.record
        run = world.runs.live.get(getattr(record, "run_id", ""))
        if run is None or not run.worker or self.writer is None:
            return
        worker = ModelWorker(run.run_id, run.worker, FLOWS[run.flow])
        if isinstance(record, RunStarted):
            self.writer.owe(worker.load())
        elif run.main.status is PlaceStatus.RUNNING and isinstance(record, StepStarted | StepEnded):
            at = {name: getattr(run.main, name) for name in STEP}
            worker.visits[""] = {}
            self.writer.owe(worker.report_of(at, duration_s=0.001))

    def states(self) -> list[tuple[State, float]]:
        """The states that were entered, with the awake time of each."""
        moves = [entry for entry in self.entries if entry.record.kind == "state_transition"]
        return [(State(entry.record.data()["to"]), round(entry.awake_s, 3)) for entry in moves]


@dataclass
class Bench:
    """All of it."""

    writer: Writer
    store: CountingStore
    disk: Disk
    shell: Shell
    clock: LoopClock


@contextlib.asynccontextmanager
async def bench(folder: pathlib.Path, policy: Policy | None = None) -> AsyncIterator[Bench]:
    """A started writer on a fresh store."""
    store, disk, clock = CountingStore(folder / "torpor.db"), Disk(), LoopClock()
    shell = Shell(policy or Policy())
    writer = Writer(store, disk, clock, shell, store.load())
    shell.writer = writer
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            started = ProcessStarted(
                {"source": "manual"},
                pid=1,
                version="0",
                start_cause="manual",
                supervisor="none",
                boot_id="boot",
                policy=shell.policy,
            )
            await writer.apply(started)
            yield Bench(writer, store, disk, shell, clock)
            tasks.cancel_scope.cancel()
    finally:
        with contextlib.suppress(sqlite3.Error):
            store.close()
