"""Copies of the world's parts: the same as the standard library's, and as frozen."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from torpord.core.agents import Agents, Card
from torpord.core.cycle_history import Cycle
from torpord.core.planned_history import Planned
from torpord.core.replacing import made, replace
from torpord.core.world import Activity, Lifecycle, World

PARTS = (World(), Activity(), Lifecycle(), Cycle(), Planned(), Agents(), Card("a"))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_it_is_what_the_standard_one_makes(part: Any) -> None:
    for field in dataclasses.fields(part):
        copy = replace(part, **{field.name: "another"})
        assert type(copy) is type(part)
        assert copy == dataclasses.replace(part, **{field.name: "another"})


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_one_that_is_made_anew_is_the_same(part: Any) -> None:
    fresh = made(type(part), *(getattr(part, field.name) for field in dataclasses.fields(part)))
    assert type(fresh) is type(part)
    assert fresh == part


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_copy_is_frozen(part: Any) -> None:
    name = dataclasses.fields(part)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(replace(part), name, "another")


def test_a_name_that_is_none_of_its_fields_is_refused() -> None:
    with pytest.raises(AttributeError):
        replace(World(), no_such_part=1)
