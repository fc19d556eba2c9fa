"""Where everything that touches the store's file runs: one job at a time, in the order they were asked for.

A job that takes long is written in slices, and between two of them lets the others go first (`serve`): a request is
then answered within a slice, and nothing of the long job is lost. That is why this is not an executor.

Jobs run on a thread of their own, so that the event loop does not wait for a disk. To go there and back costs two
wake-ups, on some machines as much as the disk does; so a brief job runs where it was asked for, while the thread has
nothing to do and the disk answers at once. A disk that was slow once holds up the loop once, and then has to be quick
for a while first: the longer it held it up, the longer. A busy disk's hiccup costs little, one that hangs has to prove
itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

# A brief job over this is slow: a few times what a good disk takes, and less than anybody who waits would notice.
QUICK_S = 0.005
# So many jobs have to be quick on the thread for each such time that one held up the loop; so many at most, which is
# also what a disk begins with that nobody knows yet.
QUICK_FOR_EACH = 4
QUICK_AT_MOST = 64


class Runner(Protocol):
    """Runs a job where the store lives, and gives its result back."""

    async def run(self, job: Callable[[], T], *, brief: bool = False) -> T:
        """Run it; raises what it raises. `brief`: it takes no longer than the disk needs for a few pages."""
        ...

    def waiting(self) -> bool:
        """Whether another job waits. For the job that is running."""
        ...

    def serve(self) -> None:
        """Run all jobs that wait, within the one that is running."""
        ...


class _Job:
    """Something to run, and the future to fill in."""

    __slots__ = ("_call", "_ended", "_future", "_loop")

    def __init__(self, call: Callable[[], Any], future: asyncio.Future[Any], ended: Callable[[], None]) -> None:
        self._call = call
        self._future = future
        self._ended = ended
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
            self._ended()
            if not self._future.done():  # a caller that was cancelled does not wait any more
                fill(what)

        self._loop.call_soon_threadsafe(told)


class StoreThread:
    """One thread, for as long as the store is open. `clock`: seconds, rising while the machine is awake."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._asked = 0  # jobs that are the thread's, and have not told their end yet
        self._to_prove = QUICK_AT_MOST  # how many more brief jobs have to be quick on the thread
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()

    async def run(self, job: Callable[[], T], *, brief: bool = False) -> T:
        """Run a job, in its turn. A cancelled caller does not stop it."""
        if not brief:
            return await self._on_thread(job)
        if self._asked or self._to_prove:
            return await self._on_thread(lambda: self._timed(job))
        return self._timed(job)

    def _timed(self, job: Callable[[], T]) -> T:
        begun_s = self._clock()
        try:
            return job()
        finally:
            over = int((self._clock() - begun_s) / QUICK_S)  # 0: it was quick
            left = self._to_prove - 1 if over == 0 else max(self._to_prove, over * QUICK_FOR_EACH)
            self._to_prove = min(max(left, 0), QUICK_AT_MOST)

    async def _on_thread(self, job: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked += 1
        self._jobs.put(_Job(job, future, self._told))
        return await future

    def _told(self) -> None:
        self._asked -= 1

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
