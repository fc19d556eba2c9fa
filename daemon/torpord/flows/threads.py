"""Blocking code in a thread of its own, so that what blocks for ever blocks nobody else and no exit."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from torpord.flows.errors import StepInterruptedError

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any, release: Callable[[], None] = lambda: None) -> T:
    """Return what `function(*args)` returns, called in a new thread.

    Cancelled, it raises StepInterruptedError in the thread at its next line of Python, and waits for its end: two
    attempts at once would undo each other's work. A thread that blocks in C is waited for until a second cancellation;
    `release` ends what of that is of our own making.
    """
    loop = asyncio.get_running_loop()
    work = _Work(loop, contextvars.copy_context(), function, args)
    threading.Thread(target=work.run, name=getattr(function, "__name__", "state"), daemon=True).start()
    try:
        return await asyncio.shield(work.future)
    except asyncio.CancelledError:
        work.interrupt()
        release()
        await asyncio.wait([work.future])
        work.future.exception()  # looked at, so that nobody is told of an exception that was never looked at
        raise


class _Work:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self._loop, self._context, self._function, self._args = loop, context, function, args
        self._lock = threading.Lock()
        self._ident = 0  # of the thread, while it is in the function
        self._unwanted = False
        self.future: asyncio.Future[Any] = loop.create_future()

    def run(self) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            try:
                with self._lock:
                    if self._unwanted:
                        raise StepInterruptedError
                    self._ident = threading.get_ident()
                result = self._context.run(self._function, *self._args)
            finally:
                with self._lock:  # from here on it is not interrupted any more
                    self._ident = 0
        except StopIteration as stop:  # a future does not take one: it would end the generator that awaits it
            error = RuntimeError(f"the function raised StopIteration({stop.value!r})")
        except BaseException as raised:  # noqa: BLE001 - all of it is the caller's
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def interrupt(self) -> None:
        with self._lock:
            self._unwanted = True
            if self._ident:
                # Python/C API, PyThreadState_SetAsyncExc: delivered when the thread next runs Python code.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._ident), ctypes.py_object(StepInterruptedError)
                )
