"""How a step goes: begun by the journal's other side, run, and what came of it reported.

An engine carries one run in one process. It decides what a step did (where to, with which data), and nothing of what is
done about it: whether a failure is tried again, whether the run goes on at all, is decided where it is made durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from torpord import points
from torpord.flows.api import Flow, State
from torpord.flows.attempt import Attempt, failure
from torpord.flows.data import NOTHING, Conflict, Data, Patch, merge
from torpord.flows.errors import CallUnknownError, StepError, StepMistakeError, StepTimeoutError, describe
from torpord.flows.journal import Journal, Message
from torpord.flows.routes import Forked, Routed, route
from torpord.flows.run import Progress, Run, Yielding
from torpord.flows.services import Services
from torpord.flows.threads import in_thread

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB on Linux
_NO_RETRY_HELPS = (CallUnknownError, StepMistakeError)


@dataclass(slots=True)
class Branch:
    """One chain of states: the main one (""), or one of a Parallel, which began with `base` and ends at `join`."""

    name: str
    data: Data
    visits: dict[str, int]
    base: dict[str, bytes] = field(default_factory=dict)
    join: str | None = None


class Engine:
    """Runs the steps of one run. `clock_s`: seconds on a clock that nobody sets, for durations."""

    def __init__(
        self, flow: Flow, journal: Journal, run_id: str, origin: str, work_dir: Path, clock_s: Callable[[], float]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._flow = flow
        self._journal = journal
        self._run_id = run_id
        self._origin = origin
        self._work_dir = work_dir
        self._clock_s = clock_s
        self._loop = loop
        self._branches: dict[str, Branch] = {}
        self._attempts: set[Attempt] = set()
        self._services = Services(flow.services)
        self._progress = Progress(loop)
        self.yielding = Yielding()
        self.broken: asyncio.Future[Any] = loop.create_future()

    def place(self, data: Mapping[str, Any], branches: Mapping[str, Any], visits: Mapping[str, Any]) -> None:
        """Stand where the run stands: main's data, and the branches of the Parallel it is in. Raises StepError."""
        main = Branch("", Data.of(data), dict(visits.get("", {})))
        self._branches = {"": main}
        for name, kept in branches.items():
            own = {key: raw for key, raw in main.data.checkpoint.items() if key not in kept["removed"]}
            own |= Data.of(kept["set"]).checkpoint
            base = dict(main.data.checkpoint)
            self._branches[name] = Branch(name, Data(own), dict(visits.get(name, {})), base, kept["join"])

    def data(self) -> dict[str, Any]:
        """Return the main branch's data as it was at its last checkpoint."""
        return {key: orjson.loads(raw) for key, raw in self._branches[""].data.checkpoint.items()}

    def take(self, message: Message) -> None:
        """Do what an answer asks for besides: begin steps, join branches."""
        for entry in message.get("steps") or ():
            self._begin(entry)
        if message.get("join"):
            self._join(message["join"])

    def cancel(self) -> None:
        """End every step; none of them reports."""
        for attempt in tuple(self._attempts):
            attempt.withdraw()

    async def settled(self) -> None:
        """Wait until no step is running."""
        while tasks := [attempt.task for attempt in self._attempts if attempt.task is not None]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Close the services. Raises what they raise."""
        await self._services.close()

    def _begin(self, entry: Message) -> None:
        branch = self._branches[entry["branch"]]
        state, visit = entry["state"], entry["visit"]
        branch.visits[state] = max(visit, branch.visits.get(state, 0))
        attempt = Attempt(
            self._journal, self._origin, branch.name, state, visit, entry["attempt"], entry.get("calls") or {}
        )
        self._attempts.add(attempt)
        attempt.task = self._loop.create_task(self._go(attempt, branch))
        attempt.task.add_done_callback(lambda task: self._gone(attempt, task))

    def _gone(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        if not task.cancelled() and (error := task.exception()) and not self.broken.done():
            self.broken.set_exception(error)  # a mistake of ours: the worker ends, and the step is tried again

    async def _go(self, attempt: Attempt, branch: Branch) -> None:
        points.reached("worker.begun")
        state = self._flow.states[attempt.state]
        used, at_s = _usage(), self._clock_s()
        run = Run(self._run_id, attempt, branch.data.live, self._work_dir, self.yielding, self._progress, self._loop)
        returned: Any = None
        error: BaseException | None = None
        try:
            if state.is_async and state.timeout_s is None and self._flow.services is None:
                returned = await state.function(run)  # nothing else to do: the short way
            else:
                returned = await self._invoke(state, run, attempt)
        except BaseException as raised:  # noqa: BLE001 - whatever an author's code does, it does to its own run
            error = raised
        if attempt.withdrawn:
            return
        if error is None and attempt.awaited:
            error = attempt.awaited.mistake()
        points.reached("worker.returned")
        outcome, patch = self._conclude(state, branch, run, returned, error)
        if "failed" in outcome:
            _say_all()
        message = {
            "t": "ended", **attempt.place, "outcome": outcome, "set": _fragments(patch), "removed": patch.removed,
            "duration_s": round(self._clock_s() - at_s, 6), **_used(used),
        }  # fmt: skip
        attempt.withdrawn = True  # nothing that it left running speaks for it any more
        self._journal.ask(message, _acknowledged)

    async def _invoke(self, state: State, run: Run, attempt: Attempt) -> Any:
        """Call a state's function, in a thread if it is a plain one, and end it when its time is over."""
        scope = asyncio.timeout(state.timeout_s)
        try:
            async with scope:
                run.services = await self._services.get()
                if state.is_async:
                    returned = await state.function(run)
                else:
                    returned = await in_thread(state.function, run, release=attempt.release)
                    if asyncio.iscoroutine(returned):  # of a plain function, such as a lambda
                        returned = await returned
        except BaseException as error:
            if scope.expired():
                raise _over(state) from error
            raise
        if scope.expired():  # it was told, and went on
            raise _over(state)
        return returned

    def _conclude(
        self, state: State, branch: Branch, run: Run, returned: Any, error: BaseException | None
    ) -> tuple[Message, Patch]:
        """Say what came of a step: its outcome, and what it did to the data."""
        routed: Routed | None = None
        if error is None:
            try:
                routed = route(self._flow, branch.name, branch.join, branch.visits, state.name, returned)
                patch = branch.data.keep(run.data) if routed.keeps else NOTHING
            except StepError as problem:
                error = problem
        if error is not None:
            branch.data.restore()
            retries = 0 if isinstance(error, _NO_RETRY_HELPS) else state.retries
            timed_out = isinstance(error, StepTimeoutError)
            return {"failed": failure(error), "retries": retries, "timed_out": timed_out}, NOTHING
        assert routed is not None  # noqa: S101 - without an error there is a route
        if not routed.keeps:
            branch.data.restore()
        if routed.enters:
            branch.visits[routed.enters] = branch.visits.get(routed.enters, 0) + 1
        for fork in routed.forks:
            self._fork(branch, fork)
        return routed.outcome, patch

    def _fork(self, main: Branch, fork: Forked) -> None:
        base = dict(main.data.checkpoint)
        self._branches[fork.branch] = Branch(fork.branch, main.data.fork(), {fork.state: 1}, base, fork.join)

    def _join(self, state: str) -> None:
        main = self._branches[""]
        merged = merge((name, branch.data.since(branch.base)) for name, branch in self._branches.items() if name)
        if isinstance(merged, Conflict):
            conflict = {"key": merged.key, "branches": merged.branches}
            self._journal.ask({"t": "joined", "conflict": conflict}, _nothing)
            return
        try:
            main.data.apply(merged)
        except StepError as error:
            self._journal.ask({"t": "joined", "failed": describe(error)}, _nothing)
            return
        self._branches = {"": main}
        visit = main.visits[state] = main.visits.get(state, 0) + 1
        message = {"t": "joined", "visit": visit, "set": _fragments(merged), "removed": merged.removed}
        self._journal.ask(message, _nothing)


