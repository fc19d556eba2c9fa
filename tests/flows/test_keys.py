"""Idempotency keys: the same for the same call whatever else an attempt does, and different for any other call."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpord.flows.attempt import Attempt, key_of
from torpord.flows.errors import CallUnknownError
from torpord.flows.memory import _Memory

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def attempt(**differs: Any) -> Attempt:
    made = {"origin": "r1", "branch": "", "state": "work", "visit": 1, "number": 1, **differs}
    return Attempt(journal=_Memory.__new__(_Memory), **made)


def key(at: Attempt, tool: str = "fetch", args: dict[str, Any] | None = None) -> str:
    return at.call(tool, {"u": 1} if args is None else args, "again").key


def test_a_key_is_made_of_what_is_written_down() -> None:
    parts = ["r1", "", "work", 1, "fetch", {"a": "ä", "b": [1, 2.5, None]}, 0]
    text = json.dumps(parts, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert key(attempt(), args={"b": (1, 2.5, None), "a": "ä"}) == expected


@given(ARGS)
def test_the_order_of_arguments_does_not_count(args: dict[str, Any]) -> None:
    turned = dict(reversed(list(args.items())))
    assert key(attempt(), args=args) == key(attempt(number=7), args=turned)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=8), st.randoms())
def test_other_calls_do_not_count(calls: list[tuple[str, int]], random: Any) -> None:
    """Whatever their order, and whatever is left out: the n-th call of a kind has the key of the n-th."""

    def keys(calls: list[tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
        at, found = attempt(), {}
        for tool, arg in calls:
            found.setdefault((tool, arg), []).append(key(at, tool, {"x": arg}))
        return found

    before = keys(calls)
    assert len({each for kind in before.values() for each in kind}) == len(calls)
    shuffled = [call for call in calls if random.random() < 0.7]
    random.shuffle(shuffled)
    for kind, found in keys(shuffled).items():
        assert found == before[kind][: len(found)]


@pytest.mark.parametrize(
    "differs", [{"origin": "r2"}, {"branch": "fork:1/work"}, {"state": "other"}, {"visit": 2}, {"visit": 11}]
)
def test_another_place_has_other_keys(differs: dict[str, Any]) -> None:
    assert key(attempt(**differs)) != key(attempt())
    assert attempt(**differs).key != attempt().key
    assert attempt(number=2).key == attempt().key != key(attempt())


def test_arguments_of_other_types_are_other_calls() -> None:
    values: list[Any] = [1, 1.0, True, "1", [1], None, {"1": 1}]
    assert len({key(attempt(), args={"x": value}) for value in values}) == len(values)


def test_what_was_done_is_found_and_what_failed_is_not() -> None:
    done = key(attempt())
    assert attempt(recorded={done: {"status": "done", "result": [1]}}).call("fetch", {"u": 1}, "fail").result == [1]
    assert not attempt(recorded={done: {"status": "failed"}}).call("fetch", {"u": 1}, "fail").done
    begun = {done: {"status": "begun"}}
    assert not attempt(recorded=begun).call("fetch", {"u": 1}, "again").done
    with pytest.raises(CallUnknownError, match="the call 'fetch' was begun in an earlier attempt"):
        attempt(recorded=begun).call("fetch", {"u": 1}, "fail")


def test_keys_are_for_json_only() -> None:
    assert key_of("a", 1) != key_of("a", "1")
