"""A map that is never changed: `set` and `delete` give another one, and share with it nearly all they are made of.

The world is one value, and what a decision makes of it may be thrown away. So with 100,000 agents a heartbeat must not
copy them. This is a tuple of `WIDTH` tuples of `WIDTH` small dicts, chosen by the key's hash: a change copies one of
each, some 3 us with 100,000 entries and 1.5 us with 100. (One tuple of 512 dicts is simpler, and copies 900 references
to things that lie all over the memory.) All that is empty is shared, so an empty map costs no memory.

It is our own, because `immutables` has no wheels for Python 3.14 and would ask users for a compiler, `rpds-py` brings
1.3 MB into a process that is to stay under 32, and `pyrsistent` is slow and unmaintained.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Generic, TypeVar, overload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

WIDTH = 64  # a power of two; its square, times some dozens of entries in each dict, is wire.MAX_AGENTS
_BITS, _LOW, _PLACES = 6, WIDTH - 1, WIDTH * WIDTH - 1
_EMPTY: dict[object, object] = {}
_LEAF: tuple[dict[object, object], ...] = (_EMPTY,) * WIDTH
_NONE: tuple[tuple[dict[object, object], ...], ...] = (_LEAF,) * WIDTH


class Map(Generic[K, V]):
    """Values by key. The order of its keys is unspecified and another one in each process: who decides by it sorts."""

    __slots__ = ("_parts", "_size")
    __hash__ = None  # type: ignore[assignment]  # as a dict's: its values may have none

    def __init__(self) -> None:
        self._parts: tuple[tuple[dict[K, V], ...], ...] = _NONE  # type: ignore[assignment]  # nobody writes into one
        self._size = 0

    @staticmethod
    def of(pairs: Mapping[K, V] | Iterable[tuple[K, V]]) -> Map[K, V]:
        """Build one at once, which is many times faster than one by one. Of a key that comes twice, the last counts."""
        parts: dict[int, dict[K, V]] = {}
        for key, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            parts.setdefault(hash(key) & _PLACES, {})[key] = value
        rows = {place >> _BITS for place in parts}
        leaves = tuple(
            tuple(parts.get(row << _BITS | place, _EMPTY) for place in range(WIDTH)) if row in rows else _LEAF
            for row in range(WIDTH)
        )
        return _map(leaves, sum(map(len, parts.values())))  # type: ignore[arg-type]  # as above

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: T) -> V | T: ...
    def get(self, key: K, default: T | None = None) -> V | T | None:
        """Return the value of a key, or `default`."""
        place = hash(key)
        return self._parts[place >> _BITS & _LOW][place & _LOW].get(key, default)

    def __getitem__(self, key: K) -> V:
        place = hash(key)
        return self._parts[place >> _BITS & _LOW][place & _LOW][key]

    def __contains__(self, key: K) -> bool:
        place = hash(key)
        return key in self._parts[place >> _BITS & _LOW][place & _LOW]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        return self.keys()

    def set(self, key: K, value: V) -> Map[K, V]:
        """Return this with the key's value changed, or added."""
        place = hash(key)
        part = self._parts[place >> _BITS & _LOW][place & _LOW].copy()
        size = self._size - len(part)
        part[key] = value
        return _map(_changed(self._parts, place, part), size + len(part))

    def delete(self, key: K) -> Map[K, V]:
        """Return this without a key. Raises KeyError if it is not there: who lost track must be seen."""
        place = hash(key)
        part = self._parts[place >> _BITS & _LOW][place & _LOW].copy()
        del part[key]
        if self._size == 1:
            return Map()
        return _map(_changed(self._parts, place, part or _EMPTY), self._size - 1)

    def keys(self) -> Iterator[K]:
        """Give every key."""
        return chain.from_iterable(self._dicts())

    def values(self) -> Iterator[V]:
        """Give every value."""
        return chain.from_iterable(part.values() for part in self._dicts())

    def items(self) -> Iterator[tuple[K, V]]:
        """Give every key with its value."""
        return chain.from_iterable(part.items() for part in self._dicts())

    def _dicts(self) -> Iterator[dict[K, V]]:
        return (part for leaf in self._parts if leaf is not _LEAF for part in leaf if part)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Map):
            return NotImplemented
        return self._size == other._size and self._parts == other._parts

    def __repr__(self) -> str:
        return f"Map.of({dict(self.items())!r})"


def _changed(
    parts: tuple[tuple[dict[K, V], ...], ...], place: int, part: dict[K, V]
) -> tuple[tuple[dict[K, V], ...], ...]:
    row, column = place >> _BITS & _LOW, place & _LOW
    leaf, leaves = list(parts[row]), list(parts)
    leaf[column] = part
    leaves[row] = tuple(leaf)
    return tuple(leaves)


def _map(parts: tuple[tuple[dict[K, V], ...], ...], size: int) -> Map[K, V]:
    made: Map[K, V] = Map.__new__(Map)
    made._parts = parts  # noqa: SLF001  # the constructor makes the empty one, as others use it
    made._size = size  # noqa: SLF001  # likewise
    return made
