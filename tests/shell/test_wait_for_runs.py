"""Who waits for a run while the store cannot be read goes on waiting: for that, too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio

from shell.virtual_time import pass_s, run
from torpord.control import waiting
from torpord.core.runs import RunStatus


class ItsDesk:
    """A desk of one run, which is live until `ends`; the store is read when `fails` says no more."""

    draining = ""

    def __init__(self, fails: int) -> None:
        self._fails = fails
        self.run_watchers: list[Any] = []
        self.drained = anyio.Event()
        self.runner = self
        self.store = SimpleNamespace(connection=None)
        self.reads = 0
        self.world = SimpleNamespace(ledger_seq=7, runs=SimpleNamespace(live={"r": _a_run(RunStatus.RUNNING)}))

    def ends(self) -> None:
        """End, as the store that was read anew tells it: nobody hears of the run itself."""
        self.world.runs.live.clear()
        for watcher in self.run_watchers:
            watcher.seen.set()

    async def run(self, _job: Callable[[], Any]) -> Any:
        self.reads += 1
        if self.reads <= self._fails:
            raise sqlite3.OperationalError("disk I/O error")
        return _a_run(RunStatus.COMPLETED)


def _a_run(status: RunStatus) -> Any:
    return SimpleNamespace(run_id="r", status=status)


def waited(fails: int, timeout_s: float) -> tuple[Any, int]:
    """Wait for a run that ends behind one's back; return the answer, and how often the store was asked."""

    async def main() -> tuple[Any, int]:
        desk: Any = ItsDesk(fails)
        told: list[Any] = []

        async def waits() -> None:
            told.append(await waiting.wait(desk, {"run_id": "r", "timeout_s": timeout_s}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits)
            await pass_s(1.0)
            desk.ends()
        return told[0], desk.reads

    return run(main)


def test_a_store_that_cannot_be_read_for_a_while_is_looked_into_again() -> None:
    assert waited(3, 3600.0) == ({"run_id": "r", "status": "completed", "seq": 7}, 4)


def test_one_that_cannot_be_read_at_all_does_not_outlast_the_time_that_was_given() -> None:
    refusal, reads = waited(10**9, 10.0)
    assert refusal.name == "timeout"
    assert 1 < reads <= 10
