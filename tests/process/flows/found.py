"""Flows that each do one thing that a daemon once did not bear: they fail in every branch, or ask without end."""
# ruff: noqa: ANN201, ASYNC240 - what a state returns is as its author finds it, and looking for a file is no wait

from __future__ import annotations

import asyncio
from pathlib import Path

import outside

from torpord import Complete, Failed, Flow, Parallel, Run


async def stands(run: Run, *files: str) -> str:
    """Stand still until there is one of these files, and return which."""
    outside.mark(run.data["folder"], "stands", state=run.state)
    while True:
        for name in files:
            if Path(run.data["folder"], name).exists():
                return name
        await asyncio.sleep(0.01)


fails = Flow("fails")


@fails.state(initial=True)
async def at_once(run: Run):
    return Failed("at once")


wide = Flow("wide")


@wide.state(initial=True)
async def split(run: Run):
    return Parallel([branch] * run.data["branches"], join="never")


@wide.state
async def branch(run: Run):
    return Failed(run.data["message"])


@wide.state
async def never(run: Run):
    return Complete()


asks = Flow("asks")


@asks.state(initial=True)
async def ask(run: Run):
    found = await asyncio.gather(*(run.cached("key") for _ in range(run.data["times"])))
    return Complete(len(found))


# The first state stands until it is told how to end; the second until it may.
gate = Flow("gate")


@gate.state(initial=True)
async def closed(run: Run):
    return Failed("told to") if await stands(run, "good", "bad") == "bad" else further


@gate.state
async def further(run: Run):
    await stands(run, "end")
    return Complete(run.attempt)


# Calls once, stands, and is over.
back = Flow("back")


@back.state(initial=True)
async def call(run: Run):
    folder = run.data["folder"]
    await run.call("effect", {}, lambda idempotency_key: outside.mark(folder, "effect", key=idempotency_key))
    return hold


@back.state
async def hold(run: Run):
    await stands(run, "go")
    return over


@back.state
async def over(run: Run):
    return Complete()


# A sleep cycle that stands, wherever it is told to by OUTSIDE.
cycle = Flow("cycle")


@cycle.state(initial=True)
async def sleeps(run: Run):
    await asyncio.sleep(3600)
    return Complete(run.attempt)
