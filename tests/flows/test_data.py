"""A run's data: JSON and nothing else, kept by what changed, and of bounded size."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.test_keys import JSON
from torpord.flows.data import NOTHING, Conflict, Data, Patch, merge
from torpord.flows.errors import StepError

OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=5)


@dataclasses.dataclass
class Point:
    x: int


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        float("nan"),
        [{"deep": float("-inf")}, None],
        {1: "a key"},
        {"deep": [{None: 1}]},
        Point(1),
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        dt.date(2024, 1, 1),
        Text("of a class of its own"),
        "\ud800",
        2**64,
        object(),
    ],
)
def test_what_is_not_json_is_refused_by_its_key(value: Any) -> None:
    data = Data.of({"good": 1})
    with pytest.raises(StepError, match=r"run\.data\['bad'\] is not JSON: .+"):
        data.keep({"good": 2, "bad": value})
    data.restore()
    assert data.live == {"good": 1}


def test_what_is_endless_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(StepError, match="is not JSON: Recursion limit"):
        Data.of({"bad": value})


@pytest.mark.parametrize(
    ("live", "told"),
    [
        ({7: "x"}, "run.data has 7 (int) for a key"),
        ([1], "run.data is [1] (list)"),
        (None, "run.data is None (NoneType)"),
        ({"\ud800": 1}, "the key '\\ud800' is not JSON"),
    ],
)
def test_data_is_an_object_with_text_for_keys(live: Any, told: str) -> None:
    with pytest.raises(StepError) as caught:
        Data.of({}).keep(live)
    assert told in str(caught.value)


def test_null_and_its_like_are_kept() -> None:
    assert Data.of({}).keep({"a": None, "b": "null", "c": [None, {"null": False}]}).set.keys() == {"a", "b", "c"}


def test_only_what_changed_is_written() -> None:
    data = Data.of({"same": [1], "deep": {"a": [1]}, "gone": 0})
    live = data.live
    live["deep"]["a"].append((2, 3))
    live["new"] = {"x": (1,)}
    del live["gone"]
    patch = data.keep(live)
    assert patch == Patch({"deep": b'{"a":[1,[2,3]]}', "new": b'{"x":[1]}'}, ("gone",))
    assert live == {"same": [1], "deep": {"a": [1, [2, 3]]}, "new": {"x": [1]}}, "as a resumed run finds it"
    assert data.keep(live) == NOTHING


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_one_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    data = Data.of(before)
    fork = data.fork()
    patch = fork.keep(json.loads(json.dumps(after)))
    assert fork.since(data.checkpoint) == patch
    assert data.live == before, "a fork is a copy"
    data.apply(patch)
    assert data.live == fork.live == after
    assert data.checkpoint == fork.checkpoint


@given(OBJECTS, st.lists(OBJECTS, min_size=2, max_size=4))
def test_merging_takes_all_or_names_two_who_differ(base: dict[str, Any], ends: list[dict[str, Any]]) -> None:
    main = Data.of(base)
    patches: list[tuple[str, Patch]] = []
    for number, after in enumerate(ends):
        branch = main.fork()
        branch.keep(dict(after))
        patches.append((f"b{number}", branch.since(main.checkpoint)))
    merged = merge(patches)
    if isinstance(merged, Conflict):
        one, other = (dict(patches)[name] for name in merged.branches)
        assert one.set.get(merged.key) != other.set.get(merged.key)
        return
    main.apply(merged)
    for _, patch in patches:
        assert all(main.live[key] == json.loads(raw) for key, raw in patch.set.items())
        assert not main.live.keys() & set(patch.removed)


def test_the_limit_is_of_all_data_together() -> None:
    data = Data.of({"old": "x" * 600_000})
    with pytest.raises(StepError, match=r"most of it in 'old', 600009 bytes\) has 1200\d{3} bytes as JSON, over"):
        data.keep({**data.live, "new": "x" * 599_990})
    assert data.keep({**data.live, "new": "x" * 400_000}).set.keys() == {"new"}
    assert data.keep({"new": "y" * 1_000_000}).removed == ("old",)
