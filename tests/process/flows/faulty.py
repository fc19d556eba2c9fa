"""Flows that fail in the ways flows do, as long as a file named in their data is not there."""
# ruff: noqa: ANN201, ASYNC110, ASYNC240 - what a state returns is as its author finds it; files are how the test speaks

from __future__ import annotations

import asyncio
from pathlib import Path

import outside

from torpord import Complete, Failed, Flow, Parallel, Retry, Run


def begin(run: Run) -> None:
    where = {"branch": run.branch, "state": run.state, "visit": run.visit, "attempt": run.attempt}
    outside.mark(run.data["folder"], "begin", **where)


def mended(run: Run) -> bool:
    """Whether what was wrong is not any more."""
    return Path(run.data["folder"], "mended").exists()


async def effect(run: Run, number: int) -> None:
    folder = run.data["folder"]

    def fn(number: int, idempotency_key: str) -> None:
        outside.mark(folder, "effect", key=idempotency_key, number=number)

    await run.call("effect", {"number": number}, fn)


failing = Flow("failing")


@failing.state(initial=True)
async def first(run: Run):
    begin(run)
    run.data["first"] = 1
    await effect(run, 1)
    return fork


@failing.state
async def fork(run: Run):
    begin(run)
    return Parallel((quick, broken, slow, polite), join="meet")


@failing.state
async def quick(run: Run):
    begin(run)
    run.data["quick"] = 1
    return "meet"


@failing.state
async def broken(run: Run):
    begin(run)
    await effect(run, 2)
    run.data["broken"] = 1
    while not run.yielding and not all(Path(run.data["folder"], name).exists() for name in ("slow", "polite")):
        await asyncio.sleep(0.01)
    if not mended(run):
        raise ValueError("not mended")
    return "meet"


@failing.state
async def slow(run: Run):
    """Does not look whether it is to give way."""
    begin(run)
    Path(run.data["folder"], "slow").touch()
    if not mended(run):
        await asyncio.Event().wait()
    run.data["slow"] = 1
    return "meet"


@failing.state
async def polite(run: Run):
    begin(run)
    Path(run.data["folder"], "polite").touch()
    if not mended(run):
        await run.until_yield()
    run.data["polite"] = 1
    return further


@failing.state
async def further(run: Run):
    begin(run)
    await effect(run, 3)
    return "meet"


@failing.state
async def meet(run: Run):
    begin(run)
    return Complete(sorted(run.data))


merging = Flow("merging")


@merging.state(initial=True)
async def apart(run: Run):
    run.data["same"] = 0
    return Parallel((one, other), join="together")


@merging.state
async def one(run: Run):
    run.data["same"] = {"a": 1, "b": [1.0]}
    run.data["differs"] = run.data["one"]
    return "together"


@merging.state
async def other(run: Run):
    run.data["same"] = {"b": [1.0], "a": 1}
    run.data["differs"] = run.data["other"]
    return "together"


@merging.state
async def together(run: Run):
    return Complete(run.data["differs"])


odd = Flow("odd")


@odd.state(initial=True, to=Complete)
async def returns(run: Run):
    match run.data["what"]:
        case "a number":
            return 42
        case "nothing":
            return {}.get("nothing")
        case "no state":
            return run.data["nowhere"]
        case "no JSON":
            return Complete({1, 2})
        case "a great result":
            return Complete("y" * 10_000_000)
        case "great data":
            run.data["great"] = "y" * 10_000_000
            return Complete()
        case "great call":
            await run.call("large", {}, lambda: "y" * 10_000_000)
        case "great arguments":
            await run.call("large", {"text": "y" * 10_000_000}, lambda text: text)
        case "a loop":
            return returns
        case "a parallel of nothing":
            return Parallel(run.data["none"], join="returns")
        case "a failure":
            return Failed("as it says")
        case "a great error":
            raise ValueError("y" * 10_000_000)
        case "an odd pause":
            return Retry(after=-5)
        case "an exit":
            raise SystemExit("bye")
    return Complete()
