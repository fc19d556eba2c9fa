"""Flows whose data, results and branches are at the bounds of what a run may carry, and beyond."""

# ruff: noqa: ANN201 - what a state returns is as its author finds it

from __future__ import annotations

import asyncio
import os
from typing import Any

from torpord import Complete, Flow, Parallel, Run


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


deep = Flow("deep")


@deep.state(initial=True)
async def dig(run: Run):
    run.data["deep"] = nested(run.data["levels"])
    return survive


@deep.state
async def survive(run: Run):
    levels = run.data["levels"]
    assert await run.call("dig", {"deep": nested(levels - 1)}, lambda deep: [deep]) == run.data["deep"]
    if run.attempt == 1:
        os._exit(3)
    return result


@deep.state
async def result(run: Run):
    run.progress(float("nan"), 2)
    return Complete(run.data["deep"])


wide = Flow("wide")
filled: list[str] = []  # by this worker


@wide.state(initial=True)
async def spread(run: Run):
    return Parallel(["fill"] * run.data["branches"], join="over")


@wide.state
async def fill(run: Run):
    run.data[run.branch] = "y" * run.data["bytes"]
    return wait


@wide.state(to="over")
async def wait(run: Run):
    filled.append(run.branch)
    if len(filled) == run.data["branches"]:
        os._exit(3)
    await asyncio.Event().wait()
    return "over"


@wide.state
async def over(run: Run):
    return Complete()


many = Flow("many")


@many.state(initial=True)
async def turn(run: Run):
    return turn if run.visit < run.data["steps"] else enough


@many.state
async def enough(run: Run):
    return Complete(run.data["steps"])
