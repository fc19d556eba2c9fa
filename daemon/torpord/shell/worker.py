"""One worker: its process, what it says, and how it is made to end.

The pipe's protocol is described in `daemon/ARCHITECTURE.md`. Reports are taken in the order they come, all that have
come at once in one commit; each is answered when it is durable.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
import structlog
from anyio.abc import TaskGroup

from torpord.core import run_events as re
from torpord.core.draft import Refusal
from torpord.core.runs import MAX_BRANCHES, PlaceStatus
from torpord.host.worker_pipe import LineTooLongError, WorkerDeafError
from torpord.host.worker_process import Exit, WorkerProcess
from torpord.shell import reports, upkeep
from torpord.shell.greeting import TooMuchError, greeting
from torpord.shell.surroundings import Surroundings
from torpord.store import runs as rows
from torpord.store.store import StoreError
from torpord.writer import Change, Outcome, Ticket

Step = Mapping[str, Any]

log = structlog.get_logger("torpord.worker")

# A flow's imports may take their time, but not for ever: meanwhile the daemon stays awake for it.
LOAD_LIMIT_S = 120.0
RETRY_REPORT_S = 1.0
# What an ending worker gets after each word, before the next and stronger one.
EXIT_S = 2.0
CANCEL_S = 1.0
LAST_S = 0.3
# What a process that has ended had still sent is taken, as long as the store takes it.
LAST_WORDS_S = 5.0
# A worker that reports without waiting for answers is read no further than this.
MOST_UNANSWERED = 64


@dataclass(slots=True)
class _Report:
    """A line that is an event: answered, under its number, when that is durable."""

    number: int | None
    event: re.WorkerEvent


@dataclass(slots=True)
class Worker:
    """The worker `number` of a run. `gone` is set when nothing of it is left."""

    run_id: str
    number: int
    around: Surroundings
    gone: anyio.Event = field(default_factory=anyio.Event)
    progress: dict[str, Any] = field(default_factory=dict)
    _process: WorkerProcess | None = None
    _tasks: TaskGroup | None = None
    _spec: Mapping[str, Any] = field(default_factory=dict)
    _states: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)  # retries and time
    _called_off: bool = False  # it is to end: what works for it gives way
    _ending: bool = False
    _blame: bool = True
    _how: str = ""
    _unanswered: int = 0  # reports that are yet to be stored
    _room: anyio.Event = field(default_factory=anyio.Event)
    _last_word: str = ""  # what it was told before there was a process to tell

    @property
    def pid(self) -> int | None:
        """The process, once there is one."""
        return self._process.pid if self._process else None

    async def live(self) -> None:
        """Start it, serve it until it has ended, and say so."""
        exit_ = None
        try:
            hello = await self._hello()
            if hello is not None and not self._called_off:
                exit_ = await self._serve(hello)
        except OSError as error:
            self._how = f"it cannot be started: {error}"
            log.warning("worker_not_started", run_id=self.run_id, error=str(error))
            await anyio.sleep(RETRY_REPORT_S)  # what is missing (memory, processes) is not there at once
        except Exception as error:
            # A mistake of ours costs one run, not the daemon.
            self._how = f"a mistake of the daemon's: {error!r}"[:500]
            log.exception("internal_error", run_id=self.run_id)
        finally:
            if self._process is not None:
                with anyio.CancelScope(shield=True):
                    await self._process.close()
            shutil.rmtree(self._work_dir, ignore_errors=True)
        output = self._output()
        figures = (exit_.cpu_s, exit_.peak_rss_bytes) if exit_ else (None, None)
        how = self._how or (_ended_how(exit_.returncode) if exit_ else "it was not started")
        self.around.writer.owe(
            re.WorkerGone(reports.CAUSE, self.run_id, self.number, how, self._blame, output, *figures)
        )

    @property
    def _work_dir(self) -> Path:
        return self.around.work_dir(self.run_id)

    def _output(self) -> str:
        return self._process.output_tail().decode(errors="replace") if self._process else ""

    async def _hello(self) -> bytes | None:
        """Read what the worker is told first; None where its flow is in no settings any more."""
        run = self.around.writer.world.runs.live.get(self.run_id)
        if run is None or run.worker != self.number:
            self._called_off = True
            return None
        spec = self.around.flows().get(run.flow)
        if spec is None:
            await self._cannot_go_on(f"there is no flow {run.flow!r} in the settings any more: put it back, and retry")
            return None
        self._spec = spec
        found = await self._read(lambda db: rows.resumption(db, run))
        try:
            return greeting(run, spec, found, self._work_dir)
        except TooMuchError as error:
            await self._cannot_go_on(str(error))
            return None

    async def _cannot_go_on(self, message: str) -> None:
        error = {"type": "FlowError", "message": message, "traceback": ""}
        await self._submit([_Report(None, re.WorkerCannotLoad(reports.CAUSE, self.run_id, self.number, error))])

    async def _read(self, read: Callable[[sqlite3.Connection], Any]) -> Any:
        """Read from the store, however long the disk takes."""
        while True:
            try:
                return await self.around.runner.run(lambda: read(self.around.store.connection))
            except sqlite3.Error as error:
                log.warning("run_not_read", run_id=self.run_id, error=str(error))
                await anyio.sleep(RETRY_REPORT_S)

    async def _serve(self, hello: bytes) -> Exit:
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # -P: the working directory is no place for modules.
        argv = [sys.executable, "-P", "-m", "torpord.flows.worker"]
        self._process = process = await WorkerProcess.spawn(argv, self.around.environment())
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            process.send(hello)
            if self._last_word:
                self._end(self._last_word)
            tasks.start_soon(self._limit_loading)
            listened = anyio.Event()
            tasks.start_soon(self._listen, process, listened)
            # From the first moment on: it is also what notices the end of the group's guardian.
            exit_ = await process.ended()
            with anyio.move_on_after(LAST_WORDS_S):
                await listened.wait()
                while self._unanswered:
                    self._room = anyio.Event()
                    await self._room.wait()
            self._tasks = None
            tasks.cancel_scope.cancel()
        return exit_

    async def _limit_loading(self) -> None:
        await anyio.sleep(LOAD_LIMIT_S)
        if self._states or self._process is None:
            return
        message = f"loading it took over {LOAD_LIMIT_S:g} s: what does it do when it is imported?"
        error = {"type": "FlowError", "message": message, "traceback": ""}
        await self._submit([_Report(None, re.WorkerCannotLoad(reports.CAUSE, self.run_id, self.number, error))])
        self._process.kill()

    async def _listen(self, process: WorkerProcess, listened: anyio.Event) -> None:
        try:
            while lines := await process.receive():
                await self._take(lines)
        except LineTooLongError as error:
            self._how = f"it broke the protocol of the pipe: {error}"
        except reports.NonsenseError as error:
            self._how = f"it broke the protocol of the pipe: {error}"
            log.warning("worker_spoke_nonsense", run_id=self.run_id, error=str(error))
        listened.set()
        if not self._ending:  # it has closed the pipe, or broken the protocol: there is no more to come
            await self._kill_after(CANCEL_S)

    async def _take(self, lines: Sequence[bytes]) -> None:
        taken: list[_Report] = []
        for line in lines:
            message = reports.parsed(line)
            if message["t"] == "progress":
                self._progressed(reports.progress(message))
            elif message["t"] in ("cached", "upkeep"):
                self._start(self._value, message)
            else:
                taken.append(self._report(message))
        if taken:
            await self._submit(taken)

    def _progressed(self, message: Mapping[str, Any]) -> None:
        if len(self.progress) < MAX_BRANCHES:
            self.progress[message["branch"]] = {name: message[name] for name in ("done", "of", "note")}

    def _report(self, message: Mapping[str, Any]) -> _Report:
        if message["t"] == "loaded":
            self._states = reports.limits(message)
        elif message["t"] == "ended":
            self.progress.pop(str(message.get("branch")), None)
        outcome = message.get("outcome")
        output = self._output() if isinstance(outcome, dict) and "failed" in outcome else ""
        # Chance, so that many that failed at once do not all come back at once.
        event = reports.event(message, self.run_id, self.number, output, random.random())  # noqa: S311
        number = message.get("n")
        return _Report(number if isinstance(number, int) else None, event)

    async def _submit(self, taken: Sequence[_Report]) -> None:
        """Have reports stored, however long the disk takes; each is answered when it is."""
        while self._unanswered >= MOST_UNANSWERED:
            self._room = anyio.Event()
            await self._room.wait()
        self._unanswered += len(taken)
        self._put(taken)

    def _put(self, taken: Sequence[_Report]) -> None:
        self.around.writer.submit(
            [Change(report.event) for report in taken], lambda ticket: self._settled(taken, ticket)
        )

    def _settled(self, taken: Sequence[_Report], ticket: Ticket) -> None:
        unstored = []
        for report, outcome in zip(taken, ticket.outcomes, strict=True):
            if isinstance(outcome, Refusal) and outcome.name == "storage_unavailable":
                unstored.append(report)
            else:
                self._answer(report, outcome)
        self._unanswered -= len(taken) - len(unstored)
        self._room.set()
        if unstored:
            self._start(self._put_later, unstored)

    async def _put_later(self, unstored: Sequence[_Report]) -> None:
        await anyio.sleep(RETRY_REPORT_S)
        self._put(unstored)

    def _answer(self, report: _Report, outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            if outcome.name == "internal_error" and self._process is not None:
                self._how = f"what it reported cannot be recorded: {outcome.message}"
                self._process.kill()
            self._send({"t": "no", "n": report.number, "name": outcome.name, "message": outcome.message})
            return
        said = {"t": "begin"} if report.number is None else {"t": "ack", "n": report.number}
        steps, join = outcome.get("steps") or (), outcome.get("join")
        if any(step["attempt"] > 1 for step in steps):
            self._start(self._tell, said, steps, join)
        else:
            self._tell_now(said, steps, join)

    async def _tell(self, said: Mapping[str, Any], steps: Sequence[Step], join: str | None) -> None:
        """Tell it what to begin, with what earlier attempts recorded."""
        known: list[Step] = []
        for step in steps:
            if step["attempt"] > 1:
                at = (self.run_id, step["branch"], step["state"], step["visit"])
                calls = await self._read(lambda db, at=at: rows.recorded_calls(db, *at))  # type: ignore[misc]
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
            self._send({**said, "steps": steps, "join": join})

    async def _limit_step(self, step: Mapping[str, Any], limit_s: float) -> None:
        """End a worker whose step does not end in time: code that blocks cannot be cancelled from within."""
        await anyio.sleep(limit_s + self.around.writer.world.policy.yield_within_s)
        run = self.around.writer.world.runs.live.get(self.run_id)
        place = run.place(step["branch"]) if run and run.worker == self.number else None
        if place is None or place.status is not PlaceStatus.RUNNING or self._process is None:
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
            output=self._output(),
            timed_out=True,
            draw=random.random(),  # noqa: S311 - as above
        )
        self._blame, self._how = False, f"ended: {place.state} took over its time"
        await self._submit([_Report(None, report)])
        if self._process is not None:
            self._process.kill()

    async def _value(self, message: Mapping[str, Any]) -> None:
        """Answer a question of the worker's."""
        said: dict[str, Any] = {"t": "value", "n": message.get("n")}
        try:
            if message["t"] == "cached":
                said["value"] = await self._cached(str(message.get("key")))
            elif self._spec.get("builtin"):
                said["value"] = await upkeep.do(str(message.get("step")), self.around, lambda: self._called_off)
            else:
                said["error"] = "only the built-in housekeeping works on the daemon's own store"
        except upkeep.FailedError as error:
            said["error"] = str(error)
        except StoreError as error:
            said["error"] = str(error)
        self._send(said)

    async def _cached(self, key: str) -> Any:
        found = await self._read(lambda db: rows.detail(db, self.run_id))
        cache = found.get("legacy", {}).get("tool_results_cache")
        return cache.get(key) if isinstance(cache, dict) else None  # whoever wrote it may have left it empty

    def _start(self, call: Callable[..., Any], *args: Any) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(call, *args)

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._process is None:
            return
        try:
            self._process.send(orjson.dumps(message) + b"\n")
        except WorkerDeafError as error:
            self._how = str(error)
            self._process.kill()

    # What was decided.

    def begin(self, steps: Sequence[Mapping[str, Any]], join: str | None) -> None:
        """Tell it to begin steps, or to merge."""
        self._start(self._tell, {"t": "begin"}, steps, join)

    def warn(self, within_s: float) -> None:
        """Tell it to end its steps; after that time it is ended."""
        self._called_off = True
        if self._ending:
            return
        self._send({"t": "yield"})
        self._last_word = "cancel"
        self._start(self._end_after, within_s)

    async def _end_after(self, within_s: float) -> None:
        await anyio.sleep(within_s)
        if not self._ending and self._process is not None:
            self._ending = True
            self._how = f"it did not end within {within_s:g} s"
            self._send({"t": "cancel"})
            self._process.terminate()
            await self._kill_after(LAST_S)

    def stop(self, *, broken_off: bool) -> None:
        """End it: at once, where steps of it are broken off; else when it has cleaned up."""
        self._called_off = True
        if not self._ending:
            self._end("cancel" if broken_off else "exit")

    def hurry(self) -> None:
        """End it now: the run's next worker waits."""
        self._start(self._kill_after, CANCEL_S)

    def _end(self, word: str) -> None:
        self._last_word = word
        if self._tasks is None:
            return
        self._ending = True
        self._send({"t": word})
        self._start(self._insist, word)

    async def _insist(self, word: str) -> None:
        await anyio.sleep(CANCEL_S if word == "cancel" else EXIT_S)
        if self._process is not None:
            self._process.terminate()
            await self._kill_after(CANCEL_S)

    async def _kill_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        if self._process is not None:
            self._process.kill()


def _ended_how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
