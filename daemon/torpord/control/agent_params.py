"""The kinds of parameter that only agents and slots have; as in `params.py`.

Those without a field are plain classes: as dataclasses they would add milliseconds to every start, and nothing else.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from torpord.control.params import Kind, Text
from torpord.core.value import value

# A time beyond these can be written with some offset and not in UTC, or the other way round.
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
_MOMENT_CHARS = 64

MAX_HEADERS = 128
MAX_HEADER_CHARS = 1024
MAX_WORDS = 64
MAX_COMMAND_CHARS = 4096


class Moment:
    """A time of the wall clock as ISO 8601, with an offset: who leaves it out means a place that nobody here knows."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        if not isinstance(value, str) or len(value) > _MOMENT_CHARS:
            return False
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return False
        return at.utcoffset() is not None and _FIRST <= at < _LAST

    def __str__(self) -> str:
        return 'a time in ISO 8601, which has to name an offset: "2026-11-21T18:00:00+01:00", or Z for UTC'


def wall_s(moment: str) -> float:
    """Return the epoch seconds of what `Moment` takes."""
    return datetime.fromisoformat(moment).timestamp()


@value
class Name:
    """A name of up to `most` characters that somebody can see."""

    most: int

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return Text(self.most).takes(value) and not value.isspace()

    def __str__(self) -> str:
        return f"{Text(self.most)}, not blanks alone"


class CommandLine:
    """A command: a text for /bin/sh, or a list of arguments, the first of which is the program."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        if isinstance(value, str):
            return Text().takes(value) and not value.isspace()
        if not isinstance(value, list) or not 0 < len(value) <= MAX_WORDS or value[0] == "":
            return False
        # An argument may be empty. All of them together have a bound, too: they are shown in a reply, with much else.
        return all(each == "" or Text().takes(each) for each in value) and sum(map(len, value)) <= MAX_COMMAND_CHARS

    def __str__(self) -> str:
        return (
            f"a command: {Text()} for the shell, or a list of 1 to {MAX_WORDS} such texts, {MAX_COMMAND_CHARS}"
            " characters together"
        )


class Headers:
    """The headers of a provider's answer: an object of texts and numbers, at most so many and so long."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, dict) and len(value) <= MAX_HEADERS and all(map(_is_header, value, value.values()))

    def __str__(self) -> str:
        return (
            f"an object of up to {MAX_HEADERS} headers, each name of up to 128 characters with a number or a text of up"
            f" to {MAX_HEADER_CHARS}"
        )


def _is_header(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return len(name) <= 128 and len(value) <= MAX_HEADER_CHARS
    return len(name) <= 128 and not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


class Anything:
    """Any JSON; how large and how deep, the method says."""

    def takes(self, value: Any) -> bool:  # noqa: ARG002 - as every kind has it
        """Whether it is one."""
        return True

    def __str__(self) -> str:
        return "any JSON"


@value
class Either:
    """One kind or the other."""

    first: Kind
    second: Kind

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return self.first.takes(value) or self.second.takes(value)

    def __str__(self) -> str:
        return f"{self.first}, or {self.second}"


class Nothing:
    """JSON's null: what was there before is to be forgotten."""

    def takes(self, value: Any) -> bool:
        """Whether it is one."""
        return value is None

    def __str__(self) -> str:
        return "null"
