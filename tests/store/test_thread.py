"""Where a job of the store runs: on a thread; or, if it is brief and the disk is quick, where it was asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from torpord.store.thread import QUICK_AT_MOST, QUICK_FOR_EACH, QUICK_S, StoreThread


class Disk:
    """A clock that only jobs move: each takes `takes_s`."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.takes_s = QUICK_S / 2

    def job(self) -> str:
        self.now_s += self.takes_s
        return threading.current_thread().name


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def runner(disk: Disk) -> Iterator[StoreThread]:
    thread = StoreThread(lambda: disk.now_s)
    yield thread
    thread.close()


async def brief(runner: StoreThread, disk: Disk, times: int = 1) -> str:
    """Run brief jobs one after the other; returns where the last one ran."""
    return [await runner.run(disk.job, brief=True) for _ in range(times)][-1]


HERE = threading.main_thread().name


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(within())


def test_a_brief_job_runs_here_once_so_many_were_quick(runner: StoreThread, disk: Disk) -> None:
    async def main() -> None:
        assert await brief(runner, disk, QUICK_AT_MOST) == "store"
        assert await brief(runner, disk) == HERE

    run(main)


@pytest.mark.parametrize(
    ("held_up_s", "has_to_prove"),
    [
        (QUICK_S * 1.5, QUICK_FOR_EACH),
        (QUICK_S * 2.5, 2 * QUICK_FOR_EACH),
        (QUICK_S * 1000, QUICK_AT_MOST),
    ],
    ids=["a hiccup", "a longer one", "one that hangs"],
)
def test_one_that_is_slow_sends_the_next_ones_back_to_the_thread_for_as_long_as_it_was_slow(
    runner: StoreThread, disk: Disk, held_up_s: float, has_to_prove: int
) -> None:
    async def main() -> None:
        await brief(runner, disk, QUICK_AT_MOST)
        disk.takes_s = held_up_s
        assert await brief(runner, disk) == HERE, "that it is slow is known behind it"
        disk.takes_s = QUICK_S / 2
        assert await brief(runner, disk, has_to_prove) == "store"
        assert await brief(runner, disk) == HERE

    run(main)


def test_a_disk_that_stays_slow_keeps_to_the_thread(runner: StoreThread, disk: Disk) -> None:
    async def main() -> None:
        disk.takes_s = QUICK_S * 1.5
        assert await brief(runner, disk, 2 * QUICK_AT_MOST) == "store"
        disk.takes_s = QUICK_S / 2
        assert await brief(runner, disk, QUICK_AT_MOST - 1) == "store"
        disk.takes_s = QUICK_S * 1.5
        assert await brief(runner, disk) == "store", "it takes up none of what is left to prove"
        disk.takes_s = QUICK_S / 2
        assert await brief(runner, disk, QUICK_FOR_EACH) == "store"
        assert await brief(runner, disk) == HERE

    run(main)


def test_another_job_never_runs_here(runner: StoreThread, disk: Disk) -> None:
    async def main() -> None:
        await brief(runner, disk, QUICK_AT_MOST)
        assert await runner.run(disk.job) == "store"
        assert await brief(runner, disk) == HERE

    run(main)


def test_behind_a_long_job_a_brief_one_waits_its_turn_or_is_served(runner: StoreThread, disk: Disk) -> None:
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        assert go_on.wait(30)
        order.append("first half")
        assert runner.waiting()
        runner.serve()
        order.append("second half")

    def short() -> str:
        order.append("brief")
        return disk.job()

    async def main() -> None:
        await brief(runner, disk, QUICK_AT_MOST)
        longer = asyncio.create_task(runner.run(long))
        assert await asyncio.to_thread(begun.wait, 30)
        waiting = asyncio.create_task(runner.run(short, brief=True))
        await asyncio.sleep(0)
        go_on.set()
        assert await waiting == "store"
        await longer

    run(main)
    assert order == ["first half", "brief", "second half"]


@pytest.mark.parametrize("times", [1, QUICK_AT_MOST + 1], ids=["on the thread", "here"])
def test_what_a_job_raises_is_raised(runner: StoreThread, disk: Disk, times: int) -> None:
    def fails() -> None:
        disk.job()
        raise OSError("the disk would not")

    async def main() -> None:
        await brief(runner, disk, times)
        with pytest.raises(OSError, match="would not"):
            await runner.run(fails, brief=True)
        assert await brief(runner, disk) in ("store", HERE)

    run(main)


def test_a_caller_that_is_cancelled_leaves_the_job_and_the_next_ones_in_order(runner: StoreThread, disk: Disk) -> None:
    go_on = threading.Event()

    async def main() -> None:
        await brief(runner, disk, QUICK_AT_MOST)
        left = asyncio.create_task(runner.run(lambda: go_on.wait(30)))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        behind = asyncio.create_task(runner.run(disk.job, brief=True))
        await asyncio.sleep(0)
        assert not behind.done(), "the thread still works on the one that was left"
        go_on.set()
        assert await behind == "store"

    run(main)
