"""A flow without a daemon, for tests and scripts: the same engine, and a journal that forgets everything at the end.

It decides as the daemon does, but that nothing is durable and nothing is waited for: what is tried again is begun again
at once, however long the pause would be.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from torpord.core.runs import DEFAULT_MAX_STEPS
from torpord.flows.api import Flow
from torpord.flows.engine import Engine
from torpord.flows.graph import check
from torpord.flows.journal import Message

# What the settings have for `yield_within` unless they say otherwise: the other branches' time after one has failed.
YIELD_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Taken:
    """One attempt that ended. `outcome`: next, parallel, complete, failed or retry; `to`: the states it led to."""

    branch: str
    state: str
    visit: int
    attempt: int
    outcome: str
    to: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. `data`: as of the last checkpoint; `error`: the first one's `{type, message, traceback}`."""

    status: Literal["completed", "failed"]
    result: Any
    data: dict[str, Any]
    error: Mapping[str, str] | None
    steps: list[Taken]


async def run_here(flow: Flow, data: Mapping[str, Any] | None = None, *, max_steps: int = DEFAULT_MAX_STEPS) -> Result:
    """Run `flow` from its initial state to its end. Raises FlowError where it cannot be run, StepError for bad data."""
    check(flow)
    with tempfile.TemporaryDirectory(prefix="torpor-") as work_dir:
        return await _run(flow, data, max_steps, Path(work_dir))


async def _run(flow: Flow, data: Mapping[str, Any] | None, max_steps: int, work_dir: Path) -> Result:
    journal = _Memory(flow, max_steps)
    engine = Engine(flow, journal, "run_here", "run_here", work_dir, lambda: 0.0)
    engine.place(data or {}, {}, {})
    journal.engine = engine
    journal.begin("", flow.initial, 1)
    try:
        await asyncio.wait([journal.ended, engine.broken], return_when=asyncio.FIRST_COMPLETED)
        if engine.broken.done():
            engine.broken.result()
    finally:
        engine.cancel()
        await engine.settled()
        await engine.close()
    status, result = journal.ended.result()
    return Result(status, result, engine.data(), journal.error, journal.steps)


@dataclass(slots=True)
class _Place:
    """Where a branch stands. `calls`: what its attempts at this visit recorded, as JSON, for they must not share it."""

    branch: str
    join: str | None = None
    state: str = ""
    visit: int = 0
    attempt: int = 0
    failures: int = 0
    running: bool = False
    at_join: bool = False
    calls: dict[str, bytes] = field(default_factory=dict)


class _Memory:
    def __init__(self, flow: Flow, max_steps: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._flow = flow
        self._left = max_steps
        self._max_steps = max_steps
        self._places = {"": _Place("")}
        self.engine: Engine
        self.steps: list[Taken] = []
        self.error: Mapping[str, str] | None = None
        self.ended: asyncio.Future[Any] = self._loop.create_future()

    def tell(self, message: Message) -> None:
        """Nobody looks at progress here."""

    def ask(self, message: Message, answered: Callable[[Message], None]) -> None:
        """Decide at once; answer when the asker has gone on, as a pipe would."""
        message = orjson.loads(orjson.dumps(message))
        reply = {"t": "ack", **self._decide(message)}

        def deliver() -> None:
            answered(reply)
            self.engine.take(reply)

        self._loop.call_soon(deliver)

    def begin(self, branch: str, state: str, visit: int) -> None:
        """Begin the run."""
        self.engine.take(self._begin(self._places[branch], state, visit))

    def _decide(self, message: Message) -> Message:
        match message["t"]:
            case "ended":
                return self._ended(message)
            case "joined":
                return self._joined(message)
            case "call":
                self._places[message["branch"]].calls[message["key"]] = orjson.dumps({"status": "begun"})
            case "called":
                done = {"status": "done" if message["ok"] else "failed", "result": message.get("result")}
                self._places[message["branch"]].calls[message["key"]] = orjson.dumps(done)
            case "cached":
                return {"t": "value", "value": None}
            case "upkeep":
                return {"t": "value", "error": "the upkeep is of the daemon's own store; here is none"}
        return {}

    def _begin(self, place: _Place, state: str, visit: int) -> Message:
        if (place.state, place.visit) != (state, visit):
            place.state, place.visit, place.attempt, place.failures = state, visit, 0, 0
            place.calls.clear()
        if self.error is not None:
            return {}
        if not self._left:
            text = f"{self._max_steps} steps were done: a loop, or a run that needs a larger max_steps"
            return self._fail({"type": "MaxSteps", "message": text, "traceback": ""})
        place.attempt += 1
        place.running = True
        calls = {key: orjson.loads(raw) for key, raw in place.calls.items()}
        step = {"branch": place.branch, "state": state, "visit": visit, "attempt": place.attempt, "calls": calls}
        return {"steps": [step]}

    def _ended(self, message: Message) -> Message:
        place, outcome = self._places[message["branch"]], message["outcome"]
        place.running = False
        self._left -= 1
        follows = self._follow(place, message, outcome)
        if self.error is not None and not any(each.running for each in self._places.values()):
            self._end("failed", None)
        return follows

    def _follow(self, place: _Place, message: Message, outcome: Message) -> Message:
        at = (message["branch"], message["state"], message["visit"], message["attempt"])
        match outcome:
            case {"failed": error, "retries": retries}:
                self.steps.append(Taken(*at, "failed", error=error))
                place.failures += 1
                return self._again(place) if place.failures <= retries else self._fail(error)
            case {"retry_after_s": _}:
                self.steps.append(Taken(*at, "retry"))
                return self._again(place)
            case {"complete": result}:
                self.steps.append(Taken(*at, "complete"))
                self._end("completed", result)
                return {}
            case {"parallel": begun, "join": join}:
                self.steps.append(Taken(*at, "parallel", tuple(each["state"] for each in begun)))
                self._places |= {each["branch"]: _Place(each["branch"], join) for each in begun}
                begins = [self._begin(self._places[each["branch"]], each["state"], 1) for each in begun]
                return {"steps": [step for each in begins for step in each.get("steps", ())]}
        state = outcome["next"]
        self.steps.append(Taken(*at, "next", (state,)))
        if state != place.join:
            return self._begin(place, state, outcome["visit"])
        place.at_join = True
        branches = [each for each in self._places.values() if each.branch]
        return {"join": state} if all(each.at_join for each in branches) else {}

    def _again(self, place: _Place) -> Message:
        return self._begin(place, place.state, place.visit)

    def _joined(self, message: Message) -> Message:
        main, join = self._places[""], next(each.join for each in self._places.values() if each.branch)
        assert join is not None  # noqa: S101 - a branch has one
        if "failed" in message:
            return self._fail(message["failed"])
        if "conflict" in message:
            one, other = message["conflict"]["branches"]
            text = f"the branches {one} and {other} wrote different values under {message['conflict']['key']!r}"
            return self._fail({"type": "MergeConflict", "message": text, "traceback": ""})
        self._places = {"": main}
        return self._begin(main, join, message["visit"])

    def _fail(self, error: Mapping[str, str]) -> Message:
        """Begin nothing more; what is running may end, for a moment."""
        if self.error is None:
            self.error = error
            self.engine.yielding.ask()
            self._loop.call_later(YIELD_WITHIN_S, self._end, "failed", None)
        if not any(each.running for each in self._places.values()):
            self._end("failed", None)
        return {}

    def _end(self, status: Literal["completed", "failed"], result: Any) -> None:
        if not self.ended.done():
            self.ended.set_result((status, result))
