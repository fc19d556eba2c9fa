"""`dataclasses.replace` for the world's parts: the same, in a third of its time.

Every record makes new parts of old ones, and on a busy day that is what most of the daemon's own time goes to: the
standard one asks each field, one by one, whether it may be replaced. A part has no field that may not, and nothing
happens when it is made, so all its values are fetched at once. `copy.replace` of Python 3.13 is the standard one.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _names(kind: Any) -> tuple[tuple[str, ...], attrgetter[tuple[Any, ...]]]:
    """Return the fields of a class, of which there are at least two, and what fetches them."""
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


def replace(part: T, **changes: Any) -> T:
    """Return a part of the world with some values changed. Raises TypeError for a name it does not have."""
    kind: Any = type(part)
    names, values = _names(kind)
    changed: T = kind(**{**dict(zip(names, values(part), strict=True)), **changes})
    return changed
