"""What events, records and effects are made of: slotted dataclasses that nobody changes, with little generated code.

`dataclasses` writes six functions for each frozen class and compiles them at import: that was half of the time of the
daemon's imports. Here the constructor is generated and nothing else; the others are the same for all. That no field is
set again is checked by mypy (`frozen_default`) and not at run time: a frozen class takes three times as long to make,
and one of these is made for every event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make such a class of `cls`: equal, and of one hash, where the class and all fields are."""
    made: Any = dataclass(slots=True, eq=False, repr=False)(cls)
    names = tuple(made.__dataclass_fields__)
    of: Callable[[Any], Any] = attrgetter(*names) if names else lambda _: ()

    def equal(self: T, other: object) -> bool:
        return of(self) == of(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: T) -> int:
        return hash((made, of(self)))

    def shown(self: T) -> str:
        return f"{made.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    made.__eq__, made.__hash__, made.__repr__ = equal, hashed, shown
    frozen: type[T] = made
    return frozen
