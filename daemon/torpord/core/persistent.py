"""A map that is never changed: `set` and `delete` give another one, and share with it nearly all they are made of.

The world is one value, and what a decision makes of it may be thrown away. So with 100,000 agents a heartbeat must not
copy them. This is a tuple of `PARTS` small dicts, chosen by the key's hash: a change copies one of them and the tuple,
about 2 us with 100,000 entries and 1 us with 100. All empty dicts are one, so an empty map costs no memory.

It is our own, because `immutables` has no wheels for Python 3.14 and would ask users for a compiler, `rpds-py` brings
1.3 MB into a process that is to stay under 32, and `pyrsistent` is slow and unmaintained.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar, overload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

# A power of two near the square root of the most entries there are (wire.MAX_AGENTS): both copies are then as short.
PARTS = 512
_EMPTY: dict[object, object] = {}
_NONE: tuple[dict[object, object], ...] = (_EMPTY,) * PARTS


class Map(Generic[K, V]):
    """Values by key. The order of its keys is unspecified and another one in each process: who decides by it sorts."""

    __slots__ = ("_parts", "_size")
    __hash__ = None  # type: ignore[assignment]  # as a dict's: its values may have none

    def __init__(self) -> None:
        self._parts: tuple[dict[K, V], ...] = _NONE  # type: ignore[assignment]  # nobody ever writes into one
        self._size = 0

    @staticmethod
    def of(pairs: Mapping[K, V] | Iterable[tuple[K, V]]) -> Map[K, V]:
        """Build one at once, which is many times faster than one by one. Of a key that comes twice, the last counts."""
        parts: list[dict[K, V]] = list(_NONE)  # type: ignore[arg-type]  # none of which is written into
        for key, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            place = hash(key) % PARTS
            if parts[place] is _EMPTY:
                parts[place] = {}
            parts[place][key] = value
        return _map(tuple(parts), sum(map(len, parts)))

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: T) -> V | T: ...
    def get(self, key: K, default: T | None = None) -> V | T | None:
        """Return the value of a key, or `default`."""
        return self._parts[hash(key) % PARTS].get(key, default)

    def __getitem__(self, key: K) -> V:
        return self._parts[hash(key) % PARTS][key]

    def __contains__(self, key: K) -> bool:
        return key in self._parts[hash(key) % PARTS]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        return self.keys()

    def set(self, key: K, value: V) -> Map[K, V]:
        """Return this with the key's value changed, or added."""
        place = hash(key) % PARTS
        part = self._parts[place].copy()
        part[key] = value
        return self._with(place, part)

    def delete(self, key: K) -> Map[K, V]:
        """Return this without a key. Raises KeyError if it is not there: who lost track must be seen."""
        place = hash(key) % PARTS
        part = self._parts[place].copy()
        del part[key]
        return self._with(place, part or _EMPTY)  # type: ignore[arg-type]

    def _with(self, place: int, part: dict[K, V]) -> Map[K, V]:
        parts = self._parts
        size = self._size + len(part) - len(parts[place])
        return _map((*parts[:place], part, *parts[place + 1 :]) if size else _NONE, size)  # type: ignore[arg-type]

    def keys(self) -> Iterator[K]:
        """Give every key."""
        return (key for part in self._parts if part for key in part)

    def values(self) -> Iterator[V]:
        """Give every value."""
        return (value for part in self._parts if part for value in part.values())

    def items(self) -> Iterator[tuple[K, V]]:
        """Give every key with its value."""
        return (pair for part in self._parts if part for pair in part.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Map):
            return NotImplemented
        return self._size == other._size and self._parts == other._parts

    def __repr__(self) -> str:
        return f"Map.of({dict(self.items())!r})"


def _map(parts: tuple[dict[K, V], ...], size: int) -> Map[K, V]:
    made: Map[K, V] = Map.__new__(Map)
    made._parts = parts  # noqa: SLF001  # the constructor makes the empty one, as others use it
    made._size = size  # noqa: SLF001  # likewise
    return made
