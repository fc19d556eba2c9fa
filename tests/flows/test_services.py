"""What a flow's states share is made once and closed at the end, in all its forms."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from flows.small import one, outcomes
from torpord import Complete, Run

pytestmark = pytest.mark.asyncio


class Doors:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> str:
        self.log.append("open")
        return "inside"

    def __exit__(self, *_: object) -> None:
        self.log.append("closed")


def _factories(log: list[str]) -> dict[str, Callable[[], Any]]:
    async def asked() -> str:
        log.append("open")
        return "inside"

    async def generated() -> AsyncIterator[str]:
        log.append("open")
        async with asyncio.TaskGroup():  # must be left by the task that entered it
            yield "inside"
        log.append("closed")

    def yielded() -> Iterator[str]:
        log.append("open")
        yield "inside"
        log.append("closed")

    return {
        "plain": lambda: log.append("open") or "inside",
        "async": asked,
        "context": lambda: Doors(log),
        "generator": yielded,
        "async generator": generated,
        "async context": contextlib.asynccontextmanager(generated),
    }


@pytest.mark.parametrize("kind", _factories([]))
async def test_services_are_made_once_and_closed(kind: str) -> None:
    log: list[str] = []

    async def work(run: Run) -> Any:
        log.append(run.services)
        return Complete() if run.visit == 2 else "work"

    assert (await one(work, services=_factories(log)[kind]).run_here()).status == "completed"
    assert log == ["open", "inside", "inside", *(["closed"] if kind not in ("plain", "async") else [])]


async def test_services_that_cannot_be_made_fail_the_step_and_are_tried_again() -> None:
    tries = 0

    def broken() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise sqlite3.OperationalError("unable to open")
        return "made"

    async def work(run: Run) -> Any:
        return Complete(run.services)

    result = await one(work, services=broken, retries=1).run_here()
    assert (result.result, outcomes(result)) == ("made", ["work.1.1 failed", "work.1.2 complete"])


async def test_services_that_take_long_are_there_for_the_next_attempt() -> None:
    made = asyncio.Event()

    async def slow() -> str:
        await made.wait()
        return "made"

    async def work(run: Run) -> Any:
        return Complete(run.services)

    flow = one(work, services=slow, retries=1000, timeout="20ms")
    asyncio.get_running_loop().call_later(0.05, made.set)
    result = await flow.run_here()
    assert result.result == "made"
    assert {step.error["type"] for step in result.steps if step.error} == {"StepTimeoutError"}
