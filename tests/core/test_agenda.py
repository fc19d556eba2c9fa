"""The two things the many agents are kept in, beside what Python has for the same: a dict, and a sorted list."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torpord.core.agenda import CHUNK, Agenda, Item
from torpord.core.persistent import Map

tried = settings(max_examples=100, deadline=None)
# Few times and names, so that they collide; and some runs of many in order, which fill chunks.
items = st.tuples(st.sampled_from([0.0, 1.0, 2.5, 1e9]), st.sampled_from(["a", "b", "c", "d"]))
runs = st.tuples(st.integers(0, 4), st.integers(1, 3 * CHUNK)).map(
    lambda run: [(float(run[0]), f"{name:04}") for name in range(run[1])]
)
# Put in or taken out (True, False), one or many; the last way is to take every second one out.
steps = st.lists(st.tuples(st.booleans(), st.one_of(items.map(lambda item: [item]), runs)), max_size=12)


def played(steps_: list[tuple[bool, list[Item]]]) -> tuple[Agenda, set[Item]]:
    agenda, known = Agenda(), set[Item]()
    for adds, some in steps_:
        for place, item in enumerate(some):
            if adds and item not in known:
                agenda, known = agenda.with_(*item), known | {item}
            elif not adds and item in known and (place % 2 or len(some) == 1):
                agenda, known = agenda.without(*item), known - {item}
    return agenda, known


@tried
@given(steps)
def test_an_agenda_is_a_sorted_list(steps_: list[tuple[bool, list[Item]]]) -> None:
    agenda, known = played(steps_)
    ordered = sorted(known)
    assert list(agenda) == ordered
    assert len(agenda) == len(ordered)
    assert (agenda.first, agenda.last) == ((ordered[0][0], ordered[-1][0]) if ordered else (None, None))
    assert agenda == Agenda.of(known)
    assert agenda == Agenda.of(reversed(ordered))
    assert agenda != agenda.with_(7.0, "new")


@tried
@given(steps, st.sampled_from([-1.0, 0.0, 1.0, 2.0, 1e9]), st.integers(0, 300))
def test_what_is_due_and_what_lies_behind(steps_: list[tuple[bool, list[Item]]], now: float, most: int) -> None:
    agenda, known = played(steps_)
    ordered = sorted(known)
    assert agenda.due(now, most) == tuple(key for at, key in ordered if at <= now)[:most]
    for item in [(now, ""), (now, "c"), (now, "zzz"), *ordered[:: CHUNK // 2]]:
        assert list(agenda.after(*item)) == [each for each in ordered if each > item]


@tried
@given(steps)
def test_its_chunks_are_never_long_nor_many(steps_: list[tuple[bool, list[Item]]]) -> None:
    agenda, _ = played(steps_)
    sizes = [len(chunk) for chunk in agenda.chunks]
    assert all(0 < size <= CHUNK for size in sizes)
    assert all(one + other > CHUNK // 2 for one, other in pairwise(sizes))


@tried
@given(steps, items, items)
def test_a_move_is_a_leave_and_a_join(steps_: list[tuple[bool, list[Item]]], old: Item, new: Item) -> None:
    agenda, known = played([*steps_, (True, [old])])
    if (new[0], old[1]) not in known - {old}:
        assert set(agenda.moved(old[0], new[0], old[1])) == known - {old} | {(new[0], old[1])}


def test_who_lost_track_is_told() -> None:
    agenda = Agenda.of([(1.0, "a"), (2.0, "b")])
    for item in ((0.0, "a"), (1.0, "b"), (9.0, "b")):
        with pytest.raises(KeyError):
            agenda.without(*item)
    with pytest.raises(KeyError):
        agenda.with_(1.0, "a")
    with pytest.raises(KeyError):
        Agenda().without(1.0, "a")


def test_names_that_come_in_order_fill_their_chunks() -> None:
    agenda = Agenda()
    for name in range(10 * CHUNK):
        agenda = agenda.with_(float(name), "a")
    assert len(agenda.chunks) == 10


@tried
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1500), st.integers())))
def test_a_map_is_a_dict(steps_: list[tuple[bool, int, int]]) -> None:
    found: Map[int, int] = Map()
    known: dict[int, int] = {}
    for sets, key, value in steps_:
        before, had = found, dict(known)
        if sets:
            found, known[key] = found.set(key, value), value
        elif key in known:
            found = found.delete(key)
            del known[key]
        else:
            with pytest.raises(KeyError):
                found.delete(key)
        assert dict(before.items()) == had, "what was there before is as it was"
    assert dict(found.items()) == known
    assert sorted(found.keys()) == sorted(known) == sorted(found)
    assert sorted(found.values()) == sorted(known.values())
    assert len(found) == len(known)
    assert bool(found) is bool(known)
    assert found == Map.of(known) == Map.of(known.items())
    assert found != Map.of({**known, -1: 0})
    for key in (*known, 7, -1):
        assert (key in found) is (key in known)
        assert found.get(key) == known.get(key)
        assert found.get(key, "none") == known.get(key, "none")


def test_a_key_that_is_not_there_raises() -> None:
    with pytest.raises(KeyError):
        Map[str, int]()["a"]


def test_all_empty_maps_are_made_of_one_and_nothing_writes_into_it() -> None:
    one = Map[str, int]().set("a", 1).delete("a")
    assert one._parts is Map[str, int]()._parts
    assert one == Map()
    assert Map.of([("a", 1), ("a", 2)]) == Map[str, int]().set("a", 2)
    assert not any(any(leaf) for leaf in Map[str, int]()._parts)
