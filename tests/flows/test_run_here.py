"""A flow runs without a daemon: every outcome, every failure, retries and time-outs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from flows.small import failing, one, outcomes
from torpord import Complete, Failed, Flow, Parallel, Retry, Run
from torpord.flows.errors import FlowError, StepError

pytestmark = pytest.mark.asyncio


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

    result = await one(work, retries=2).run_here()
    assert result.error is not None
    assert text in result.error["message"]
    # What it returned it would return again; what its result was may have come from outside.
    again = isinstance(returned, Complete)
    assert (result.error["type"], len(result.steps)) == (("StepError", 3) if again else ("StepMistakeError", 1))


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
