"""The writer: the one task that changes anything. Take what has arrived, decide, commit once, only then tell.

While a commit is under way the next batch gathers undecided, so one transaction serves everybody who asked meanwhile.
`world` is what the store holds, but for heartbeats of the last seconds (`writer/deferred.py`): it is replaced after the
commit, and whoever reads it sees nothing else that may still be lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf

import anyio.lowlevel
import structlog

from torpord.core.deadlines import Clock, Deadline, deadlines
from torpord.core.descent import outstanding
from torpord.core.draft import Refusal
from torpord.core.effects import ONCE, Effect
from torpord.core.events import Event, StallSeen, SuspendSeen
from torpord.core.moment import Now
from torpord.core.world import World
from torpord.points import reached
from torpord.store.store import Batch, Store, StoreError, StoreUnreadableError
from torpord.store.thread import Runner
from torpord.writer.asked import Clocks, Shell
from torpord.writer.changes import DRAINING, UNAVAILABLE, Change, Outcome, Ticket
from torpord.writer.deferred import Deferred
from torpord.writer.hearing import Hearing, halfway
from torpord.writer.retry import Retry
from torpord.writer.turn import Found, Turn

log = structlog.get_logger("torpord.writer")

# So that no flood delays the others for longer than a few tens of milliseconds: what is over waits a turn.
MOST_CHANGES_A_TURN = 4096
# Deadlines that follow from each other in one turn (WAKE to SLEEP takes two); a bound against a mistake of ours.
MOST_DEADLINES_A_TURN = 64
# A batch or a search up to this size takes the store little longer than the smallest.
MOST_BRIEF_ENTRIES = 32
# Less is the time between two readings of two clocks, and no suspend.
LEAST_SUSPEND_S = 1.0


class Writer:
    """Owns the world and the store. `run` is its task; everything else may be called from any other task."""

    def __init__(self, store: Store, runner: Runner, clock: Clocks, shell: Shell, world: World) -> None:
        self.world = world
        self._stored = world
        self._deferred = Deferred()
        self._hearing = Hearing()
        self._store = store
        self._runner = runner
        self._clock = clock
        self._shell = shell
        self._inbox: deque[Ticket] = deque()
        self._owed: list[Change] = []
        self._bell: asyncio.Future[None] | None = None
        self._closed = False
        # An error left it open whether the store has these: look before anything else.
        self._unsure: tuple[Batch, Sequence[Effect]] | None = None
        self._retry = Retry()
        self._armed_wall_s: float | None = None
        self._looked_at: World | None = None
        self._seen_ahead: tuple[Deadline, ...] = ()
        self.working = False  # a turn is under way: what it will say is not yet known

    @property
    def wants_store(self) -> bool:
        """Whether something has arrived that the store will be needed for."""
        return bool(self._inbox) or self.working

    def submit(self, changes: Sequence[Change], then: Callable[[Ticket], None] | None = None) -> Ticket:
        """Put changes in line. Their outcomes are in the ticket when its `done` is set: then they are durable.

        A heartbeat that changed nothing but its time is so some seconds later.
        """
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
            if self._hearing.look(now.awake_s) or (delay_s is not None and delay_s <= 0):
                # What is due may come in slices, none of which waits for the store: others have their turn in between.
                await anyio.lowlevel.checkpoint()
                break
            if self.world.agents.presence.first is None:
                self._hearing.idles()
            else:
                until_s = inf if delay_s is None else now.awake_s + delay_s
                self._hearing.waits(until_s, self.world.policy.heartbeat_timeout_s)
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
        if self._retry.at_s is not None:
            return self._retry.at_s - now.awake_s
        left = [d.at_s - (now.awake_s if d.clock is Clock.AWAKE else now.wall_s) for d in ahead]
        # One of the wall clock that lies ahead is the alarm's to ring; one that has passed is due here and now.
        ours = [s for d, s in zip(ahead, left, strict=True) if d.clock is Clock.AWAKE or s <= 0]
        if self._deferred.due_awake_s is not None:
            ours.append(self._deferred.due_awake_s - now.awake_s)
        for deadline, left_s in zip(ahead, left, strict=True):
            half_s = halfway(left_s, self.world.policy.heartbeat_timeout_s) if deadline.name == "presence_due" else None
            if half_s is not None:
                ours.append(half_s)
        return min(ours, default=None)

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

    async def _decided(
        self, changes: Sequence[Change], *, alone: bool = False
    ) -> tuple[list[Outcome], Sequence[Effect]]:
        """Decide and commit a batch. A store that fails leaves the world as it was, and everybody is told.

        `alone`: with nothing that is due, which may be what a mistake is in.
        """
        try:
            if self._unsure is not None:
                self._shell.perform(await self._reread(*self._unsure))
        except StoreError as error:
            return self._failed(changes, error), ()
        try:
            found = await self._found(changes)
        except StoreError as error:
            return self._failed(changes, error), ()
        except Exception as error:  # noqa: BLE001 - it is logged, and told
            return await self._mistaken("search", changes, error, alone=alone)
        turn = Turn(self.world, self._clock.now(), found)
        self._hearing.look(turn.now.awake_s)
        self._hearing.works(turn.now.awake_s, turn.world.policy.heartbeat_timeout_s)
        # After a failure what is due waits for the next try: each beat would be refused with it.
        trying = not alone and self._retry.is_due(turn.now.awake_s)
        if trying:
            self._see_suspend(turn)
            self._see_stall(turn)
        outcomes = [turn.take(change) for change in changes]
        if trying:
            self._pass_deadlines(turn)
        if not (trying and self._deferred.is_due(turn.now.awake_s)) and self._deferred.takes(turn):
            self._defer(turn)
            if trying:
                self._retry.unneeded()
                self._hearing.heard_out()
            return outcomes, turn.effects
        reached("writer.decided")
        try:
            await self._commit(turn)
        except StoreError as error:
            return self._failed(changes, error), ()
        except Exception as error:  # noqa: BLE001 - likewise
            # The transaction was rolled back as a whole. Were the mistake in what was deferred, it would cost every
            # other batch as well; were it in a deadline, that would be tried again without a pause.
            self._deferred.clear()
            self._hearing.heard_out()
            self._retry.put_off(self._clock.now().awake_s)
            return await self._mistaken("commit", changes, error, alone=alone)
        self._retry.succeeded()
        self._deferred.clear()
        self._hearing.heard_out()
        self._stored = turn.world
        self._accept(turn)
        return outcomes, turn.effects

    def _accept(self, turn: Turn) -> None:
        before, self.world = self.world, turn.world
        if turn.entries:
            self._shell.committed(turn.entries, turn.lines, before, turn.world)

    def _defer(self, turn: Turn) -> None:
        """Let what was decided be true now, and stored within some seconds; mostly there is nothing."""
        if turn.entries:
            self._deferred.add(turn.entries, turn.now.awake_s)
            self._accept(turn)

    async def _commit(self, turn: Turn) -> None:
        """Store a turn, and with it all that was deferred."""
        entries = [*self._deferred.entries, *turn.entries] if len(self._deferred) else turn.entries
        batch = Batch(self._store.number + 1, self._stored, turn.world, turn.lines, turn.replies, entries)
        rows = len(self._deferred) + len(turn.lines) + len(turn.replies)  # what is not ledgered writes none of its own
        try:
            await self._runner.run(lambda: self._store.commit(batch), brief=rows <= MOST_BRIEF_ENTRIES)
        except Exception as error:
            # What reports an error may yet be durable, a mistake of ours behind the COMMIT no less than one of the
            # disk's. If even that cannot be seen, all is open until it can.
            self._unsure = batch, turn.effects
            durable = await self._runner.run(lambda: self._store.durable(batch))
            self._unsure = None
            if not durable:
                raise
            log.warning("commit_reported", error=repr(error), yet="it is durable, and counts")

    async def _reread(self, unsure: Batch, effects: Sequence[Effect]) -> list[Effect]:
        """Read the world anew, and evolve again what is deferred, unless that is stored now.

        `effects`: what was to follow from the batch, had it been durable. Returns what is to be done now.
        """
        known, now_s = self.world.agents.seen, self._clock.now().awake_s

        def heard_awake_s(agent_id: str) -> float:
            seen = known.get(agent_id)
            return now_s if seen is None else seen.awake_s

        def job() -> tuple[World, bool]:
            try:
                self._store.reopen()
                return self._store.load(heard_awake_s), self._store.durable(unsure)
            except StoreUnreadableError as error:
                raise StoreError(str(error)) from error

        stored, durable = await self._runner.run(job)
        self._unsure = None
        if durable:
            self._deferred.clear()
        before, self._stored, self.world = self.world, stored, self._deferred.over(stored)
        log.warning("store_reread", seq=self.world.ledger_seq)
        self._shell.reread(before, self.world)
        once = [each for each in effects if durable and isinstance(each, ONCE)]
        return [*once, *outstanding(self.world)]

    async def _found(self, changes: Iterable[Change]) -> Found:
        keys = [change.key for change in changes if change.key is not None]
        ids = {change.run_id for change in changes if change.run_id}
        if not keys and not ids:
            return Found()
        brief = len(keys) + len(ids) <= MOST_BRIEF_ENTRIES
        return await self._runner.run(
            lambda: Found(self._store.kept_replies(keys), self._store.found_runs(ids)), brief=brief
        )

    def _failed(self, changes: Sequence[Change], error: StoreError) -> list[Outcome]:
        self._retry.failed(self._clock.now().awake_s, error, len(changes))
        return [UNAVAILABLE] * len(changes)

    async def _mistaken(
        self, on: str, changes: Sequence[Change], error: Exception, *, alone: bool
    ) -> tuple[list[Outcome], Sequence[Effect]]:
        """Let a mistake of ours cost this batch, and not the daemon.

        What was owed in it has happened, and the mistake may be another's: each is tried once more, by itself. Behind
        one that the store did not take the others wait with it, in their order.
        """
        log.error("internal_error", on=on, refused=len(changes), deferred=len(self._deferred), exc_info=error)
        message = f"a mistake of the daemon's: {error!r}; nothing was changed, and the daemon's log has more"
        outcomes: list[Outcome] = [Refusal("internal_error", message[:1000])] * len(changes)
        effects: list[Effect] = []
        for number, change in enumerate(changes):
            if change.owed and UNAVAILABLE in outcomes[:number]:
                outcomes[number] = UNAVAILABLE
            elif change.owed and not alone:
                (outcomes[number],), others = await self._decided([change], alone=True)
                effects += others
        return outcomes, effects

    def _see_suspend(self, turn: Turn) -> None:
        asleep_s = turn.now.suspended_s - turn.world.process.suspended_s
        if turn.world.process.generation and asleep_s >= LEAST_SUSPEND_S:
            turn.decide(SuspendSeen({"source": "clock"}, round(asleep_s, 3), turn.now.suspended_s))

    def _see_stall(self, turn: Turn) -> None:
        """Give everybody their time anew where they could not be heard, before anybody is taken for gone."""
        stalled_s = self._hearing.stalled_s
        if stalled_s and turn.world.process.generation and turn.world.agents.presence.first is not None:
            turn.decide(StallSeen({"source": "clock"}, round(stalled_s, 3)))

    def _pass_deadlines(self, turn: Turn) -> None:
        """Let everything that is due happen, one deadline after the other; what arrived went first.

        Of one that is sliced a slice happens, and then others have their turn.
        """
        for _ in range(MOST_DEADLINES_A_TURN):
            due = [deadline for deadline in self._ahead(turn.world) if deadline.is_due(turn.now)]
            if not due:
                return
            first = next((deadline for deadline in due if not deadline.sliced), due[0])
            turn.decide(self._shell.facts(first.name, turn.now))
            if first.sliced:
                return
        log.error("deadlines_do_not_end", last=first.name, state=turn.world.lifecycle.state)
