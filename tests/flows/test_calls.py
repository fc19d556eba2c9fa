"""Calls to the outside are made once, whatever becomes of the attempt that made them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from flows.small import failing, one
from torpord import Complete, Retry, Run
from torpord.flows.errors import CallUnknownError, StepError

pytestmark = pytest.mark.asyncio


async def test_an_attempt_finds_what_the_one_before_had_called() -> None:
    made: list[tuple[str, str]] = []

    async def work(run: Run) -> Any:
        async def pay(amount: int, idempotency_key: str) -> dict[str, Any]:
            made.append((f"pay {amount}", idempotency_key))
            return {"receipt": (amount, run.attempt)}

        def note(text: str) -> str:
            made.append((f"note {text}", ""))
            if run.attempt == 1:
                raise OSError("no paper")
            return text

        receipts = [await run.call("pay", {"amount": amount}, pay) for amount in (1, 2, 1)]
        assert [receipt["receipt"] for receipt in receipts] == [[1, 1], [2, 1], [1, 1]]
        return Complete(await run.call("note", {"text": "done"}, note))

    result = await one(work, retries=1).run_here()
    assert result.result == "done"
    assert [what for what, _ in made] == ["pay 1", "pay 2", "pay 1", "note done", "note done"]
    assert len({key for what, key in made if what.startswith("pay")}) == 3


async def test_calls_of_a_plain_state() -> None:
    made: list[int] = []

    def work(run: Run) -> Any:
        async def count(n: int) -> int:
            made.append(n)
            return n

        assert run.call_sync("count", {"n": 1}, count) == 1
        assert run.call_sync("count", {"n": 2}, lambda n: (made.append(n), n)[1]) == 2
        assert run.cached_sync("old") is None
        with pytest.raises(OSError, match="gone"):
            run.call_sync("fail", {}, _raise)
        if run.attempt == 1:
            raise ValueError("again")
        return Complete()

    assert (await one(work, retries=1).run_here()).status == "completed"
    assert made == [1, 2]


def _raise() -> None:
    raise OSError("gone")


async def test_a_call_that_would_wait_for_itself_says_so() -> None:
    async def work(run: Run) -> Any:
        return Complete(run.call_sync("x", {}, lambda: 1))

    assert "await run.call" in await failing(work)


async def test_an_outcome_that_nobody_knows_can_be_a_stop() -> None:
    begun = 0

    async def work(run: Run) -> Any:
        async def hang() -> None:
            nonlocal begun
            begun += 1
            await asyncio.Event().wait()

        with contextlib.suppress(CallUnknownError) if run.visit > 1 else contextlib.nullcontext():
            await run.call("hang", {}, hang, unknown="fail")
        return Complete()

    result = await one(work, retries=5, timeout="20ms").run_here()
    assert result.error is not None
    assert result.steps[-1].error is not None
    assert (begun, len(result.steps)) == (1, 2), "not made again, and not tried again"
    assert result.steps[-1].error["type"] == "CallUnknownError"


@pytest.mark.parametrize(
    ("tool", "args", "text"),
    [
        (1, {}, "tool is text"),
        ("t", [], "args an object"),
        ("t", {"x": {1}}, "the arguments of the call 't' is not JSON"),
    ],
)
async def test_a_call_that_is_none(tool: Any, args: Any, text: str) -> None:
    async def work(run: Run) -> Any:
        return Complete(await run.call(tool, args, lambda: 1))

    assert text in await failing(work)


async def test_a_calls_result_that_cannot_be_kept() -> None:
    async def work(run: Run) -> Any:
        return Complete(await run.call("t", {}, lambda: {"x": float("nan")}))

    assert "the result of the call 't' is not JSON" in await failing(work)


async def test_a_plain_state_that_waits_for_a_call_ends_in_its_time() -> None:
    def work(run: Run) -> Any:
        async def hang() -> None:
            await asyncio.Event().wait()

        return Complete(run.call_sync("hang", {}, hang))

    assert (await failing(work, timeout="20ms")).startswith("StepTimeoutError")


async def test_a_call_that_nobody_awaits_fails_the_state_and_is_not_tried_again() -> None:
    async def forgets(run: Run) -> Any:
        run.call("pay", {}, lambda: 1)
        return Complete()

    def plain(run: Run) -> Any:
        run.call("pay", {}, lambda: 1)
        run.call("pay", {}, lambda: 2)
        return Retry(after=5)

    async def asks(run: Run) -> Any:
        run.cached("old")
        return Complete()

    async def in_vain(run: Run) -> Any:
        return run.call("pay", {}, lambda: 1)

    told = "run.call('pay') was not awaited{}: await it, or use run.call_sync in a plain def"
    assert await failing(forgets, retries=3) == "StepMistakeError: " + told.format("")
    assert await failing(plain) == "StepMistakeError: " + told.format(" (and 1 more)")
    assert "run.cached('old') was not awaited: await it, or use run.cached_sync in a plain def" in await failing(asks)
    assert told.format("") in await failing(in_vain)
    assert len((await one(forgets, retries=3).run_here()).steps) == 1


async def test_a_call_that_is_still_under_way_fails_the_state() -> None:
    async def work(run: Run) -> Any:
        begun = asyncio.Event()

        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        tasks.append(asyncio.create_task(run.call("hang", {}, hang)))
        await begun.wait()
        return Complete()

    tasks: list[asyncio.Task[Any]] = []
    told = await failing(work)
    assert "run.call('hang') was not over when the state returned: await it, or the task it is in" in told
    tasks[0].cancel()


async def test_calls_are_awaited_in_any_way() -> None:
    async def work(run: Run) -> Any:
        def call(n: int) -> Any:
            return run.call("add", {"n": n}, lambda n: n)

        found = await asyncio.gather(call(1), call(2))
        found.append(await asyncio.create_task(call(3)))
        found.append(await asyncio.ensure_future(call(4)))
        found.append(await asyncio.wait_for(call(5), 20))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(call(6))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.call("hang", {}, asyncio.Event().wait), 0.01)
        unwanted = asyncio.create_task(call(7))
        unwanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unwanted
        found += [await call(n) for n in range(8, 200)]
        return Complete([*found, task.result()])

    result = await one(work).run_here()
    assert result.result == [1, 2, 3, 4, 5, *range(8, 200), 6]


async def test_a_call_in_another_loop_says_so() -> None:
    def work(run: Run) -> Any:
        return Complete(asyncio.run(run.call("x", {}, lambda: 1)))

    assert "use run.call_sync in a plain def" in await failing(work)


async def test_the_results_of_one_visit_are_bounded_over_all_its_attempts() -> None:
    made: list[tuple[int, int]] = []
    told: list[str] = []

    async def work(run: Run) -> Any:
        def fetch(n: int) -> str:
            made.append((run.attempt, n))
            return "x" * 1_000_000

        for n in range(20):
            try:
                assert len(await run.call("fetch", {"n": n}, fetch)) == 1_000_000
            except StepError as error:
                told.append(str(error))
                raise
            if run.attempt == 1 and n == 4:
                raise OSError("again")
        return Complete()

    result = await one(work, retries=3).run_here()
    assert result.error is not None
    assert made == [(1, n) for n in range(5)] + [(2, n) for n in range(5, 9)], "what is done stays done"
    assert (result.error["type"], len(result.steps)) == ("StepMistakeError", 2)
    assert told[0].startswith("the call 'fetch' is not made: the calls of this visit to the state work have results")
    assert "over the limit of 8388608: split the state" in told[0]


async def test_calls_made_at_once_are_bounded_too() -> None:
    async def work(run: Run) -> Any:
        async def fetch(n: int) -> str:
            return "x" * 1_000_000

        await asyncio.gather(*(run.call("fetch", {"n": n}, fetch) for n in range(12)))
        return Complete()

    assert "the result of the call 'fetch' cannot be kept: the calls of this visit" in await failing(work)
