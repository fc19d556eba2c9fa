"""Small flows for tests, and how their runs went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torpord import Flow, Run
from torpord.flows.memory import Result


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
