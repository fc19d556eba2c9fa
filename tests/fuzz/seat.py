"""A daemon's whole inside without a process: what a line or a file means, decided in a world that stands ready.

The world is a value, so every input begins in the same one: nothing that one input did is there for the next.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

import orjson

from core.life import Life
from store.living import a_store, store_of
from torpor import wire
from torpord.control import framing
from torpord.control.calls import Call, Method
from torpord.control.desk import Desk, Identity
from torpord.control.ledger import Tail
from torpord.control.methods import change, check_look, find
from torpord.control.params import RefusedError
from torpord.core.agents import Doing
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.shell.statefile import document
from torpord.store.codec import changed_parts
from torpord.writer import Change
from torpord.writer.turn import Found, Turn

T = TypeVar("T")

CAUSE = {"source": "client", "pid": 4711, "uid": 0, "program": "fuzz"}
MOST_WORDS = 8_000  # of one refusal


class _AtOnce:
    """Runs what is for the store's thread, here and now."""

    async def run(self, call: Callable[[], T]) -> T:
        return call()


class Seat:
    """Takes requests, one input's behind each other, and checks every answer."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        life = lived()
        store = store_of(self._open.enter_context(a_store()), life)
        self._before, self.now = life.world, life.now
        self._writer = SimpleNamespace(world=life.world)
        self.desk = Desk(
            Identity("0.1.0", 4711, str(store.path.parent), 0),
            self._writer,  # type: ignore[arg-type]  # all that methods ask of it is the world
            store,
            _AtOnce(),  # type: ignore[arg-type]  # likewise, a call
            Tail(life.world.ledger_seq),
            lambda: self.now,
            lambda: (life.world.policy, ()),
            lambda: {"rss_bytes": 1, "cpu_s": 1.0},
        )
        self._found = store.found_runs(list(life.stored))
        self.turn = self._fresh()

    def close(self) -> None:
        """Close the store."""
        self._open.close()

    def begin(self) -> None:
        """Go back to the world that stands ready."""
        self.turn = self._fresh()
        self._writer.world = self._before
        self.desk.imports._pieces.clear()

    def _fresh(self) -> Turn:
        return Turn(self._before, self.now, Found({}, self._found))

    def take(self, request: framing.Request) -> str:
        """Take a request as a connection does; returns how it was answered, in a word and more."""
        try:
            row = find(request.method)
            call = Call(self.desk, request.params, CAUSE, 1)
            if row.changes(request.params):
                return self.answered(request.id, self.taken(change(row, call)))
            check_look(row, call)
            return self.answered(request.id, self._looked(row, call))
        except RefusedError as refused:
            return self.answered(request.id, refused.refusal)

    def taken(self, each: Change) -> Mapping[str, Any] | Refusal:
        """Decide a change; what it made of the world must be such that it can be stored, told and gone on from."""
        outcome = self.turn.take(each)
        after = self.turn.world
        if not isinstance(outcome, Refusal):
            changed_parts(self._writer.world, after)  # written as JSON
            tuple(deadlines(after))
            orjson.dumps(document(after, 1))
        self._writer.world = after
        return outcome

    def _looked(self, row: Method, call: Call) -> Any:
        if row.look is not None:
            return row.look(call)
        if row.read is None:
            return {}  # log, wait, subscribe: a connection's own, for which there is the living daemon
        reading: Any = row.read(call)
        try:
            reading.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError(f"{row.name} waits for something")

    def answered(self, request_id: Any, answer: Any) -> str:
        """Check an answer as it goes over the wire."""
        if isinstance(answer, Refusal):
            return refused(request_id, answer)
        line = framing.result(None if request_id is framing.NO_ID else request_id, answer)
        assert len(line) < wire.MAX_PAGE_BYTES, f"{len(line)} bytes"
        assert line.count(b"\n") == 1
        return "taken"


def refused(request_id: Any, refusal: Refusal) -> str:
    """Check a refusal: it has a name of PROTOCOL's, words, and the field that is bad where a parameter is."""
    assert refusal.name in wire.ERROR_CODES, refusal
    assert refusal.name not in ("internal_error", "storage_unavailable"), refusal
    assert 10 < len(refusal.message) < MOST_WORDS, refusal
    if refusal.name == "invalid_params":
        assert "field" in refusal.data, refusal
    line = framing.error(None if request_id is framing.NO_ID else request_id, refusal)
    assert line.count(b"\n") == 1
    return f"{refusal.name}: {refusal.message}"


def lived() -> Life:
    """A life with something of everything, so that ids in requests may be right."""
    life = Life()
    life.start()
    life.hold("hold-1", ttl_s=1e6)
    life.hold("hold-2", connection=1)
    life.register("codex", meta='{"cwd":"/src"}', wake_command="true")
    life.register("claude", parent_id="codex")
    life.register("spent")
    life.register("quiet")
    life.slot(-1.0, "slot-due", "codex")
    life.slot(86_400.0, "slot-later", "codex", payload="[1,2]")
    life.slot(-1.0, "slot-taken", "claude")
    life.take("slot-taken")
    life.exhaust(3600.0, agent_id="spent")
    life.tell("offline", "quiet")
    life.beat("codex", Doing.IDLE)
    life.run("chain", "run-done")
    life.finishes("run-done")
    life.run("chain", "run-live")
    life.load("run-live")
    life.run("fork", "run-paused")
    life.order("pause", "run-paused")
    life.run("one", "run-failed")
    life.load("run-failed")
    life.fails("run-failed")
    life.run("fork", "run-forked")
    life.load("run-forked")
    life.ends("run-forked")
    life.ends("run-forked", life.of("run-forked").places[1].branch)
    return life
