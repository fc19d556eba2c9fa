"""Branches of a Parallel: their own data, their join, and what they may not do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from flows.small import outcomes
from torpord import Complete, Flow, Parallel, Run

pytestmark = pytest.mark.asyncio


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
