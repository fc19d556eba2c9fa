"""What events, records and effects are made of."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, field, fields

import pytest

from torpord.core.value import part, value


@value
class Point:
    x: int
    y: int = 0
    seen: list[int] = field(default_factory=list)


@value
class Other:
    x: int
    y: int = 0


@value
class Nothing:
    pass


def test_they_are_equal_where_class_and_all_fields_are() -> None:
    assert Point(1, 2) == Point(1, y=2)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2, [3]) != Point(1, 2)
    assert Other(1, 2) != (1, 2)
    assert Other(1) != Nothing()
    assert Nothing() == Nothing()


def test_what_is_equal_has_one_hash() -> None:
    assert len({Other(1), Other(1, 0), Other(2), Nothing(), Nothing()}) == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))


def test_they_show_what_they_are() -> None:
    assert repr(Point(1, seen=[2])) == "Point(x=1, y=0, seen=[2])"
    assert repr(Nothing()) == "Nothing()"


def test_they_take_no_other_names_and_match_by_position() -> None:
    assert [each.name for each in fields(Other)] == ["x", "y"]  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Other(1, z=2)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Other(1).z = 2  # type: ignore[attr-defined]
    match Other(1, 2):
        case Other(1, y):
            assert y == 2


def test_mypy_lets_nobody_change_one() -> None:
    """Here it is done, and mypy is told to be silent: a remark that silences nothing is an error of its own."""
    one = Other(1)
    one.x = 2  # type: ignore[misc]
    assert one == Other(2)


@part
class Part:
    x: int


def test_a_part_of_the_world_is_frozen_at_run_time_too() -> None:
    with pytest.raises(FrozenInstanceError):
        Part(1).x = 2  # type: ignore[misc]
    assert Part(1) == Part(1)
    assert repr(Part(1)) == "Part(x=1)"
