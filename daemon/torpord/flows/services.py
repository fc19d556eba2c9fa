"""What a flow's states share: made once in a worker, before its first step, and closed at the worker's end."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from torpord.flows.errors import StepInterruptedError


class Services:
    """Opens and closes in one task of its own: a task group must be left by the task that entered it."""

    def __init__(self, factory: Callable[[], Any] | None) -> None:
        self._factory = factory
        self._made: asyncio.Future[Any] | None = None
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> Any:
        """Return the services, made when first asked for. Raises what their factory raises; the next try is anew."""
        if self._factory is None:
            return None
        if self._made is None or (self._made.done() and self._made.exception() is not None):
            loop = asyncio.get_running_loop()
            self._made = loop.create_future()
            self._task = loop.create_task(self._live(self._factory, self._made))
        return await asyncio.shield(self._made)

    async def close(self) -> None:
        """Close what was made. Raises what the closing raises."""
        self._closing.set()
        if self._task is not None:
            if self._made is not None and not self._made.done():
                self._task.cancel()  # still being made, and nobody is left to want it
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    async def _live(self, factory: Callable[[], Any], made: asyncio.Future[Any]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                value = await _open(factory, stack)
            except (Exception, SystemExit, KeyboardInterrupt, StepInterruptedError) as error:  # noqa: BLE001 - the step's
                made.set_exception(error)
                made.exception()  # whoever asked may have been cancelled meanwhile
                return
            made.set_result(value)
            await self._closing.wait()


async def _open(factory: Callable[[], Any], stack: contextlib.AsyncExitStack) -> Any:
    """Take a plain or async function, a generator that yields once, or whatever makes a context manager."""
    if inspect.isasyncgenfunction(factory):
        return await stack.enter_async_context(contextlib.asynccontextmanager(factory)())
    if inspect.isgeneratorfunction(factory):
        return stack.enter_context(contextlib.contextmanager(factory)())
    made = factory()
    if isinstance(made, contextlib.AbstractAsyncContextManager):
        return await stack.enter_async_context(made)
    if isinstance(made, contextlib.AbstractContextManager):
        return stack.enter_context(made)
    return await made if inspect.isawaitable(made) else made
