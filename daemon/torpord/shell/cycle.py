"""The sleep cycle at work: the store's housekeeping, step by step, giving way to whoever wants the store."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import structlog

from torpord.core.draft import Refusal
from torpord.core.events import CycleStepEnded, CycleStepFailed, Event
from torpord.core.moment import Now
from torpord.store import housekeeping
from torpord.store.store import Store, StoreError
from torpord.store.thread import Runner
from torpord.writer import Writer

log = structlog.get_logger("torpord.cycle")

CAUSE = {"source": "sleep_cycle"}
RETRY_REPORT_S = 1.0


class SleepCycle:
    """Runs at most one cycle; the writer decides when, and from which step."""

    def __init__(self, writer: Writer, store: Store, runner: Runner, now: Callable[[], Now]) -> None:
        self._writer = writer
        self._store = store
        self._runner = runner
        self._now = now
        self._step = ""
        self._wanted = anyio.Event()
        self._stopped = False
        self._running = False

    def start(self, step: str) -> None:
        """Begin at `step`. Asked again while it runs, it goes on as it is."""
        self._stopped = False
        if not self._running:
            self._step = step
            self._wanted.set()

    def stop(self) -> None:
        """Give way: the step that is running ends within milliseconds, undone or done."""
        self._stopped = True

    async def run(self) -> None:
        """Run cycles as they are asked for, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            self._running = True
            try:
                await self._steps(self._step)
            finally:
                self._running = False

    async def _steps(self, step: str) -> None:
        while step and self._writer.world.cycle.phase == "running":
            begun = self._now()
            keep_s = self._writer.world.policy.ledger_keep_s
            upkeep = housekeeping.Upkeep(self._store, self._runner, begun.wall_s, keep_s, lambda: self._stopped)
            try:
                result = await self._runner.run(lambda step=step, upkeep=upkeep: housekeeping.run(step, upkeep))  # type: ignore[misc]
            except housekeeping.GaveWayError:
                if self._stopped:
                    return
                continue  # called off, and wanted again before it had ended
            except StoreError as error:
                log.warning("sleep_cycle_step_failed", step=step, error=str(error))
                await self._report(CycleStepFailed(CAUSE, step, str(error)))
                return
            ended = CycleStepEnded(CAUSE, step, round(self._now().awake_s - begun.awake_s, 6), result)
            problem = await self._report(ended)
            if problem:
                # The step is done and cannot be told, by a mistake of ours: begun anew at once it would spin.
                await self._report(CycleStepFailed(CAUSE, step, f"its end cannot be recorded: {problem}"))
                return
            step = self._writer.world.cycle.next_step

    async def _report(self, event: Event) -> str:
        """Have it stored, however long the disk takes: until then the cycle is where it was. Returns what is wrong."""
        while True:
            outcome = await self._writer.apply(event)
            if not isinstance(outcome, Refusal):
                return ""
            if outcome.name != "storage_unavailable":
                return outcome.message
            await anyio.sleep(RETRY_REPORT_S)
