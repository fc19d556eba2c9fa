"""The store's own thread: everything that touches the file runs on it, in the order it was asked for.

A job that takes long is written in slices, and between two of them lets the others go first (`serve`): a request is
then answered within a slice, and nothing of the long job is lost. That is why this is not an executor.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Runner(Protocol):
    """Runs a job where the store lives, and gives its result back."""

    async def run(self, job: Callable[[], T]) -> T:
        """Run it; raises what it raises."""
        ...

    def waiting(self) -> bool:
        """Whether another job waits. For the job that is running."""
        ...

    def serve(self) -> None:
        """Run all jobs that wait, within the one that is running."""
        ...


class _Job:
    """Something to run, and the future to fill in."""

    __slots__ = ("_call", "_future", "_loop")

    def __init__(self, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self._call = call
        self._future = future
        self._loop = future.get_loop()

    def do(self) -> None:
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self._tell(self._future.set_exception, error)
        else:
            self._tell(self._future.set_result, result)

    def _tell(self, fill: Callable[[Any], None], what: object) -> None:
        def told() -> None:
            if not self._future.done():  # a caller that was cancelled does not wait any more
                fill(what)

        self._loop.call_soon_threadsafe(told)


class StoreThread:
    """One thread, for as long as the store is open."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job on the thread. A cancelled caller does not stop the job: it ends in its turn."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(job, future))
        return await future

    def waiting(self) -> bool:
        """Whether another job waits. For the job that is running."""
        return not self._jobs.empty()

    def serve(self) -> None:
        """Run all jobs that wait, within the one that is running."""
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)  # the end is for the thread itself
                return
            job.do()

    def close(self) -> None:
        """Wait for what was asked, and end the thread."""
        self._jobs.put(None)
        self._thread.join()
