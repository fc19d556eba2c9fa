"""The world's parts as JSON documents, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from torpord.core.agents import Card
from torpord.core.cycle_history import Cycle
from torpord.core.lifecycle import State
from torpord.core.planned_history import Planned, Ways
from torpord.core.policy import Policy
from torpord.core.run_history import from_document
from torpord.core.runs import Run
from torpord.core.world import Activity, Hold, Lifecycle, Process, Sleep, World


def _lifecycle(**body: Any) -> Lifecycle:
    return Lifecycle(**{**body, "state": State(body["state"])})


# part of the world: how to build it from its document
PARTS: Mapping[str, Callable[..., Any]] = {
    "policy": Policy,
    "process": Process,
    "lifecycle": _lifecycle,
    "activity": Activity,
    "cycle": Cycle,
    "sleep": Sleep,
    "planned": Planned,
    "ways": Ways,
}


def dump(part: object) -> str:
    """Write a part, a hold or a result as a JSON document."""
    return orjson.dumps(part).decode()


def part(name: str, body: str) -> Any:
    """Build a part of the world from its document. Raises KeyError, TypeError or ValueError for one that is not."""
    return _built(PARTS[name], body)


def hold(body: str) -> Hold:
    """Build a hold from its document."""
    built = _built(Hold, body)
    assert isinstance(built, Hold)  # noqa: S101 - for the type checker
    return built


def card(body: str) -> Card:
    """Build an agent's card from its document."""
    built = _built(Card, body)
    assert isinstance(built, Card)  # noqa: S101 - for the type checker
    return built


def run(body: str) -> Run:
    """Build a run from its document."""
    return from_document(orjson.loads(body))


def _built(make: Callable[..., Any], body: str) -> Any:
    values = orjson.loads(body)
    return make(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def changed_parts(before: World | None, after: World) -> list[tuple[str, str]]:
    """Return (name, document) of each part that is another object than before."""
    return [
        (name, dump(getattr(after, name)))
        for name in PARTS
        if before is None or getattr(after, name) is not getattr(before, name)
    ]
