"""What the daemon is made of: slotted dataclasses that nobody changes, with little generated code.

`dataclasses` writes six functions for each frozen class and compiles them at import: that was half of the time of the
daemon's imports. Here `__eq__`, `__hash__` and `__repr__` are the same for all. What a start does not load may as well
be a plain frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make an event, a record, or what is handed from room to room: equal, and of one hash, where class and fields are.

    That no field is set again is checked by mypy (`frozen_default`) and not at run time: a frozen class takes three
    times as long to make, and one of these is made for every event.
    """
    made: type[T] = _alike(dataclass(slots=True, eq=False, repr=False)(cls))
    return made


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def part(cls: type[T]) -> type[T]:
    """Make a part of the world: likewise, and frozen at run time, too. Copies are made by `replacing`."""
    made: type[T] = _alike(dataclass(frozen=True, slots=True, eq=False, repr=False)(cls))
    return made


def _alike(made: Any) -> Any:
    names = tuple(made.__dataclass_fields__)
    of: Callable[[Any], Any] = attrgetter(*names) if names else lambda _: ()

    def equal(self: Any, other: object) -> bool:
        return of(self) == of(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash((made, of(self)))

    def shown(self: Any) -> str:
        return f"{made.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    made.__eq__, made.__hash__, made.__repr__ = equal, hashed, shown
    return made
