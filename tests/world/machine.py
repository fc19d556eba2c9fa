"""The real writer on a real store, in virtual time: it can be asked, killed in the middle of a commit, and started."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import orjson

import memory
from shell.bench_writer import CountingStore, Disk, Shell
from shell.virtual_time import START_WALL_S, VirtualLoop
from torpord.core.events import Event, Leaving, ProcessStarted
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.world import World
from torpord.writer import Change, Writer

T = TypeVar("T")
QUIET_TURNS = 25  # of the loop, in which nothing moved: a commit takes a few


@dataclass
class MachineClock:
    """The clocks of a machine that may be suspended, set and booted."""

    loop: VirtualLoop
    booted_s: float = 0.0  # of the loop's time
    step_s: float = 0.0
    suspended_s: float = 0.0

    def now(self) -> Now:
        at_s = self.loop.time()
        wall_s = START_WALL_S + at_s + self.suspended_s + self.step_s
        return Now(at_s - self.booted_s, wall_s, self.suspended_s)


class Machine:
    """One home, and at most one daemon that lives there."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.boots = 1
        self._loop = VirtualLoop()
        self.clock = MachineClock(self._loop)
        self._folder = tempfile.TemporaryDirectory(prefix="tp-", dir=memory.folder())
        self._open()

    def _open(self) -> None:
        self.store = CountingStore(Path(self._folder.name) / "torpor.db")
        self.store.connection.execute("PRAGMA synchronous = OFF")  # no power cut is played here
        self.disk = Disk()

    @property
    def world(self) -> World:
        return self.writer.world

    def begin(self, cause: str) -> None:
        """Begin a life."""
        shell = Shell(self.policy)
        self.writer = shell.writer = Writer(self.store, self.disk, self.clock, shell, self.store.load())
        self.shell = shell
        self._task = self._loop.create_task(self.writer.run())
        started = ProcessStarted(
            {"source": cause},
            pid=1,
            version="0",
            start_cause=cause,
            supervisor="none",
            boot_id=f"boot-{self.boots}",
            policy=self.policy,
        )
        self._run(self.writer.apply(started))
        self.settle()

    def ask(self, event: Event, key: str | None = None, request: str = "") -> Any:
        """Ask, and return the answer as JSON gives it back, or the refusal."""
        ticket = self.writer.submit([Change(event, key, request)])
        self._run(ticket.done.wait())
        self.settle()
        outcome = ticket.outcomes[0]
        return orjson.loads(orjson.dumps(outcome)) if isinstance(outcome, dict) else outcome

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        self._run(self._quiet())

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._run(asyncio.sleep(seconds))
        self.settle()

    def pass_down(self, seconds: float) -> None:
        """Let time pass with no daemon there."""
        self._run(asyncio.sleep(seconds))

    def reboot(self) -> None:
        """Boot the machine: its awake clock begins anew, some seconds before any daemon."""
        self.boots += 1
        self.clock.booted_s = self._loop.time() - 7.0
        self.clock.suspended_s = 0.0

    def end(self) -> None:
        """End the life in order."""
        self.writer.close()
        assert self._run(self.writer.finish(Leaving({"source": "hibernate"}, "hibernate")))
        self._kill()

    def kill_at(self, change: Change | None, *, durable: bool) -> None:
        """Kill the daemon: with a change that it was asked for not stored yet, or stored and not answered."""
        if change is not None:
            self.disk.gate = anyio.Event()
            self.writer.submit([change])
            self.settle()
            if durable:
                self._run(self._stored())
        self._kill()
        self.store.close()
        self._open()

    async def _stored(self) -> None:
        """Open the gate until there is one more commit, and not a step further."""
        count, gate = len(self.store.commits), self.disk.gate
        assert gate is not None
        gate.set()
        self.disk.gate = None
        while len(self.store.commits) == count:  # noqa: ASYNC110 - turns of the loop are what is counted here
            await asyncio.sleep(0)

    def close(self) -> None:
        """Clear up."""
        self._kill()
        self.store.close()
        self._loop.close()
        self._folder.cleanup()

    async def _quiet(self) -> None:
        # Rung as the machine rings it: the wall clock may have been set.
        self.writer.look_again()
        known, still = self.world, 0
        while still < QUIET_TURNS:
            await asyncio.sleep(0)
            still = still + 1 if self.world is known else 0
            known = self.world

    def _kill(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)

    def _run(self, what: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(what)
