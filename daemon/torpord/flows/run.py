"""What a state is handed: the run it is a step of."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal

from torpord.flows.attempt import Attempt, Call
from torpord.flows.journal import Message
from torpord.flows.threads import in_thread

Unknown = Literal["again", "fail"]


class Progress:
    """Passes progress on, at most ten times a second in all, the newest of each branch. Any thread may report."""

    INTERVAL_S = 0.1

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._news: dict[str, tuple[Attempt, Message]] = {}
        self._armed = False

    def report(self, attempt: Attempt, done: float, of: float, note: str) -> None:
        """Report how far an attempt is."""
        message = {"t": "progress", "branch": attempt.branch, "done": done, "of": of, "note": note}
        with self._lock:
            self._news[attempt.branch] = (attempt, message)
            armed, self._armed = self._armed, True
        if not armed:
            self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        with self._lock:
            news, self._news = self._news, {}
            self._armed = bool(news)
        for attempt, message in news.values():
            if not attempt.withdrawn:
                attempt.journal.tell(message)
        if news:
            self._loop.call_later(self.INTERVAL_S, self._flush)


class Yielding:
    """Whether the worker was asked to come to an end soon."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def ask(self) -> None:
        """Ask it of every state."""
        self.event.set()


class Run:
    """One attempt at one state of a run.

    `run_id`; `state`, `branch` ("" is the main one), `visit` (how often the branch entered this state, from 1),
    `attempt` (from 1 in each visit). `data`: JSON, kept with the transition; what a failed attempt did to it is thrown
    away. `services`: what the flow's `services` made. `work_dir`: a folder for
    temporary files; it is gone with the worker.
    """

    __slots__ = ("_attempt", "_loop", "_progress", "_yielding", "data", "run_id", "services", "work_dir")

    def __init__(
        self,
        run_id: str,
        attempt: Attempt,
        data: dict[str, Any],
        work_dir: Path,
        yielding: Yielding,
        progress: Progress,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.run_id = run_id
        self.data = data
        self.work_dir = work_dir
        self.services: Any = None
        self._attempt = attempt
        self._yielding = yielding
        self._progress = progress
        self._loop = loop

    @property
    def state(self) -> str:
        """The name of the state."""
        return self._attempt.state

    @property
    def branch(self) -> str:
        """The branch of a Parallel this is in; "" for the main one."""
        return self._attempt.branch

    @property
    def visit(self) -> int:
        """How often this branch entered this state, from 1; attempts not counted."""
        return self._attempt.visit

    @property
    def attempt(self) -> int:
        """Which attempt of this visit it is, from 1."""
        return self._attempt.number

    @property
    def key(self) -> str:
        """The idempotency key of this visit: the same in every attempt, and for nothing else."""
        return self._attempt.key

    @property
    def yielding(self) -> bool:
        """Whether somebody waits for this run to stop: end the step soon, or be interrupted and begun again later.

        Return the state itself to go on from here: an attempt that is broken off, or out of time, loses its data.
        """
        return self._yielding.event.is_set()

    async def until_yield(self) -> None:
        """Wait until `yielding` holds."""
        await self._yielding.event.wait()

    def progress(self, done: float, of: float, note: str = "") -> None:
        """Say how far this step is: `done` of `of`. For people to look at; nothing is decided by it."""
        if not isinstance(done, int | float) or not isinstance(of, int | float):
            raise TypeError(f"run.progress({done!r}, {of!r}): two numbers, done and of how many")
        self._progress.report(self._attempt, done, of, str(note)[:1024])

    def call(
        self, tool: str, args: Mapping[str, Any], fn: Callable[..., Any], *, unknown: Unknown = "again"
    ) -> Coroutine[Any, Any, Any]:
        """Await it: call `fn(**args)` once: recorded before, the result kept after, and returned from then on.

        A plain function is called in a thread. One that has a parameter `idempotency_key` is given it. What was begun
        by an earlier attempt and has no outcome is called again with the same key; with `unknown="fail"` it raises
        CallUnknownError instead. What `fn` raises is recorded and raised. A state that returns before it is over fails.
        """
        work = self._call(tool, args, fn, unknown)
        return self._attempt.awaited.give(f"run.call({tool!r:.100})", "run.call_sync", work)

    async def _call(self, tool: str, args: Mapping[str, Any], fn: Callable[..., Any], unknown: Unknown) -> Any:
        self._check_loop("run.call_sync")
        call = self._attempt.call(tool, args, unknown)
        if call.done:
            return call.result
        await self._attempt.intend(call)
        given = _arguments(fn, args, call)
        try:
            if inspect.iscoroutinefunction(fn):
                result = await fn(**given)
            else:
                result = await in_thread(lambda: fn(**given))
                if inspect.isawaitable(result):
                    result = await result
        except asyncio.CancelledError:
            raise  # nobody knows how far it came
        except BaseException as error:
            await self._attempt.raised(call, error)
            raise
        return await self._attempt.made(call, result)

    def call_sync(
        self, tool: str, args: Mapping[str, Any], fn: Callable[..., Any], *, unknown: Unknown = "again"
    ) -> Any:
        """Do as `call`, in a state that is a plain `def`: a plain `fn` is called in its thread."""
        if inspect.iscoroutinefunction(fn):
            return self._blocking(self._call(tool, args, fn, unknown))
        call = self._attempt.call(tool, args, unknown)
        if call.done:
            return call.result
        self._blocking(self._attempt.intend(call))
        try:
            result = fn(**_arguments(fn, args, call))
        except Exception as error:
            self._blocking(self._attempt.raised(call, error))
            raise
        return self._blocking(self._attempt.made(call, result))

    def cached(self, key: str) -> Coroutine[Any, Any, Any]:
        """Await it: the result that an imported run had under `key`; None where there is none."""
        return self._attempt.awaited.give(f"run.cached({key!r:.100})", "run.cached_sync", self._cached(key))

    async def _cached(self, key: str) -> Any:
        self._check_loop("run.cached_sync")
        return await self._attempt.value({"t": "cached", "key": key})

    def cached_sync(self, key: str) -> Any:
        """Do as `cached`, in a state that is a plain `def`."""
        return self._blocking(self._cached(key))

    async def upkeep(self, step: str) -> Any:
        """Have the daemon do a step of the upkeep of its own store: for the built-in flow `housekeeping` only."""
        return await self._attempt.value({"t": "upkeep", "step": step})

    def _check_loop(self, instead: str) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(f"this is another event loop than the run's: use {instead} in a plain def")

    def _blocking(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            work.close()
            raise RuntimeError("this would wait for itself: in an `async def` state write `await run.call(...)`")
        return self._attempt.wait(work, self._loop)


def _arguments(fn: Callable[..., Any], args: Mapping[str, Any], call: Call) -> dict[str, Any]:
    given = dict(args)
    try:
        parameter = inspect.signature(fn).parameters.get("idempotency_key")
    except (TypeError, ValueError):  # some built-in functions have none that can be read
        return given
    if parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY:
        given.setdefault("idempotency_key", call.key)
    return given
