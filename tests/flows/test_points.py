"""The named points of a step come in their order, each once what it says is true."""

from __future__ import annotations

import pytest

from torpord import Complete, Flow, Run, points


@pytest.mark.asyncio
async def test_points_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    monkeypatch.setattr(points, "hook", passed.append)
    flow = Flow("pointed")

    @flow.state(initial=True, retries=1)
    async def first(run: Run) -> object:
        passed.append("the state")
        await run.call("tool", {}, lambda: passed.append("the call"))
        if run.attempt == 1:
            raise ValueError("once more")
        return last

    @flow.state
    def last(run: Run) -> object:
        passed.append("the last")
        return Complete()

    await flow.run_here()
    ended = ["worker.returned", "worker.acknowledged"]
    called = ["call.intended", "the call", "call.made", "call.recorded"]
    assert passed == [
        *("worker.begun", "the state", *called, *ended),
        *("worker.begun", "the state", *ended),
        *("worker.begun", "the last", *ended),
    ]
