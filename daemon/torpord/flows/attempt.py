"""One attempt at one state: what it is made of, and the calls to the outside that it makes once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import orjson

from torpord import points
from torpord.core.limits import MAX_DATA_BYTES, MAX_VISIT_CALLS_BYTES
from torpord.flows import strict
from torpord.flows.awaited import Awaited
from torpord.flows.errors import AttemptEndedError, CallUnknownError, StepError, StepMistakeError, bounded, describe
from torpord.flows.journal import Journal, Message, answer

# What a call takes in a line besides its result: its key, its status, and what is around them.
_ENTRY_BYTES = 128

UNKNOWN = ("again", "fail")


def key_of(*parts: Any) -> str:
    """Return an idempotency key: SHA-256 of the parts as canonical JSON, in hex. Raises StepError."""
    return hashlib.sha256(strict.dump(parts, "the key", canonical=True)).hexdigest()


@dataclass(slots=True)
class Call:
    """One call by its key, and how it stands: an earlier attempt may have made it."""

    key: str
    tool: str
    args: bytes
    done: bool
    result: Any = None


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt. `recorded`: by key, the calls that earlier attempts of this visit left in the journal."""

    journal: Journal
    origin: str
    branch: str
    state: str
    visit: int
    number: int
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    withdrawn: bool = False
    task: asyncio.Task[None] | None = None
    awaited: Awaited = field(default_factory=Awaited)
    _waits: set[Future[Any]] = field(default_factory=set)
    _counts: dict[tuple[str, bytes], int] = field(default_factory=dict)
    _kept_bytes: int | None = None  # of calls in this visit; None: not counted yet

    @property
    def place(self) -> Message:
        """Where this is, as messages say it."""
        return {"branch": self.branch, "state": self.state, "visit": self.visit, "attempt": self.number}

    @property
    def key(self) -> str:
        """The idempotency key of the visit: the same in every attempt."""
        return key_of(self.origin, self.branch, self.state, self.visit)

    def withdraw(self) -> None:
        """End it: what it reports is not wanted any more."""
        self.withdrawn = True
        if self.task is not None:
            self.task.cancel()

    def wait(self, work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
        """Have the loop do `work`, and wait for it in the state's own thread."""
        future = asyncio.run_coroutine_threadsafe(work, loop)
        self._waits.add(future)
        try:
            return future.result()
        finally:
            self._waits.discard(future)

    def release(self) -> None:
        """End what the state's thread waits for: it cannot be interrupted while it does."""
        for future in tuple(self._waits):
            future.cancel()

    def call(self, tool: str, args: Mapping[str, Any], unknown: str) -> Call:
        """Look up a call. Raises StepError where it is not one, CallUnknownError where it must not be made again."""
        if not isinstance(tool, str) or not isinstance(args, dict) or unknown not in UNKNOWN:
            raise StepError('run.call(tool, args, fn): tool is text, args an object, unknown "again" or "fail"')
        raw = strict.dump(args, f"the arguments of the call {tool!r}", canonical=True)
        strict.check_size(len(raw), f"the arguments of the call {tool!r}")
        nth = self._counts.get((tool, raw), 0)
        self._counts[tool, raw] = nth + 1
        key = key_of(self.origin, self.branch, self.state, self.visit, tool, orjson.Fragment(raw), nth)
        earlier = self.recorded.get(key, {})
        if earlier.get("status") == "begun" and unknown == "fail":
            raise CallUnknownError(f"the call {tool!r} was begun in an earlier attempt, and its outcome is not known")
        done = earlier.get("status") == "done"
        if not done and self._keep(_ENTRY_BYTES) > MAX_VISIT_CALLS_BYTES:
            raise StepMistakeError(f"the call {tool!r} is not made: {self._full()}")
        return Call(key, tool, raw, done, earlier.get("result"))

    def _keep(self, size: int) -> int:
        """Count what is recorded of this visit's calls, in bytes of JSON, `size` more; returns the sum."""
        if self._kept_bytes is None:
            self._kept_bytes = sum(_ENTRY_BYTES + len(orjson.dumps(each)) for each in self.recorded.values())
        self._kept_bytes += size
        return self._kept_bytes

    def _full(self) -> str:
        return (
            f"the calls of this visit to the state {self.state} have results of {self._kept_bytes} bytes as JSON, over"
            f" the limit of {MAX_VISIT_CALLS_BYTES}: split the state, or keep results in files and return their paths"
        )

    async def intend(self, call: Call) -> None:
        """Have it recorded that the call is about to be made."""
        message = {"t": "call", **self.place, "key": call.key, "tool": call.tool, "args": orjson.Fragment(call.args)}
        await self._recorded(message)
        points.reached("call.intended")

    async def made(self, call: Call, result: Any) -> Any:
        """Have the result kept, and return it as it will come back. Raises StepError where it cannot be kept."""
        points.reached("call.made")
        what = f"the result of the call {call.tool!r}"
        try:
            raw = strict.dump(result, what)
            strict.check_size(len(raw), what)
            # Only calls that were made at once can be so many: one after the other, the next one is not made.
            if self._keep(len(raw)) > MAX_VISIT_CALLS_BYTES + MAX_DATA_BYTES:
                raise StepMistakeError(f"{what} cannot be kept: {self._full()}")
        except StepError as error:
            await self._called(call, {"ok": False, "error": describe(error)})
            raise
        await self._called(call, {"ok": True, "result": orjson.Fragment(raw)})
        return strict.loads(raw)

    async def raised(self, call: Call, error: BaseException) -> None:
        """Have it recorded that the call failed: the next attempt makes it again, with the same key."""
        points.reached("call.made")
        await self._called(call, {"ok": False, "error": describe(error)})

    async def _called(self, call: Call, outcome: Message) -> None:
        await self._recorded({"t": "called", **self.place, "key": call.key, **outcome})
        points.reached("call.recorded")

    async def _recorded(self, message: Message) -> None:
        if self.withdrawn:
            raise AttemptEndedError("this attempt has ended")
        reply = await answer(self.journal, message)
        if reply["t"] == "no":
            self.withdraw()
            raise AttemptEndedError(reply["message"])

    async def value(self, message: Message) -> Any:
        """Ask the daemon for a value. Raises StepError with its words where there is none."""
        reply = await answer(self.journal, message)
        if reply["t"] == "no":
            raise StepError(reply["message"])
        if "error" in reply:
            raise StepError(reply["error"])
        return reply.get("value")


def failure(error: BaseException) -> Message:
    """Return the record of a failed step."""
    if isinstance(error, asyncio.CancelledError):
        return bounded("CancelledError", "the state cancelled itself", describe(error)["traceback"])
    return describe(error)
