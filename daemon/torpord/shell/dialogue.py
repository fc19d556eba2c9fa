"""What a worker and the daemon say to each other: reports are stored and answered, questions answered, steps begun.

The pipe's protocol is described in `daemon/ARCHITECTURE.md`. Reports are taken in the order they come, all that have
come at once in one commit; each is answered in the instant it is durable.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
import structlog
from anyio.abc import TaskGroup

from torpord.core import run_events as re
from torpord.core.draft import Refusal
from torpord.core.runs import MAX_BRANCHES, PlaceStatus
from torpord.host.worker_pipe import LineTooLongError, WorkerDeafError
from torpord.host.worker_process import WorkerProcess
from torpord.shell import reports, upkeep
from torpord.shell.surroundings import Surroundings
from torpord.store import runs as rows
from torpord.store.store import StoreError
from torpord.writer import Change, Outcome, Ticket

log = structlog.get_logger("torpord.worker")

Step = Mapping[str, Any]

RETRY_REPORT_S = 1.0
# A worker that reports without waiting for answers is read no further than this.
MOST_UNANSWERED = 64


@dataclass(slots=True)
class Report:
    """A line that is an event: answered, under its number, when that is durable."""

    number: int | None
    event: re.WorkerEvent


@dataclass(slots=True)
class Dialogue:
    """The talk with one worker. `fault`: why it had to be ended, where it had; `blamed`: that was its own doing."""

    run_id: str
    number: int
    around: Surroundings
    process: WorkerProcess
    tasks: TaskGroup
    spec: Mapping[str, Any]
    progress: dict[str, Any]
    called_off: Callable[[], bool]
    fault: str = ""
    blamed: bool = True
    loaded: bool = False
    over: bool = False  # the worker has ended: nothing is told or tried any more
    _states: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)  # retries and time
    _unanswered: int = 0  # reports that are yet to be stored
    _asked: int = 0  # questions that are yet to be answered
    _cache: Mapping[str, Any] | None = None  # an imported run's old results, once they were asked for
    _room: anyio.Event = field(default_factory=anyio.Event)

    async def listen(self) -> None:
        """Take what it says until there is no more to come."""
        self.process.deliver(self._take)
        try:
            await self.process.receive()
        except LineTooLongError as error:
            self._broke_off(error)

    async def all_answered(self) -> None:
        """Wait until everything it has reported is stored."""
        while self._unanswered:
            self._room = anyio.Event()
            await self._room.wait()

    def _broke_off(self, error: Exception) -> None:
        self.fault = f"it broke the protocol of the pipe: {error}"
        log.warning("worker_spoke_nonsense", run_id=self.run_id, error=str(error))
        self.process.kill()

    def _take(self, lines: Sequence[bytes]) -> None:
        taken: list[Report] = []
        try:
            for line in lines:
                message = reports.parsed(line)
                if message["t"] == "progress":
                    self._progressed(reports.progress(message))
                elif message["t"] in ("cached", "upkeep"):
                    self._asked += 1
                    self._start(self._value, message)
                else:
                    taken.append(self._report(message))
        except reports.NonsenseError as error:
            self._broke_off(error)
        if taken:
            self._unanswered += len(taken)
            self._put(taken)
        if self._unanswered + self._asked >= MOST_UNANSWERED:
            self.process.pause()

    def _answered(self) -> None:
        self._room.set()
        if not self.over and self._unanswered + self._asked < MOST_UNANSWERED:
            self.process.resume()

    def _progressed(self, message: Mapping[str, Any]) -> None:
        if len(self.progress) < MAX_BRANCHES:
            self.progress[message["branch"]] = {name: message[name] for name in ("done", "of", "note")}

    def _report(self, message: Mapping[str, Any]) -> Report:
        if message["t"] == "loaded":
            self._states, self.loaded = reports.limits(message), True
        elif message["t"] == "ended":
            self.progress.pop(str(message.get("branch")), None)
        elif message["t"] == "outdated":
            installed = self.around.installed
            why = installed.differs(reports.version(message), self.around.home)
            log.warning("worker_outdated", run_id=self.run_id, why=why)
            return Report(None, re.WorkerOutdated(reports.CAUSE, self.run_id, self.number, why, installed.is_replaced))
        outcome = message.get("outcome")
        output = output_of(self.process) if isinstance(outcome, dict) and "failed" in outcome else ""
        # Chance, so that many that failed at once do not all come back at once.
        event = reports.event(message, self.run_id, self.number, output, random.random())  # noqa: S311
        number = message.get("n")
        return Report(number if isinstance(number, int) else None, event)

    def _put(self, taken: Sequence[Report]) -> None:
        self.around.writer.submit(
            [Change(report.event) for report in taken], lambda ticket: self._settled(taken, ticket)
        )

    def _settled(self, taken: Sequence[Report], ticket: Ticket) -> None:
        unstored = []
        for report, outcome in zip(taken, ticket.outcomes, strict=True):
            if isinstance(outcome, Refusal) and outcome.name == "storage_unavailable":
                unstored.append(report)
            else:
                self._answer_safely(report, outcome)
        self._unanswered -= len(taken) - len(unstored)
        self._answered()
        if unstored:
            self._start(self._put_later, unstored)

    async def _put_later(self, unstored: Sequence[Report]) -> None:
        await anyio.sleep(RETRY_REPORT_S)
        self._put(unstored)

    def _answer_safely(self, report: Report, outcome: Outcome) -> None:
        try:
            self._answer(report, outcome)
        except Exception as error:
            # It is the writer that calls: a mistake of ours here costs one worker, and nobody else's commit.
            log.exception("internal_error", run_id=self.run_id)
            self.fault = f"a mistake of the daemon's: {error!r}"[:500]
            self.process.kill()

    def _answer(self, report: Report, outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            if outcome.name == "internal_error":
                self.fault = f"what it reported cannot be recorded: {outcome.message}"
                self.process.kill()
            self.send({"t": "no", "n": report.number, "name": outcome.name, "message": outcome.message})
            return
        said = {"t": "begin"} if report.number is None else {"t": "ack", "n": report.number}
        steps, join = outcome.get("steps") or (), outcome.get("join")
        if any(step["attempt"] > 1 for step in steps):
            self._start(self.tell, said, steps, join)
        else:
            self._tell_now(said, steps, join)

    async def tell(self, said: Mapping[str, Any], steps: Sequence[Step], join: str | None) -> None:
        """Tell it what to begin, with what earlier attempts recorded."""
        known: list[Step] = []
        for step in steps:
            if step["attempt"] > 1:
                at = (self.run_id, step["branch"], step["state"], step["visit"])
                calls = await self.around.read(lambda db, at=at: rows.recorded_calls(db, *at))  # type: ignore[misc]
                known.append({**step, "calls": calls})
            else:
                known.append(step)
        self._tell_now(said, known, join)

    def _tell_now(self, said: Mapping[str, Any], steps: Sequence[Step], join: str | None) -> None:
        for step in steps:
            self.progress.pop(step["branch"], None)
            _, limit_s = self._states.get(step["state"], (0, None))
            if limit_s is not None:
                self._start(self._limit_step, step, limit_s)
        if steps or join or said["t"] == "ack":
            self.send({**said, "steps": steps, "join": join})

    async def _limit_step(self, step: Mapping[str, Any], limit_s: float) -> None:
        """End a worker whose step does not end in time: code that blocks cannot be cancelled from within."""
        await anyio.sleep(limit_s + self.around.writer.world.policy.yield_within_s)
        run = self.around.writer.world.runs.live.get(self.run_id)
        place = run.place(step["branch"]) if run and run.worker == self.number else None
        if place is None or place.status is not PlaceStatus.RUNNING:
            return
        if (place.state, place.visit, place.attempt) != (step["state"], step["visit"], step["attempt"]):
            return
        message = f"it took over {limit_s:g} s, and did not end when it was told to"
        error = {"type": "StepTimeoutError", "message": message, "traceback": ""}
        report = re.StepReported(
            reports.CAUSE,
            self.run_id,
            self.number,
            **reports.attempt(step),
            outcome={"failed": error, "retries": self._states[step["state"]][0]},
            duration_s=limit_s,
            output=output_of(self.process),
            timed_out=True,
            draw=random.random(),  # noqa: S311 - as above
        )
        self.blamed, self.fault = False, f"ended: {place.state} took over its time"
        self._unanswered += 1
        self._put([Report(None, report)])
        await self.all_answered()
        self.process.kill()

    async def _value(self, message: Mapping[str, Any]) -> None:
        """Answer a question of the worker's."""
        said: dict[str, Any] = {"t": "value", "n": message.get("n")}
        try:
            if message["t"] == "cached":
                said["value"] = await self._cached(str(message.get("key")))
            elif self.spec.get("builtin"):
                said["value"] = await upkeep.do(str(message.get("step")), self.around, self.called_off)
            else:
                said["error"] = "only the built-in housekeeping works on the daemon's own store"
        except upkeep.FailedError as error:
            said["error"] = str(error)
        except StoreError as error:
            said["error"] = str(error)
        finally:
            self._asked -= 1
            self._answered()
        self.send(said)

    async def _cached(self, key: str) -> Any:
        if self._cache is None:
            found = await self.around.read(lambda db: rows.detail(db, self.run_id))
            cache = found.get("legacy", {}).get("tool_results_cache")
            self._cache = cache if isinstance(cache, dict) else {}  # whoever wrote it may have left it empty
        return self._cache.get(key)

    def _start(self, call: Callable[..., Any], *args: Any) -> None:
        if not self.over:
            self.tasks.start_soon(call, *args)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; a worker that reads nothing is ended."""
        try:
            self.process.send(orjson.dumps(message) + b"\n")
        except WorkerDeafError as error:
            self.fault = str(error)
            self.process.kill()


def output_of(process: WorkerProcess) -> str:
    """Return the end of what it has printed."""
    return process.output_tail().decode(errors="replace")
