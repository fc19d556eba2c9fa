"""A flow runs without a daemon: every outcome, retries, parallels and their joins, calls, time-outs, services."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from torpord import Complete, Failed, Flow, Parallel, Retry, Run
from torpord.flows.errors import CallUnknownError, FlowError, StepError
from torpord.flows.memory import Result

pytestmark = pytest.mark.asyncio


def one(function: Callable[[Run], Any], **options: Any) -> Flow:
    """Make a flow of one state."""
    flow = Flow("one", services=options.pop("services", None))
    flow.state(initial=True, **options)(function)
    return flow


async def failing(function: Callable[[Run], Any], **options: Any) -> str:
    result = await one(function, **options).run_here()
    assert result.status == "failed"
    assert result.error is not None
    return f"{result.error['type']}: {result.error['message']}"


def outcomes(result: Result) -> list[str]:
    return [f"{step.state}.{step.visit}.{step.attempt} {step.outcome}" for step in result.steps]


async def test_a_chain_with_data_and_a_result() -> None:
    flow = Flow("chain")

    @flow.state(initial=True)
    async def first(run: Run) -> Any:
        run.data["seen"] = [run.state, run.visit, run.attempt, run.branch]
        run.data["gone"] = run.data.pop("given")
        return second

    @flow.state
    def second(run: Run) -> Any:
        assert threading.current_thread() is not threading.main_thread(), "a plain function does not block the others"
        del run.data["gone"]
        return "third"

    @flow.state
    async def third(run: Run) -> Any:
        return Complete(run.data)

    result = await flow.run_here({"given": 1})
    assert (result.status, result.error) == ("completed", None)
    assert result.result == result.data == {"seen": ["first", 1, 1, ""]}
    assert outcomes(result) == ["first.1.1 next", "second.1.1 next", "third.1.1 complete"]
    assert [step.to for step in result.steps] == [("second",), ("third",), ()]


async def test_what_a_failed_attempt_did_to_the_data_is_thrown_away() -> None:
    async def work(run: Run) -> Any:
        run.data["list"].append(run.attempt)
        run.data["junk"] = run.attempt
        if run.attempt == 1:
            raise ValueError("no luck")
        if run.attempt == 2:
            return Failed("nor now")
        if run.attempt == 3:
            return Retry(after="5m")
        return Complete()

    result = await one(work, retries=2).run_here({"list": [0]})
    assert result.data == {"list": [0, 4], "junk": 4}
    assert outcomes(result) == ["work.1.1 failed", "work.1.2 failed", "work.1.3 retry", "work.1.4 complete"]
    assert [step.error and step.error["type"] for step in result.steps] == ["ValueError", "Failed", None, None]


async def test_retries_end() -> None:
    async def work(run: Run) -> Any:
        raise ValueError(run.attempt)

    result = await one(work, retries=2).run_here()
    assert outcomes(result) == ["work.1.1 failed", "work.1.2 failed", "work.1.3 failed"]
    assert result.error is not None
    assert result.error["message"] == "3", "the run failed by its last attempt"


async def test_a_loop_without_end_ends() -> None:
    async def work(run: Run) -> Any:
        return "work"

    result = await one(work).run_here(max_steps=7)
    assert result.error is not None
    assert (result.status, result.error["type"], len(result.steps)) == ("failed", "MaxSteps", 7)
    assert result.steps[-1].visit == 7


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, "work returned None (NoneType): that is no state of flow one, which has work"),
        ("nowhere", "work returned 'nowhere': that is no state"),
        (42, "work returned 42 (int)"),
        (("work",), "work returned ('work',) (tuple)"),
        (print, "work returned <built-in function print>"),
        (Complete, "work returned <class 'torpord.flows.outcomes.Complete'> (type)"),
        (Complete({1, 2}), "the result of the run is not JSON"),
        (Complete("x" * 1_048_576), "the result of the run has 1048578 bytes as JSON, over the limit of 1048576"),
        (Retry(after="soon"), "Retry(after='soon'): not a duration"),
        (Parallel((), join="work"), "a Parallel of nothing"),
        (Parallel("work", join="work"), "give a list of states"),
        (Parallel(("work",), join="work"), "whose join work is one of its own branches"),
        (Parallel(("nowhere",), join="work"), "'nowhere': that is no state"),
        (Parallel(("work",), join="nowhere"), "'nowhere': that is no state"),
    ],
)
async def test_nonsense_is_a_failure_that_names_it(returned: Any, text: str) -> None:
    async def work(run: Run) -> Any:
        return [returned][0]  # what the check cannot read

    told = await failing(work)
    assert told.startswith("StepError: ")
    assert text in told


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration(7)])
@pytest.mark.parametrize("plain", [True, False])
async def test_whatever_is_raised_is_the_steps_failure(error: BaseException, plain: bool) -> None:
    def work(run: Run) -> Any:
        raise error

    async def work_async(run: Run) -> Any:
        raise error

    assert type(error).__name__ in await failing(work if plain else work_async)


async def test_an_errors_traceback_begins_where_the_authors_code_does() -> None:
    async def work(run: Run) -> Any:
        raise ValueError("here \udcff")

    result = await one(work).run_here()
    assert result.error is not None
    assert "engine.py" not in result.error["traceback"]
    assert "in work" in result.error["traceback"]
    assert result.error["message"] == "here \\udcff"


async def test_a_huge_error_is_cut_and_says_so() -> None:
    async def work(run: Run) -> Any:
        raise ValueError("ä" * 1_000_000)

    result = await one(work).run_here()
    assert result.error is not None
    assert 60_000 < sum(len(text.encode()) for text in result.error.values()) <= 65_536
    assert "[... cut: over 64 KiB ...]" in result.error["message"]


@pytest.mark.parametrize("plain", [True, False])
async def test_a_timeout_ends_the_attempt(plain: bool) -> None:
    ended = threading.Event()

    async def work_async(run: Run) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def work(run: Run) -> Any:
        try:
            while True:
                threading.Event().wait(0.005)
        finally:
            ended.set()

    told = await failing(work if plain else work_async, timeout="20ms")
    assert told == f"StepTimeoutError: state {'work' if plain else 'work_async'} took longer than its timeout of 0.02 s"
    assert ended.is_set()


async def test_an_attempt_that_goes_on_after_its_time_has_timed_out() -> None:
    async def work(run: Run) -> Any:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return Complete("after all")

    assert (await failing(work, timeout=0.02)).startswith("StepTimeoutError")


async def test_a_timeout_of_the_authors_own_is_an_error_like_any() -> None:
    async def work(run: Run) -> Any:
        raise TimeoutError("the other side")

    assert await failing(work, timeout=60) == "TimeoutError: the other side"


def forking(left: Callable[[Run], Any], right: Callable[[Run], Any], **options: Any) -> Flow:
    flow = Flow("forking")

    async def fork(run: Run) -> Any:
        run.data["base"] = [1]
        return Parallel(("left", "right"), join="end")

    async def end(run: Run) -> Any:
        return Complete(run.visit)

    flow.state(initial=True)(fork)
    left.__name__, right.__name__ = "left", "right"
    flow.state(to="end", **options)(left)
    flow.state(to="end", **options)(right)
    flow.state(end)
    return flow


async def test_branches_have_their_own_data_and_it_is_merged() -> None:
    async def left(run: Run) -> Any:
        run.data["base"].append("left only")
        run.data["left"] = run.branch
        return "end"

    async def right(run: Run) -> Any:
        assert run.data["base"] == [1]
        if run.visit < 3:
            return "right"
        run.data["right"] = run.branch
        return "end"

    result = await forking(left, right).run_here({"keep": True})
    assert result.data == {
        "keep": True,
        "base": [1, "left only"],
        "left": "fork:1/left",
        "right": "fork:1/right",
    }
    assert {step for step in outcomes(result) if "right" in step} == {
        "right.1.1 next",
        "right.2.1 next",
        "right.3.1 next",
    }


async def test_branches_run_at_once() -> None:
    met = asyncio.Barrier(2)

    async def meet(run: Run) -> Any:
        await met.wait()
        return "end"

    async def meet_too(run: Run) -> Any:
        await met.wait()
        return "end"

    assert (await forking(meet, meet_too).run_here()).status == "completed"


async def test_the_same_state_twice_is_two_branches() -> None:
    flow = Flow("twins")

    @flow.state(initial=True)
    async def fork(run: Run) -> Any:
        return Parallel([twin, twin], join=end)

    @flow.state
    async def twin(run: Run) -> Any:
        run.data[run.branch] = run.key
        return end

    @flow.state
    async def end(run: Run) -> Any:
        return Complete(run.data)

    result = await flow.run_here()
    assert set(result.result) == {"fork:1/twin", "fork:1/twin#2"}
    assert len(set(result.result.values())) == 2, "each branch has keys of its own"


@pytest.mark.parametrize(
    ("one_value", "other", "good"), [(1, 2, False), (1, 1, True), (1, 1.0, False), (1, None, False)]
)
async def test_two_branches_that_write_one_key(one_value: Any, other: Any, good: bool) -> None:
    async def left(run: Run) -> Any:
        run.data["key"] = one_value
        return "end"

    async def right(run: Run) -> Any:
        if other is None:
            del run.data["key"]
        else:
            run.data["key"] = other
        return "end"

    result = await forking(left, right).run_here({"key": 0})
    assert (result.status == "completed") is good
    if not good:
        assert result.error is not None
        assert "fork:1/left and fork:1/right wrote different values under 'key'" in result.error["message"]


async def test_an_object_with_its_keys_in_another_order_is_the_same() -> None:
    async def left(run: Run) -> Any:
        run.data["key"] = {"a": 1, "b": 2}
        return "end"

    async def right(run: Run) -> Any:
        run.data["key"] = {"b": 2, "a": 1}
        return "end"

    assert (await forking(left, right).run_here()).status == "completed"


async def test_merged_data_over_the_limit_is_a_failure() -> None:
    async def left(run: Run) -> Any:
        run.data["left"] = "x" * 600_000
        return "end"

    async def right(run: Run) -> Any:
        run.data["right"] = "x" * 600_000
        return "end"

    result = await forking(left, right).run_here()
    assert result.error is not None
    assert "over the limit" in result.error["message"]


async def test_when_a_branch_fails_the_other_is_asked_to_end_and_its_step_is_kept() -> None:
    async def left(run: Run) -> Any:
        raise ValueError("left is broken")

    async def right(run: Run) -> Any:
        await run.until_yield()
        assert run.yielding
        return "right"

    result = await forking(left, right).run_here()
    assert result.error is not None
    assert (result.status, result.error["message"]) == ("failed", "left is broken")
    assert outcomes(result) == ["fork.1.1 parallel", "left.1.1 failed", "right.1.1 next"]


async def test_a_branch_neither_completes_nor_forks() -> None:
    async def left(run: Run) -> Any:
        return Complete()

    async def right(run: Run) -> Any:
        return Parallel(("left",), join="end")

    result = await forking(left, right).run_here()
    told = "\n".join(step.error["message"] for step in result.steps if step.error)
    assert "left returned Complete in the branch fork:1/left: a branch ends at its join end" in told
    assert "right returned Parallel in the branch fork:1/right: branches have no branches" in told


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


async def test_a_stub_stands_for_its_state() -> None:
    flow = Flow("stubbed")

    @flow.state(initial=True)
    async def first(run: Run) -> Any:
        return second

    @flow.state
    async def second(run: Run) -> Any:
        raise AssertionError("the network is not for tests")

    def stub(run: Run) -> Any:
        return Complete("stub")

    stubbed = flow.replace("second", stub)
    assert (await stubbed.run_here()).result == "stub"
    assert flow.states["second"].function is second
    assert (await stubbed.replace("first", lambda _: stub).run_here()).result == "stub"


async def test_what_cannot_be_run_is_told_before_anything_runs() -> None:
    async def work(run: Run) -> Any:
        return "nowhere"

    with pytest.raises(FlowError, match="next state 'nowhere' is not there"):
        await one(work).run_here()
    with pytest.raises(StepError, match=r"run.data\['x'\] is not JSON"):
        await one(test_a_stub_stands_for_its_state, to=Complete).run_here({"x": object()})


async def test_upkeep_is_the_daemons() -> None:
    async def work(run: Run) -> Any:
        run.progress(1, 2, "half")
        return Complete(await run.upkeep("trim"))

    assert "the upkeep is of the daemon's own store" in await failing(work)
