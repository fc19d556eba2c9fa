"""An agenda: names at times, in order, never changed. Every change gives another one and shares most of it.

A sorted sequence in chunks of at most `CHUNK`: a change copies one chunk and the tuple of chunks, O(√n) pointers and
about 2 us with 100,000 entries. A heap would not give one entry back that is not the first, and buckets of time would
be exact for nobody, and have to be looked into again and again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter

Item = tuple[float, str]

CHUNK = 128
# Two neighbours that have no more together become one: so there are never many more chunks than n / 32.
_FEW = CHUNK // 2
_last = itemgetter(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Agenda:
    """Names, each at a time, by (time, name). A name may be there at several times; who files it knows at which."""

    chunks: tuple[tuple[Item, ...], ...] = ()  # none of them empty
    size: int = 0

    @staticmethod
    def of(items: Iterable[Item]) -> Agenda:
        """Build one at once: O(n) where they come in order, as the store gives them."""
        ordered = sorted(items)
        return Agenda(tuple(tuple(ordered[i : i + CHUNK]) for i in range(0, len(ordered), CHUNK)), len(ordered))

    def with_(self, at: float, key: str) -> Agenda:
        """Return this with a name at a time. Raises KeyError if it is there at that time already."""
        item, chunks = (at, key), self.chunks
        place = bisect_left(chunks, item, key=_last)
        if place == len(chunks):
            # Behind all others. A last chunk that is full stays so: names that come in order leave no half ones behind.
            if not chunks or len(chunks[-1]) == CHUNK:
                return Agenda((*chunks, (item,)), self.size + 1)
            return Agenda((*chunks[:-1], (*chunks[-1], item)), self.size + 1)
        chunk = chunks[place]
        at_place = bisect_left(chunk, item)
        if chunk[at_place] == item:
            raise KeyError(item)
        grown = (*chunk[:at_place], item, *chunk[at_place:])
        halves = (grown,) if len(grown) <= CHUNK else (grown[:_FEW], grown[_FEW:])
        return Agenda((*chunks[:place], *halves, *chunks[place + 1 :]), self.size + 1)

    def without(self, at: float, key: str) -> Agenda:
        """Return this without a name at a time. Raises KeyError if it is not there: who lost track must be seen."""
        item, chunks = (at, key), self.chunks
        place = bisect_left(chunks, item, key=_last)
        chunk = chunks[place] if place < len(chunks) else ()
        at_place = bisect_left(chunk, item)
        if at_place == len(chunk) or chunk[at_place] != item:
            raise KeyError(item)
        rest = (*chunk[:at_place], *chunk[at_place + 1 :])
        first, behind = place, place + 1
        if place and len(chunks[place - 1]) + len(rest) <= _FEW:
            first, rest = place - 1, (*chunks[place - 1], *rest)
        elif behind < len(chunks) and len(rest) + len(chunks[behind]) <= _FEW:
            behind, rest = behind + 1, (*rest, *chunks[behind])
        return Agenda((*chunks[:first], *((rest,) if rest else ()), *chunks[behind:]), self.size - 1)

    def moved(self, old_at: float, new_at: float, key: str) -> Agenda:
        """Return this with a name at another time. Raises KeyError as the two it is made of."""
        return self if old_at == new_at else self.without(old_at, key).with_(new_at, key)

    @property
    def first(self) -> float | None:
        """The first time there is; None where there is none."""
        return self.chunks[0][0][0] if self.chunks else None

    @property
    def last(self) -> float | None:
        """The last time there is; None where there is none."""
        return self.chunks[-1][-1][0] if self.chunks else None

    def due(self, now: float, most: int) -> tuple[str, ...]:
        """Return the first names whose time has come, `most` of them at most."""
        found: list[str] = []
        for at, key in chain.from_iterable(self.chunks):
            if at > now or len(found) == most:
                break
            found.append(key)
        return tuple(found)

    def after(self, at: float, key: str) -> Iterator[Item]:
        """Give what lies behind a name at a time, in order, whether that is there or not: the next page."""
        item = (at, key)
        place = bisect_right(self.chunks, item, key=_last)
        if place == len(self.chunks):
            return iter(())
        chunk = self.chunks[place]
        return chain(chunk[bisect_right(chunk, item) :], chain.from_iterable(islice(self.chunks, place + 1, None)))

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self.chunks)

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        # By what is in it: where it was cut depends on the way it came about, which the store does not keep.
        if not isinstance(other, Agenda):
            return NotImplemented
        return self.size == other.size and (self.chunks == other.chunks or all(map(tuple.__eq__, self, other)))

    __hash__ = None  # type: ignore[assignment]  # nothing looks one up
