"""What a parameter may be: each kind checks one value and says, in words, what it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from torpor import wire
from torpord.core.draft import Refusal
from torpord.core.value import value


class RefusedError(Exception):
    """A request that cannot be taken as it is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Kind(Protocol):
    """A kind of value."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        ...

    def __str__(self) -> str:
        """Say what it is, to follow "takes"."""
        ...


@value
class Text:
    """A text of 1 to `most` characters, none of them a control character."""

    most: int = wire.MAX_TEXT_CHARS

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, str) and 0 < len(value) <= self.most and value.isprintable()

    def __str__(self) -> str:
        return f"a text of 1 to {self.most} printable characters"


@value
class Number:
    """A number from `least` to `most`; `whole` ones only where it says so."""

    least: float
    most: float
    whole: bool = False

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        kinds = int if self.whole else int | float
        numeric = isinstance(value, kinds) and not isinstance(value, bool)
        return numeric and math.isfinite(value) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least:g} to {self.most:g}"


@value
class Flag:
    """True or false."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


@value
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@value
class Words:
    """A list of up to 64 words."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, list) and len(value) <= 64 and all(Text(64).takes(each) for each in value)

    def __str__(self) -> str:
        return "a list of up to 64 words"


@value
class Value:
    """A JSON object, with anything in it."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, dict)

    def __str__(self) -> str:
        return "a JSON object"


@value
class Piece:
    """Any text up to `most` characters, as a piece of a document is."""

    most: int = wire.MAX_PIECE_CHARS

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, str) and len(value) <= self.most

    def __str__(self) -> str:
        return f"a text of up to {self.most} characters"


@value
class Client:
    """What a client says of itself: an object with a name and a version."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, dict) and all(Text(128).takes(value.get(each)) for each in ("name", "version"))

    def __str__(self) -> str:
        return "an object with name and version"


@value
class Param:
    """A parameter of a method."""

    kind: Kind
    required: bool = False


def check(method: str, params: Mapping[str, Any], known: Mapping[str, Param]) -> None:
    """Refuse unknown, missing and ill-formed parameters, naming the field. Raises RefusedError."""
    for name, given in params.items():
        param = known.get(name)
        if param is None:
            takes = ", ".join(known) or "none"
            raise _refused(name, f"{method} has no parameter {name[:64]!r}; it takes {takes}")
        if not param.kind.takes(given):
            raise _refused(name, f"{name} of {method} takes {param.kind}")
    for name, param in known.items():
        if param.required and name not in params:
            raise _refused(name, f"{method} needs {name}: {param.kind}")


def _refused(field: str, message: str) -> RefusedError:
    return RefusedError(Refusal("invalid_params", message, {"field": field[:64]}))
