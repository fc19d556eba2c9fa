"""The client for asyncio: the methods of `torpor.client.Client`, to be awaited."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from torpor import calls, pieces, talk
from torpor import home as homes
from torpor.agent_methods import WAIT_GRACE_S, AsyncAgentMethods
from torpor.aio_link import AsyncLink
from torpor.client import who_asks
from torpor.deadline import Deadline
from torpor.errors import Down, Refused

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from torpor import replies, run_replies

    Steps = Callable[[talk.Talk], Generator[talk.Step, Any, Any]]

R = TypeVar("R")


class AsyncClient(AsyncAgentMethods):
    """An asyncio client of the daemon of one home. Makes its connection at the first call and keeps it.

    Deadlines, errors, and what starts the daemon: all as for `torpor.Client`. Tasks of one event loop may share one:
    calls wait for each other; `wait`, `wait_run`, `wait_agent`, `subscribe`, `run_export` and `run_import` use
    connections of their own. A call that is cancelled may have been applied.
    """

    def __init__(
        self, home: str | os.PathLike[str] | None = None, *, timeout: float | None = 30.0, name: str | None = None
    ) -> None:
        """Take `home`, else TORPOR_HOME, else the platform's. `name`: say hello under it on each connection."""
        directory = homes.home_dir(home)
        self._place = talk.Place(directory, homes.socket_path(directory))
        self._timeout = timeout
        self._name = name
        self._lock = asyncio.Lock()
        self._link = AsyncLink(self._place)
        self._talk = talk.Talk(self._place, name=name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; holds that are bound to it end. A later call opens another."""
        async with self._lock:  # not under a call that waits on it
            self._link.close()

    @property
    def home(self) -> str:
        """The directory of the daemon that is talked to."""
        return self._place.home

    async def hello(self) -> replies.Hello:
        """Ask who is there, on a connection of its own."""
        reply: replies.Hello = await self._aside(lambda t: t.ask(calls.hello(self._name or who_asks())), self._timeout)
        return reply

    async def event(self, event: str, *, key: str | None = None, by: str | None = None) -> replies.Event:
        """Send one of `torpor.wire.EVENTS`. With `key` it is applied once, however often it is sent."""
        return await self._ask(calls.event(event, key, by))

    async def status(self) -> replies.Status:
        """Return the daemon's figures."""
        return await self._ask(calls.status())

    async def why(self) -> replies.Why:
        """Return why the daemon is in its state, and what comes next."""
        return await self._ask(calls.why())

    async def doctor(self) -> replies.Examined:
        """Return what only the daemon knows of how well it is. Nothing is checked for it."""
        return await self._ask(calls.doctor())

    async def log(
        self, *, after: int | None = None, limit: int | None = None, kinds: Iterable[str] | None = None
    ) -> replies.LogPage:
        """Return a page of the ledger after position `after`, else from the oldest record on; newer ones follow `next`.

        A page without records is no end: that is where `next` is the `after` that was asked with.
        Refused `not_found` where records right after `after` are no longer kept; `data["oldest"]` says which are.
        """
        return await self._ask(calls.log(after, limit, kinds))

    async def subscribe(
        self, *, after: int | None = None, kinds: Iterable[str] | None = None
    ) -> AsyncIterator[replies.Record]:
        """Yield the ledger's records after position `after`, else from now on, as they are made; does not end.

        Without a gap or a repeat also through restarts, as `torpor.Client.subscribe`. Whoever leaves the loop early
        closes it with `contextlib.aclosing`.
        """
        link, fresh = AsyncLink(self._place), talk.Talk(self._place, name=self._name)
        steps, deadline = fresh.follow(after, kinds), Deadline(self._timeout)
        with contextlib.closing(link), contextlib.closing(steps):
            while True:
                yield (await link.run(fresh, steps, deadline)).record

    async def wait(self, state: str, *, timeout_s: float | None = None) -> replies.Waited:
        """Return as soon as `state` holds; Timeout after `timeout_s` seconds, without it there is no limit.

        A daemon that goes down in that state, or is down in it, counts; one that is down in another is Down.
        """
        limit_s = None if timeout_s is None else timeout_s + WAIT_GRACE_S
        reply: replies.Waited = await self._aside(lambda fresh: fresh.wait(state, timeout_s), limit_s)
        return reply

    @contextlib.asynccontextmanager
    async def hold(
        self, why: str, *, who: str | None = None, ttl_s: float | None = None, pid: int | None = None
    ) -> AsyncIterator[replies.Acquired]:
        """Keep the daemon awake inside the block. Where it is restarted meanwhile, a hold of the connection ends."""
        acquired = await self.hold_acquire(why, who=who, ttl_s=ttl_s, pid=pid)
        epoch = self._link.epoch
        try:
            yield acquired
        finally:
            if ttl_s is not None or pid is not None or epoch == self._link.epoch:
                await self._let_go(acquired["hold_id"])

    async def hold_acquire(
        self, why: str, *, who: str | None = None, ttl_s: float | None = None, pid: int | None = None
    ) -> replies.Acquired:
        """Keep the daemon awake: `ttl_s` seconds, as long as process `pid` lives, else as long as this connection.

        Where such a hold of the connection gets no answer or is cancelled, the connection is closed and whatever is
        bound to it ends: else the daemon might keep a hold whose name nobody knows.
        """
        return await self._ask(calls.hold_acquire(who or self._name or who_asks(), why, ttl_s, pid))

    async def hold_release(self, hold_id: str) -> replies.Released:
        """Let go of a hold."""
        return await self._ask(calls.hold_release(hold_id))

    async def hold_list(self, *, cursor: str | None = None) -> replies.Holds:
        """Return who keeps the daemon awake: a page of some hundred, then the one after its `cursor`."""
        return await self._ask(calls.hold_list(cursor))

    async def hibernate(self, *, now: bool = False) -> replies.Hibernating:
        """Ask the daemon to go down as soon as nothing is busy; `now` interrupts its sleep cycle."""
        return await self._ask(calls.hibernate(now=now))

    async def stop(self) -> replies.Stopping:
        """Ask the daemon to end, and to stay down until `torpor start`."""
        return await self._ask(calls.stop())

    async def reload(self) -> replies.Reloaded:
        """Ask the daemon to read its settings again; Refused where they are bad, and then nothing has changed."""
        return await self._ask(calls.reload())

    async def way_proven(self, way: str, took_s: float | None = None) -> replies.WayProven:
        """Record that the way by which this daemon was started works, one of `torpor.wire.WAYS`, and how long it took.

        Refused `conflict` where its `start_cause` is another.
        """
        return await self._ask(calls.way_proven(way, took_s))

    async def run_start(
        self,
        flow: str,
        data: Mapping[str, Any] | None = None,
        *,
        state: str | None = None,
        purpose: str | None = None,
        session_id: str | None = None,
        max_steps: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> run_replies.RunIs:
        """Begin a run of `flow` with `data`, at its initial state or at `state`.

        `purpose`, `session_id` and `metadata` are the caller's own. With `key` it is begun once, however often asked.
        """
        call = calls.run_start(
            flow,
            data,
            state=state,
            purpose=purpose,
            session_id=session_id,
            max_steps=max_steps,
            metadata=metadata,
            key=key,
        )
        return await self._ask(call)

    async def run_list(
        self,
        *,
        status: str | None = None,
        flow: str | None = None,
        session_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> run_replies.Runs:
        """Return runs, the newest first: a page, then the one after its `cursor`."""
        return await self._ask(calls.run_list(status, flow, session_id, cursor, limit))

    async def run_get(self, run_id: str, cursor: str | None = None) -> run_replies.RunPage:
        """Return a run with a page of its history, the oldest first, then the page after its `cursor`."""
        return await self._ask(calls.run_get(run_id, cursor))

    async def run_pause(self, run_id: str) -> run_replies.RunIs:
        """Stop a run after the step it is in."""
        return await self._ask(calls.run_pause(run_id))

    async def run_resume(self, run_id: str, *, flow: str | None = None, state: str | None = None) -> run_replies.RunIs:
        """Let a paused run go on; name `flow` or `state` where it does not know its own."""
        return await self._ask(calls.run_resume(run_id, flow, state))

    async def run_cancel(self, run_id: str) -> run_replies.RunIs:
        """End a run now, in the middle of its step."""
        return await self._ask(calls.run_cancel(run_id))

    async def run_retry(self, run_id: str) -> run_replies.RunIs:
        """Let a failed run go on from the state that failed; what had finished is not done again."""
        return await self._ask(calls.run_retry(run_id))

    async def run_remove(self, run_id: str) -> run_replies.RunIs:
        """Forget a run and its history."""
        return await self._ask(calls.run_remove(run_id))

    async def run_export(self, run_id: str) -> dict[str, Any]:
        """Return all that is known of a run as one JSON document. On a connection of its own."""
        document: dict[str, Any] = await self._aside(lambda fresh: pieces.exported(fresh, run_id), self._timeout)
        return document

    async def run_import(self, document: Mapping[str, Any]) -> run_replies.RunTaken:
        """Make a run of a document that `run_export` returned, or of an older one. On a connection of its own.

        Raises the built-in TypeError or ValueError where the document is not JSON.
        """
        key = calls.new_key()
        taken: run_replies.RunTaken = await self._aside(
            lambda fresh: pieces.imported(fresh, document, key), self._timeout
        )
        return taken

    async def wait_run(
        self, run_id: str, status: str | None = None, *, timeout_s: float | None = None
    ) -> run_replies.WaitedRun:
        """Return as soon as a run is in `status`, or without one as soon as it has ended; Timeout after `timeout_s`.

        Refused `conflict` where it ended in another way. A daemon that is down or goes down meanwhile is Down.
        """
        limit_s = None if timeout_s is None else timeout_s + WAIT_GRACE_S
        call = calls.wait_run(run_id, status, timeout_s)
        reply: run_replies.WaitedRun = await self._aside(lambda fresh: fresh.ask(call), limit_s)
        return reply

    async def _let_go(self, hold_id: str) -> None:
        try:
            await self.hold_release(hold_id)
        except Down:
            return  # it went down after the hold had ended, or was stopped in spite of it
        except Refused as refusal:
            if refusal.name != "not_found":  # its time had run out, or its process is gone: it ended by itself
                raise

    async def _ask(self, call: calls.Call[R]) -> R:
        deadline = Deadline(self._timeout)
        async with self._lock:
            try:
                answer: R = await self._link.run(self._talk, self._talk.ask(call), deadline)
            except Refused:
                raise
            except BaseException:  # a cancellation, too
                if call.binds:
                    self._link.close()
                raise
        return answer

    async def _aside(self, steps_of: Steps, timeout_s: float | None) -> Any:
        """Ask on a connection of its own, so that nobody else waits for the answer."""
        fresh = talk.Talk(self._place)
        with contextlib.closing(AsyncLink(self._place)) as link:
            return await link.run(fresh, steps_of(fresh), Deadline(timeout_s))
