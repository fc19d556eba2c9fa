"""Flows whose every step and call is seen outside: a chain, parallel branches, calls, and all of it together."""

# ruff: noqa: ANN201 - what a state returns is as its author finds it

from __future__ import annotations

import asyncio

import outside

from torpord import Complete, Flow, Parallel, Retry, Run, points

snare = outside.Snare()
points.hook = snare.passed


def begin(run: Run) -> None:
    """Say outside that a step began, and lay the run's snares."""
    where = {"branch": run.branch, "state": run.state, "visit": run.visit, "attempt": run.attempt}
    outside.mark(run.data["folder"], "begin", **where)
    if "snares" in run.data:
        snare.lay(run.data["folder"], run.data["snares"], run.data.get("how", "kill"))


def effect(folder: str, number: int, idempotency_key: str) -> int:
    """Do something outside."""
    outside.mark(folder, "effect", key=idempotency_key)
    return number * 2


async def called(run: Run, number: int) -> int:
    """Have the effect once, and say so when its result is here."""

    async def fn(number: int, idempotency_key: str) -> int:
        return effect(run.data["folder"], number, idempotency_key)

    result = await run.call("effect", {"number": number}, fn)
    assert result == number * 2
    return int(result)


chain = Flow("chain")


@chain.state(initial=True)
async def first(run: Run):
    begin(run)
    run.data["n"] = 0
    return second


@chain.state
async def second(run: Run):
    begin(run)
    run.data["n"] += 1
    return third


@chain.state
def third(run: Run):
    begin(run)
    run.data["n"] += 1
    return second if run.data["n"] < run.data["until"] else end


@chain.state
async def end(run: Run):
    begin(run)
    return Complete(run.data["n"])


calls = Flow("calls")


@calls.state(initial=True, to="again")
async def once(run: Run):
    begin(run)
    run.data["n"] = await called(run, 0)
    return again


@calls.state
async def again(run: Run):
    begin(run)
    for number in (run.data["n"], -1, -1):  # the same call twice is two calls
        await called(run, number)
    run.data["n"] += 1
    return plainly


@calls.state
def plainly(run: Run):
    begin(run)
    folder = run.data["folder"]

    def fn(number: int, idempotency_key: str) -> int:
        return effect(folder, number, idempotency_key)

    assert run.call_sync("effect", {"number": run.data["n"]}, fn) == 2 * run.data["n"]
    run.data["n"] += 1
    return again if run.data["n"] < run.data["until"] else over


@calls.state
async def over(run: Run):
    begin(run)
    return Complete(run.data["n"])


branches = Flow("branches")
BRANCHES = ("one", "two", "three")


@branches.state(initial=True)
async def fork(run: Run):
    begin(run)
    run.data["n"] = run.data.get("n", 0) + 1
    return Parallel(("one", "two", "three"), join="meet")


async def _work(run: Run) -> None:
    begin(run)
    key = f"{run.branch}.{run.state}.{run.visit}"
    run.data[key] = await called(run, run.data["n"])


@branches.state
async def one(run: Run):
    await _work(run)
    return one if run.visit < 2 else more


@branches.state
async def two(run: Run):
    await _work(run)
    return more


@branches.state
async def three(run: Run):
    await _work(run)
    return "meet"


@branches.state
async def more(run: Run):
    await _work(run)
    return "meet"


@branches.state
async def meet(run: Run):
    begin(run)
    await called(run, 100 + run.data["n"])
    at = f"fork:{run.data['n']}/"
    kept = sorted(key.removeprefix(at) for key in run.data if key.startswith(at))
    assert kept == ["one.more.1", "one.one.1", "one.one.2", "three.three.1", "two.more.1", "two.two.1"], kept
    return fork if run.data["n"] < run.data["until"] else done


@branches.state
async def done(run: Run):
    begin(run)
    return Complete(run.data["n"])


# All of it together: two hundred states, with what fails and is tried again, and work that takes its time.
long = Flow("long")


@long.state(initial=True)
async def top(run: Run):
    begin(run)
    run.data["n"] = run.data.get("n", 0) + 1
    for number in range(2):
        await called(run, number)
    await asyncio.sleep(0.005)
    return split


@long.state
async def split(run: Run):
    begin(run)
    return Parallel((left, left, right), join="both")


@long.state
def left(run: Run):
    begin(run)
    folder = run.data["folder"]

    def fn(number: int, idempotency_key: str) -> int:
        return effect(folder, number, idempotency_key)

    run.data[run.branch] = run.call_sync("effect", {"number": run.data["n"]}, fn)
    return further


@long.state
async def further(run: Run):
    begin(run)
    await called(run, 1)
    if run.attempt == 1:
        return Retry(after=0.01)
    return "both"


@long.state(retries=2)
async def right(run: Run):
    begin(run)
    await called(run, 2)
    if run.attempt == 1 and run.data["n"] % 8 == 0:
        raise ValueError("not the first time")
    return further


@long.state
async def both(run: Run):
    begin(run)
    await called(run, 3)
    assert sum(key.startswith("split:") for key in run.data) == 2 * run.data["n"]
    return top if run.data["n"] < run.data["until"] else last


@long.state
async def last(run: Run):
    begin(run)
    return Complete(run.data["n"])