def _say_all() -> None:
    """Write out what was printed without an end of line: with a failure the daemon keeps what it has by then.

    Streams of an author's own making are left to their author.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        # Nobody reads it any more, or the author closed it: what becomes of the output is no part of the step's end.
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()


def _over(state: State) -> StepTimeoutError:
    return StepTimeoutError(f"state {state.name} took longer than its timeout of {state.timeout_s:g} s")


def _fragments(patch: Patch) -> dict[str, orjson.Fragment]:
    return {key: orjson.Fragment(raw) for key, raw in patch.set.items()}


def _acknowledged(reply: Message) -> None:
    if reply["t"] == "ack":
        points.reached("worker.acknowledged")


def _nothing(_reply: Message) -> None:
    """Do nothing: what an answer asks for besides is taken by whoever delivers it."""


def _usage() -> tuple[float, resource.struct_rusage, resource.struct_rusage]:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, own, children


def _used(before: tuple[float, resource.struct_rusage, resource.struct_rusage]) -> Message:
    """Return the CPU seconds of the process and its ended children since, and their peak of memory so far.

    The kernel counts by process: of two branches at once each is counted what both used.
    """
    now_s, own, children = _usage()
    peak = max(own.ru_maxrss, children.ru_maxrss) * _RSS_UNIT
    return {"cpu_s": round(now_s - before[0], 6), "peak_rss_bytes": peak}
