"""The workers: for every run that is at work one process, started, listened to, warned and ended as was decided.

Nothing is decided here. What a worker says becomes an event for the writer, and it is told to go on only when what it
said is durable; what was decided comes back as the effects that `start`, `begin`, `warn` and `stop` carry out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import structlog
from anyio.abc import TaskGroup

from torpord.core import effects as fx
from torpord.core import run_events as re
from torpord.core.moment import Now
from torpord.shell import shortage
from torpord.shell.installed import of_this_process
from torpord.shell.surroundings import Surroundings
from torpord.store.store import Store
from torpord.store.thread import Runner
from torpord.writer import Writer

# Beyond `yield_within`, for a worker to be told, killed and reaped; and once more for one that nobody had told.
SETTLE_S = 3.0
LAST_SETTLE_S = 5.0

if TYPE_CHECKING:
    from torpord.shell.worker import Worker

log = structlog.get_logger("torpord.workers")

RETRY_S = 1.0


class Workers:
    """All workers of this daemon."""

    def __init__(
        self,
        writer: Writer,
        store: Store,
        runner: Runner,
        now: Callable[[], Now],
        flows: Callable[[], Mapping[str, Mapping[str, Any]]],
        home: Path,
        extra: Mapping[str, str],
    ) -> None:
        self._around = Surroundings(writer, store, runner, now, flows, home, extra, of_this_process())
        self._tasks: TaskGroup | None = None
        self._by_run: dict[str, Worker] = {}
        self._shortages: dict[str, int] = {}  # by run: how often in a row its worker could not be started
        self._not_begun: dict[tuple[str, int], anyio.Event] = {}  # which could not: set by who ends one
        self._none_left = anyio.Event()
        self._none_left.set()

    async def run(self, tasks: TaskGroup) -> None:
        """Take the group the workers live in, and clear what those of an earlier daemon left."""
        self._tasks = tasks
        await self._around.clear()

    def start(self, effect: fx.StartWorker) -> None:
        """Start a worker; behind the run's one before it, where that is not quite gone. Asked again, it goes on."""
        before = self._by_run.get(effect.run_id)
        if (before is not None and before.number == effect.worker) or (effect.run_id, effect.worker) in self._not_begun:
            return
        if self._tasks is None:
            raise AssertionError("a worker is wanted before there is a group for it")
        installed = self._around.installed
        if installed.is_replaced:  # its code would be that of another version, and so would what is imported for it
            why = installed.differs(installed.view()["version"], self._around.home)
            log.warning("worker_outdated", run_id=effect.run_id, why=why)
            self._around.writer.owe(re.WorkerOutdated({"source": "worker"}, effect.run_id, effect.worker, why))
            return
        try:
            from torpord.shell.worker import Worker  # noqa: PLC0415 - a daemon without runs does without
        except (ImportError, OSError) as error:  # no descriptor is left to read it with, say
            log.warning("worker_not_started", run_id=effect.run_id, error=str(error))
            # From this moment on it can be called off, and is not asked for twice.
            off = self._not_begun[effect.run_id, effect.worker] = anyio.Event()
            self._tasks.start_soon(self._not_started, effect, error, off)
            return
        worker = Worker(effect.run_id, effect.worker, self._around, shortages=self._shortages.get(effect.run_id, 0))
        self._by_run[effect.run_id] = worker
        self._none_left = anyio.Event() if self._none_left.is_set() else self._none_left
        self._tasks.start_soon(self._live, worker, before)

    async def _not_started(self, effect: fx.StartWorker, error: Exception, off: anyio.Event) -> None:
        """Wait, as what is missing is not there at once, and say that the worker has ended."""
        run_id = effect.run_id
        before = self._shortages.pop(run_id, 0)
        is_short = shortage.is_shortage(error, self._around.writer.world.runs.live.get(run_id))
        try:
            with anyio.move_on_after(shortage.pause_s(before) if is_short else RETRY_S):
                await off.wait()
        finally:
            del self._not_begun[run_id, effect.worker]
        if is_short and not off.is_set():
            self._shortages[run_id] = before + 1
        how = f"it cannot be started: {error}"
        self._around.writer.owe(re.WorkerGone({"source": "worker"}, run_id, effect.worker, how, blame=not is_short))

    async def _live(self, worker: Worker, before: Worker | None) -> None:
        try:
            if before is not None:
                before.hurry()
                await before.gone.wait()
            await worker.live()
        finally:
            worker.gone.set()
            if worker.short:
                self._shortages[worker.run_id] = worker.shortages + 1
            else:
                self._shortages.pop(worker.run_id, None)
            if self._by_run.get(worker.run_id) is worker:
                del self._by_run[worker.run_id]
            if not self._by_run:
                self._none_left.set()

    def begin(self, effect: fx.BeginSteps) -> None:
        """Tell a worker to begin steps."""
        worker = self._of(effect.run_id, effect.worker)
        if worker is not None:
            worker.begin(effect.steps, effect.join)

    def warn(self, effect: fx.YieldWorker) -> None:
        """Tell a worker to end its steps, and end it if it does not."""
        self._call_off(effect.run_id, effect.worker)
        worker = self._of(effect.run_id, effect.worker)
        if worker is not None:
            worker.warn(effect.within_s)

    def stop(self, effect: fx.StopWorker) -> None:
        """End a worker."""
        self._call_off(effect.run_id, effect.worker)
        worker = self._of(effect.run_id, effect.worker)
        if worker is not None:
            worker.stop(broken_off=effect.broken_off)

    def _call_off(self, run_id: str, number: int) -> None:
        """Have nobody wait for what could not be started."""
        off = self._not_begun.get((run_id, number))
        if off is not None:
            off.set()

    def _of(self, run_id: str, number: int) -> Worker | None:
        worker = self._by_run.get(run_id)
        return worker if worker is not None and worker.number == number else None

    def progress(self, run_id: str) -> Mapping[str, Any]:
        """Return what a run's steps have told of how far they are, by branch."""
        worker = self._by_run.get(run_id)
        return worker.progress if worker else {}

    def pid(self, run_id: str) -> int | None:
        """Return the process of a run's worker, while there is one."""
        worker = self._by_run.get(run_id)
        return worker.pid if worker else None

    def reconcile(self) -> None:
        """Begin anew, behind a store that was read anew: nobody knows what of the last decision was carried out.

        A worker that is its run's no more is ended; any other, too, and its run goes on with another, as after a crash
        that nobody is to blame for. Calls find what was recorded of them.
        """
        for worker in list(self._by_run.values()):
            run = self._around.writer.world.runs.live.get(worker.run_id)
            if run is None or run.worker != worker.number:
                worker.stop(broken_off=True)
            else:
                worker.give_up("the store was read anew")

    async def settle(self, within_s: float, still: Callable[[], bool]) -> None:
        """Wait until there is no worker. Those that are still there after that time are ended, whoever forgot them.

        But not where the end is not wanted any more (`still`): they may be those of who took it back.
        """
        with anyio.move_on_after(within_s + SETTLE_S):
            await self._none_left.wait()
        if not still():
            return
        for worker in list(self._by_run.values()):
            worker.stop(broken_off=True)
        with anyio.move_on_after(LAST_SETTLE_S):
            await self._none_left.wait()
