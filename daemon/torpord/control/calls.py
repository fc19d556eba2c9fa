"""A request as the methods see it, and what a method is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torpord.control.desk import Desk
from torpord.control.params import Param
from torpord.core import events as ev
from torpord.core.value import value


@dataclass(slots=True)  # not frozen, as framing.Request
class Call:
    """One request, checked: its parameters, who sent it, and over which connection (None: a file in `wake.d/`).

    `left_wall_s`: when such a file was written. What it says of times counts from then, and not from when it is read.
    """

    desk: Desk
    params: Mapping[str, Any]
    cause: ev.Cause
    connection: int | None
    left_wall_s: float | None = None

    @property
    def said_wall_s(self) -> float:
        """When it was said. A file's time that lies ahead is a clock's that was set back meanwhile."""
        now_s = self.desk.now().wall_s
        return now_s if self.left_wall_s is None else min(self.left_wall_s, now_s)

    @property
    def said_ts(self) -> float | None:
        """When it was said, if that was not just now: then it may be older than what is known."""
        return None if self.left_wall_s is None else self.said_wall_s


@value
class Method:
    """A row. One of `change`, `look` and `read` is set, but for what the connection itself does: then none.

    A change makes an event for the writer. A look answers from the world as it is; a read takes the store's time. Where
    `looks` says so of its parameters, a method that has a change, too, only looks. `before` may refuse a call before
    its parameters are looked at.
    """

    name: str
    doc: str
    params: Mapping[str, Param] = field(default_factory=dict)
    change: Callable[[Call], ev.Event] | None = None
    look: Callable[[Call], Any] | None = None
    read: Callable[[Call], Awaitable[Any]] | None = None
    looks: Callable[[Mapping[str, Any]], bool] | None = None
    before: Callable[[Call], None] | None = None

    def changes(self, params: Mapping[str, Any]) -> bool:
        """Whether a request with these parameters may change anything."""
        return self.change is not None and not (self.looks is not None and self.looks(params))
