"""The writer: the one task that changes anything. Take what has arrived, decide, commit once, only then tell.

While a commit is under way the next batch gathers undecided, so one transaction serves everybody who asked meanwhile.
`world` is always what the store holds: it is replaced after the commit, and whoever reads it sees nothing that may
still be lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import anyio.lowlevel
import orjson
import structlog

from torpord.core.deadlines import Clock, Deadline, deadlines
from torpord.core.decide import decide
from torpord.core.descent import outstanding
from torpord.core.draft import Decision, Refusal
from torpord.core.effects import Effect
from torpord.core.events import DeadlinePassed, Event, SuspendSeen
from torpord.core.moment import Now
from torpord.core.records import Entry
from torpord.core.run_events import StoredRunEvent
from torpord.core.run_records import RunRecord, RunRemoved
from torpord.core.runs import Run, RunStatus
from torpord.core.world import World
from torpord.points import reached
from torpord.store.codec import dump
from torpord.store.store import Batch, KeptReply, Line, Store, StoreError, StoreUnreadableError, line
from torpord.store.thread import Runner

log = structlog.get_logger("torpord.writer")

# So that no flood delays the others for longer than a few tens of milliseconds: what is over waits a turn.
MOST_CHANGES_A_TURN = 4096
# Deadlines that follow from each other in one turn (WAKE to SLEEP takes two); a bound against a mistake of ours.
MOST_DEADLINES_A_TURN = 64
# A batch or a search up to this size takes the store little longer than the smallest.
MOST_BRIEF_ENTRIES = 32
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
# Less is the time between two readings of two clocks, and no suspend.
LEAST_SUSPEND_S = 1.0

Outcome = Mapping[str, Any] | Refusal

UNAVAILABLE = Refusal(
    "storage_unavailable",
    "the daemon cannot store anything now (is the disk full?): nothing was changed; ask again with the same key",
)
DRAINING = Refusal("draining", "the daemon is on its way out: ask again, its successor will answer")


class Clocks(Protocol):
    """Gives the time."""

    def now(self) -> Now:
        """Read the clocks."""
        ...


class Shell(Protocol):
    """What the writer needs of the world outside, and tells it."""

    def facts(self, deadline: str, now: Now) -> DeadlinePassed:
        """Build the event of a due deadline, with the facts it needs read just now."""
        ...

    def committed(self, entries: Sequence[Entry], lines: Sequence[Line], before: World, after: World) -> None:
        """Hear what became true and durable; `lines` are those of the entries that are ledgered."""
        ...

    def reread(self, before: World, after: World) -> None:
        """Hear that the store was read anew: whatever was decided last may have become true, or not."""
        ...

    def perform(self, effects: Sequence[Effect]) -> None:
        """Begin to carry out what was decided. Must not block."""
        ...

    def rearmed(self, wall_s: float | None) -> None:
        """Hear when the next deadline of the wall clock is (None: there is none)."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that may change the world. With a `key`, `request` is its method and params as canonical JSON.

    `event` may be a function that makes it: it is called when the key was not found, as it may look at the machine.
    `owed`: it has happened whether or not the disk is full (a closed connection): it is tried until it is stored.
    `run_id`: the run it is about, which may have ended and be in the store only; its event gets what is found there.
    """

    event: Event | Callable[[], Event | Refusal]
    key: str | None = None
    request: str = ""
    owed: bool = False
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """What the store was asked before a batch is decided."""

    replies: Mapping[str, KeptReply] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)


@dataclass(slots=True)
class Ticket:
    """Some changes of one client, in order, and their outcomes once `done` is set.

    `then` is called with it in that instant: for whom waking a task to hear of it would be half the way.
    """

    changes: Sequence[Change]
    then: Callable[[Ticket], None] | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self, outcomes: list[Outcome]) -> None:
        """Give the outcomes to whoever waits for them."""
        self.outcomes = outcomes
        self.done.set()
        if self.then is not None:
            self.then(self)


class _Turn:
    """One batch in the making."""

    def __init__(self, world: World, now: Now, found: _Found) -> None:
        self.world = world
        self.now = now
        self.entries: list[Entry] = []
        self.lines: list[Line] = []
        self.effects: list[Effect] = []
        self.replies: list[KeptReply] = []
        self._kept = dict(found.replies)
        self._runs = dict(found.runs)

    def decide(self, event: Event) -> Decision:
        decision = decide(self.world, event, self.now)
        self._keep_in_step(decision)
        # Before anything is taken over: what cannot be written as JSON is refused as a whole.
        self.lines += [each for each in map(line, decision.entries) if each is not None]
        self.world = decision.world
        self.entries += decision.entries
        self.effects += decision.effects
        return decision

    def _keep_in_step(self, decision: Decision) -> None:
        """Let what the store was asked before the batch not outlive what the batch itself does to it."""
        for entry in decision.entries:
            record = entry.record
            if isinstance(record, RunRemoved):
                self._runs.pop(record.run_id, None)
            elif isinstance(record, RunRecord) and record.run_id not in decision.world.runs.live:
                # It has just ended: what it is now, only the next batch can ask.
                last = self.world.runs.live.get(record.run_id)
                if last is not None:
                    self._runs[record.run_id] = replace(last, status=RunStatus.RUNNING)

    def take(self, change: Change) -> Outcome:
        if change.key is not None and change.key in self._kept:
            return _replay(self._kept[change.key], change)
        try:
            event = change.event if isinstance(change.event, Event) else change.event()
            if isinstance(event, StoredRunEvent):
                event = replace(event, stored=self._runs.get(event.run_id))
            reply = event if isinstance(event, Refusal) else self.decide(event).reply
        except Exception as error:
            # A mistake of ours costs one request, not the daemon: a draft that was not finished changed nothing.
            log.exception("internal_error", on=change.event)
            return Refusal("internal_error", f"a mistake of the daemon's: {error!r}; the daemon's log has more")
        if reply is None:
            return {}
        if change.key is not None and not isinstance(reply, Refusal):
            kept = KeptReply(change.key, self.now.wall_s, change.request, dump(reply))
            self._kept[change.key] = kept
            self.replies.append(kept)
        return reply


def _replay(kept: KeptReply, change: Change) -> Outcome:
    if kept.request != change.request:
        message = "this key came before with another method or other params: choose a new key for a new request"
        return Refusal("conflict", message, {"field": "key"})
    return {**orjson.loads(kept.result), "replayed": True}


class Writer:
    """Owns the world and the store. `run` is its task; everything else may be called from any other task."""

    def __init__(self, store: Store, runner: Runner, clock: Clocks, shell: Shell, world: World) -> None:
        self.world = world
        self._store = store
        self._runner = runner
        self._clock = clock
        self._shell = shell
        self._inbox: deque[Ticket] = deque()
        self._owed: list[Change] = []
        self._bell: asyncio.Future[None] | None = None
        self._closed = False
        self._unsure = False  # an error left it open what the store holds: read it before anything else
        self._retry_s = 0.0
        self._retry_at_s: float | None = None  # by the awake clock
        self._armed_wall_s: float | None = None
        self._looked_at: World | None = None
        self._seen_ahead: tuple[Deadline, ...] = ()
        self.working = False  # a turn is under way: what it will say is not yet known

    @property
    def wants_store(self) -> bool:
        """Whether something has arrived that the store will be needed for."""
        return bool(self._inbox) or self.working

    def submit(self, changes: Sequence[Change], then: Callable[[Ticket], None] | None = None) -> Ticket:
        """Put changes in line. Their outcomes are in the ticket when its `done` is set: then they are durable."""
        ticket = Ticket(changes, then)
        if self._closed:
            ticket.settle([DRAINING] * len(changes))
        else:
            self._inbox.append(ticket)
            self._ring()
        return ticket

    async def apply(self, event: Event) -> Outcome:
        """Submit one event of the daemon's own and wait for its outcome."""
        ticket = self.submit([Change(event)])
        await ticket.done.wait()
        return ticket.outcomes[0]

    def owe(self, event: Event) -> None:
        """Submit what has happened in any case: it is tried again until the store takes it."""
        self.submit([Change(event, owed=True)])

    def look_again(self) -> None:
        """Compute the deadlines anew: the wall clock rang or was set."""
        self._ring()

    def close(self) -> None:
        """Take nothing more: from this instant on every change is refused with `draining`."""
        self._closed = True

    async def finish(self, event: Event) -> bool:
        """Store the last event of a closed writer. Returns whether it is durable."""
        ticket = Ticket([Change(event)])
        self._inbox.append(ticket)
        self._ring()
        await ticket.done.wait()
        return not isinstance(ticket.outcomes[0], Refusal)

    async def run(self) -> None:
        """Run turns until cancelled."""
        while True:
            await self._turn(await self._taken())

    async def _taken(self) -> list[Ticket]:
        """Wait until something arrived or is due, and take it."""
        if self._inbox:
            # A commit may have passed without a turn of the loop: whoever came meanwhile is heard, and goes with it.
            await anyio.lowlevel.checkpoint()
        while not self._inbox:
            now, ahead = self._clock.now(), self._ahead(self.world)
            self._arm_wall(ahead)
            delay_s = self._delay_s(ahead, now)
            if delay_s is not None and delay_s <= 0:
                break
            await self._rung(delay_s)
        tickets: list[Ticket] = []
        count = 0
        while self._inbox and count < MOST_CHANGES_A_TURN:
            tickets.append(self._inbox.popleft())
            count += len(tickets[-1].changes)
        return tickets

    async def _rung(self, within_s: float | None) -> None:
        """Wait for the bell, at most so long: with a timer of the loop's, as a cancel scope costs a tenth of a turn."""
        loop = asyncio.get_running_loop()
        bell = self._bell = loop.create_future()
        timer = None if within_s is None else loop.call_later(within_s, self._ring)
        try:
            await bell
        finally:
            if timer is not None:
                timer.cancel()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def _ahead(self, world: World) -> tuple[Deadline, ...]:
        """Return a world's deadlines; of the same world, as computed before."""
        if self._looked_at is not world:
            self._looked_at, self._seen_ahead = world, tuple(deadlines(world))
        return self._seen_ahead

    def _delay_s(self, ahead: Sequence[Deadline], now: Now) -> float | None:
        if self._retry_at_s is not None:
            return self._retry_at_s - now.awake_s
        left = [d.at_s - (now.awake_s if d.clock is Clock.AWAKE else now.wall_s) for d in ahead]
        # One of the wall clock that lies ahead is the alarm's to ring; one that has passed is due here and now.
        return min((s for d, s in zip(ahead, left, strict=True) if d.clock is Clock.AWAKE or s <= 0), default=None)

    def _arm_wall(self, ahead: Sequence[Deadline]) -> None:
        at_s = min((d.at_s for d in ahead if d.clock is Clock.WALL), default=None)
        if at_s != self._armed_wall_s:
            self._armed_wall_s = at_s
            self._shell.rearmed(at_s)

    async def _turn(self, tickets: list[Ticket]) -> None:
        self.working = True
        try:
            reached("writer.taken")
            changes = [*self._owed, *(change for ticket in tickets for change in ticket.changes)]
            self._owed = []
            outcomes, effects = await self._decided(changes)
            owed = changes[: len(changes) - sum(len(ticket.changes) for ticket in tickets)]
            at = len(owed)
            for ticket in tickets:
                ticket.settle(outcomes[at : at + len(ticket.changes)])
                at += len(ticket.changes)
            self._owed = [c for c, o in zip(changes, outcomes, strict=True) if c.owed and o is UNAVAILABLE]
            reached("writer.released")
        finally:
            self.working = False
        self._shell.perform(effects)

    async def _decided(self, changes: Sequence[Change]) -> tuple[list[Outcome], Sequence[Effect]]:
        """Decide and commit a batch. A store that fails leaves the world as it was, and everybody is told."""
        try:
            again = await self._reread() if self._unsure else ()
            found = await self._found(changes)
        except StoreError as error:
            return self._failed(changes, error), ()
        turn = _Turn(self.world, self._clock.now(), found)
        self._see_suspend(turn)
        outcomes = [turn.take(change) for change in changes]
        self._pass_deadlines(turn)
        effects = [*again, *turn.effects]
        if not turn.entries and not turn.replies:
            self._retry_at_s = None
            return outcomes, effects
        reached("writer.decided")
        batch = Batch(self._store.number + 1, self.world, turn.world, turn.lines, turn.replies, turn.entries)
        try:
            await self._commit(batch)
        except StoreError as error:
            return self._failed(changes, error), again
        except Exception as error:
            # A mistake of ours costs this batch, and not the daemon: the transaction was rolled back as a whole.
            log.exception("internal_error", on="commit", refused=len(changes))
            message = f"a mistake of the daemon's: {error!r}; nothing was changed, and the daemon's log has more"
            return [Refusal("internal_error", message[:1000])] * len(changes), again
        self._retry_s, self._retry_at_s = 0.0, None
        before, self.world = self.world, turn.world
        self._shell.committed(turn.entries, turn.lines, before, turn.world)
        return outcomes, effects

    async def _commit(self, batch: Batch) -> None:
        try:
            await self._runner.run(lambda: self._store.commit(batch), brief=len(batch.entries) <= MOST_BRIEF_ENTRIES)
        except StoreError:
            # What reports an error may yet be durable. If even that cannot be seen, all is open until it can.
            self._unsure = True
            durable = await self._runner.run(lambda: self._store.durable(batch))
            self._unsure = False
            if not durable:
                raise

    async def _reread(self) -> tuple[Effect, ...]:
        def job() -> World:
            try:
                self._store.reopen()
                return self._store.load()
            except StoreUnreadableError as error:
                raise StoreError(str(error)) from error

        before, self.world = self.world, await self._runner.run(job)
        self._unsure = False
        log.warning("store_reread", seq=self.world.ledger_seq)
        self._shell.reread(before, self.world)
        return outstanding(self.world)

    async def _found(self, changes: Iterable[Change]) -> _Found:
        keys = [change.key for change in changes if change.key is not None]
        ids = {change.run_id for change in changes if change.run_id}
        if not keys and not ids:
            return _Found()
        brief = len(keys) + len(ids) <= MOST_BRIEF_ENTRIES
        return await self._runner.run(
            lambda: _Found(self._store.kept_replies(keys), self._store.found_runs(ids)), brief=brief
        )

    def _failed(self, changes: Sequence[Change], error: StoreError) -> list[Outcome]:
        self._retry_s = min(max(FIRST_RETRY_S, self._retry_s * 2), LAST_RETRY_S)
        self._retry_at_s = self._clock.now().awake_s + self._retry_s
        log.error("commit_failed", error=str(error), refused=len(changes), retry_s=self._retry_s)
        return [UNAVAILABLE] * len(changes)

    def _see_suspend(self, turn: _Turn) -> None:
        asleep_s = turn.now.suspended_s - turn.world.process.suspended_s
        if turn.world.process.generation and asleep_s >= LEAST_SUSPEND_S:
            turn.decide(SuspendSeen({"source": "clock"}, round(asleep_s, 3), turn.now.suspended_s))

    def _pass_deadlines(self, turn: _Turn) -> None:
        """Let everything that is due happen, one deadline after the other; what arrived went first."""
        for _ in range(MOST_DEADLINES_A_TURN):
            due = next((d for d in self._ahead(turn.world) if d.is_due(turn.now)), None)
            if due is None:
                return
            turn.decide(self._shell.facts(due.name, turn.now))
        log.error("deadlines_do_not_end", last=due.name if due else "", state=turn.world.lifecycle.state)
