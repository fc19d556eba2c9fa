"""Going down: in this order, so that no client gets silence and no wake is lost (`client/PROTOCOL.md`, "The exit").

Up to the point of no return any work that is found takes a hibernation back. From there on nothing is taken any more:
who comes is told so, or finds nobody, and asks again elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import structlog

from torpord.control.desk import Desk
from torpord.control.server import Server
from torpord.core.events import ClientTrigger, Leaving
from torpord.core.lifecycle import State, Trigger
from torpord.host.listen import Listener
from torpord.points import reached
from torpord.shell.hooks import Hooks
from torpord.shell.spool import Spool
from torpord.shell.workers import Workers

log = structlog.get_logger("torpord.leaving")

# Whoever connects and looks without pause is given up on after so many looks, and told `draining`: that is no work.
MOST_LOOKS = 200


class Exit:
    """The way out. `wanted` may be called from anywhere; `run` returns the reason when the process may end."""

    def __init__(
        self,
        desk: Desk,
        server: Server,
        listener: Listener,
        spool: Spool,
        hooks: Hooks,
        workers: Workers,
        farewell: Callable[[], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._server = server
        self._listener = listener
        self._spool = spool
        self._hooks = hooks
        self._workers = workers
        self._farewell = farewell
        self._wanted: deque[str] = deque()
        self._news = anyio.Event()

    def wanted(self, reason: str) -> None:
        """Ask for the exit: "hibernate", "stop" or "signal"."""
        self._wanted.append(reason)
        self._news.set()

    async def run(self) -> str:
        """Wait until an exit is asked for and not taken back; go down; return its reason."""
        while True:
            while not self._wanted:
                self._news = anyio.Event()
                await self._news.wait()
            reason = self._wanted.popleft()
            if reason != "hibernate":
                await self._steps_end()
                return await self._leave(reason)
            if await self._nothing_to_do():
                return await self._leave(reason)
            log.info("hibernation_cancelled", state=self._desk.world.lifecycle.state)

    async def _nothing_to_do(self) -> bool:
        """Look for work until there is none, without a pause between the last look and the point of no return."""
        reached("exit.decided")
        await self._hooks_or_news()
        await self._steps_end(self._is_hibernating)  # before the looks: what comes meanwhile is work for them
        looks = 0
        while True:
            await self._spool.take()
            if not self._is_hibernating():
                return False
            if not self._changes() and (looks >= MOST_LOOKS or (self._accepted() == 0 and not self._server.has_work())):
                break
            looks += 1
            await anyio.sleep(0.001)
        stuck = self._spool.stuck
        if stuck:
            # A file that stays would have the service manager start the daemon for ever: it is work nobody can take.
            cause = {"source": "file", "name": min(stuck)}
            await self._desk.writer.apply(ClientTrigger(cause, Trigger.WAKE_SIGNAL))
        reached("exit.looked")
        return self._is_hibernating()

    async def _steps_end(self, still: Callable[[], bool] = lambda: True) -> None:
        """Give steps their time to end; what they do in it is kept. Meanwhile everybody is served."""
        await self._workers.settle(self._desk.world.policy.yield_within_s, still)

    async def _hooks_or_news(self) -> None:
        """Wait for the hooks, unless somebody asks for the exit in another way: they are ended with the process."""
        async with anyio.create_task_group() as either:
            either.start_soon(self._until_news, either.cancel_scope)
            await self._hooks.settle()
            either.cancel_scope.cancel()

    async def _until_news(self, scope: anyio.CancelScope) -> None:
        if not self._wanted:
            self._news = anyio.Event()
            await self._news.wait()
        scope.cancel()

    def _is_hibernating(self) -> bool:
        world = self._desk.world
        return world.lifecycle.state is State.HIBERNATION and not world.process.leaving

    def _accepted(self) -> int:
        try:
            return self._server.accept_waiting()
        except OSError as error:
            log.warning("cannot_accept", error=str(error), why="no descriptors are left; who waits is turned away")
            return 0

    def _changes(self) -> bool:
        """Whether a change is on its way: its answer may be WAKE, however long the disk takes, so it is waited for."""
        return self._desk.writer.wants_store or (self._spool.waiting() and not self._spool.postponed)

    async def turn_away(self, why: str) -> None:
        """Tell whoever has come to a start that failed. At an inherited socket they wait for who comes behind it."""
        if self._listener.is_inherited:
            return
        self._desk.trial = None  # such an answer is no sign of life
        self._desk.drain(why)
        self._listener.unlink()
        self._listener.shut()
        self._accepted()
        await self._server.drain()
        self._listener.close()

    async def _leave(self, reason: str) -> str:
        self._desk.writer.close()
        self._desk.drain(reason)
        if self._listener.is_inherited:
            # What comes now waits in the backlog for the successor. Never shut down: that would lose it.
            self._server.stop_accepting()
            reached("exit.unlinked")
        else:
            self._listener.unlink()
            reached("exit.unlinked")
            self._listener.shut()
            self._accepted()  # who came before the path was gone is told to ask again
            self._server.stop_accepting()
        reached("exit.refused")
        await self._server.drain()
        self._listener.close()
        reached("exit.drained")
        reason = self._desk.world.process.leaving or reason  # a `stop` may have come behind a signal
        if not await self._desk.writer.finish(Leaving({"source": reason}, reason)):
            log.error("end_not_recorded", why="the store would not take it: the next start will call this a crash")
        reached("exit.recorded")
        await self._farewell()
        reached("exit.told")
        return reason
