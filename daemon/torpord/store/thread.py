"""The store's own thread: everything that touches the file runs on it, in the order it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Runner(Protocol):
    """Runs a job where the store lives, and gives its result back."""

    async def run(self, job: Callable[[], T]) -> T:
        """Run it; raises what it raises."""
        ...


class StoreThread:
    """One thread, started by the first job."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job on the thread. A cancelled caller does not stop the job: it ends in its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def close(self) -> None:
        """Wait for what was asked, and end the thread."""
        self._executor.shutdown()
