"""An event loop whose clock jumps to the next deadline instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from torpord.core.moment import Now

T = TypeVar("T")
START_WALL_S = 1_800_000_000.0


class _Jump(selectors.SelectSelector):
    """Never waits: what would have been waited for is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped_s = 0.0
        self.jumps = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if timeout and not ready:
            self.jumped_s += timeout
            self.jumps += 1
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`jumps` counts how often the process would have slept and woken up."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.jumped_s


class LoopClock:
    """The loop's time as the daemon's clocks; `step_s` moves the wall clock alone, `suspended_s` is a suspend's."""

    def __init__(self) -> None:
        self.step_s = 0.0
        self.suspended_s = 0.0

    def now(self) -> Now:
        awake_s = asyncio.get_running_loop().time()
        return Now(awake_s, START_WALL_S + awake_s + self.suspended_s + self.step_s, self.suspended_s)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run to the end, in no time."""
    return anyio.run(main, backend_options={"loop_factory": VirtualLoop})


def jumps() -> int:
    """How often the process has woken up by itself so far."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.jump.jumps


async def pass_s(seconds: float) -> None:
    """Let so much virtual time pass: the loop's clock jumps, nobody waits."""
    await anyio.sleep(seconds)
