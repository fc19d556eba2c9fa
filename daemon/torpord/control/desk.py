"""What the methods work with: the daemon, as the control socket knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from torpord.control.imports import Imports
from torpord.control.ledger import Tail
from torpord.control.watch import Watch
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.records import AgentRecord
from torpord.core.runs import ENDED, RunStatus
from torpord.core.value import value
from torpord.core.world import World
from torpord.store.store import Store
from torpord.store.thread import Runner
from torpord.writer import Writer

# Several things may happen to an agent in one commit, and a status that it had only within it counts, too.
_PASSED = {"agent_offline": "offline", "agent_exhausted": "exhausted"}


@value
class Identity:
    """What does not change while this process lives."""

    version: str
    pid: int
    home: str
    uid: int


@dataclass(slots=True)
class Watcher:
    """Somebody who waits for a state; `seen` is set, with the line's number, when it was reached."""

    state: State
    seen: anyio.Event = field(default_factory=anyio.Event)
    seq: int = 0


@dataclass(slots=True)
class RunWatcher:
    """Somebody who waits for a run to be in one of some statuses; `status` is the one it came to.

    `seen` without a status: look again.
    """

    run_id: str
    wanted: frozenset[RunStatus]
    seen: anyio.Event = field(default_factory=anyio.Event)
    status: RunStatus | None = None
    seq: int = 0


@dataclass(slots=True)
class AgentWatcher:
    """Somebody who waits for an agent to be in a status; `seen` is set, too, when the agent is `forgotten`."""

    agent_id: str
    wanted: str
    seen: anyio.Event = field(default_factory=anyio.Event)
    reached: bool = False
    forgotten: bool = False
    seq: int = 0


class Workers(Protocol):
    """What the workers tell of runs that is not durable."""

    def progress(self, run_id: str) -> Mapping[str, Any]:
        """Return how far a run's steps are, by branch."""
        ...

    def pid(self, run_id: str) -> int | None:
        """Return the process that carries a run out, while there is one."""
        ...


class Trial(Protocol):
    """The first seconds of a start, until it is known to live."""

    def about_to(self, suspect: str) -> None:
        """Note a risky thing before it is done."""
        ...

    def lived(self) -> None:
        """Hear that somebody got an answer."""
        ...


class Desk:
    """The daemon from a method's point of view."""

    def __init__(
        self,
        identity: Identity,
        writer: Writer,
        store: Store,
        runner: Runner,
        tail: Tail,
        now: Callable[[], Now],
        read_settings: Callable[[], tuple[Policy, tuple[str, ...]]],
        usage: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.identity = identity
        self.writer = writer
        self.store = store
        self.runner = runner
        self.tail = tail
        self.now = now
        self.read_settings = read_settings
        self.usage = usage
        self.watch = Watch()
        self.watchers: list[Watcher] = []
        self.run_watchers: list[RunWatcher] = []
        self.agent_watchers: dict[str, list[AgentWatcher]] = {}  # by agent: many of them may time out at once
        self.workers: Workers | None = None
        self.imports = Imports()
        self.trial: Trial | None = None
        self.stuck: Callable[[], Mapping[str, str]] = dict  # what left files are in the way, and why
        self.look_at_settings: Callable[[], Mapping[str, Any]] = dict
        self.draining = ""  # why the daemon is on its way out, once it cannot turn back
        self.drained = anyio.Event()  # set with it: whoever still waits is told

    @property
    def world(self) -> World:
        """The world as the store holds it."""
        return self.writer.world

    def reached(self, state: State, seq: int) -> None:
        """Tell those who wait for this state."""
        for watcher in self.watchers:
            if watcher.state is state:
                watcher.seq = seq
                watcher.seen.set()

    def run_changed(self, run_id: str, status: RunStatus | None, seq: int) -> None:
        """Tell those who wait for a run to come to this status, or to an end that is not what they wait for."""
        for watcher in self.run_watchers:
            if watcher.run_id == run_id and status is not None and (status in watcher.wanted or status in ENDED):
                watcher.status, watcher.seq = status, seq
                watcher.seen.set()

    def runs_reread(self) -> None:
        """Have those who wait for a run look again: the store was read anew, and may have what nobody was told of."""
        for watcher in self.run_watchers:
            watcher.seen.set()

    def agent_changed(self, record: AgentRecord, seq: int) -> None:
        """Tell those who wait for an agent what it is now, and what this record made of it for a moment."""
        agent = self.world.agents.by_id.get(record.agent_id)
        passed = _PASSED.get(record.kind)
        if record.kind == "agent_doing" and agent is not None and agent.online:
            passed = getattr(record, "doing", None)
        for watcher in self.agent_watchers.get(record.agent_id, ()):
            if watcher.seen.is_set():
                continue
            # Another one may have got its name since, in the same commit: that is not who was waited for.
            watcher.forgotten = agent is None or record.kind == "agent_forgotten"
            watcher.reached = agent is not None and watcher.wanted in (passed, agent.status)
            if watcher.forgotten or watcher.reached:
                watcher.seq = seq
                watcher.seen.set()

    def drain(self, reason: str) -> None:
        """Refuse everything from now on."""
        self.draining = reason
        self.drained.set()

    def goes_down(self) -> Refusal:
        """Say so, to whoever asks from now on."""
        return Refusal("draining", f"the daemon goes down ({self.draining}): ask again, its successor will answer")
