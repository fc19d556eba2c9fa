"""How single values are read: each function takes what TOML gave and returns what the daemon works by.

All of them raise BadValueError, whose text says what the key takes; who called knows the key, the value and the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torpord.core import durations

_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

LEAST_TIMEOUT_S = 0.1

Command = str | tuple[str, ...]
# Where in the settings: the keys down to it, and in an array of tables the place from 0.
Place = tuple[str | int, ...]


class BadValueError(Exception):
    """What a key takes, to stand behind "is not"."""


class FaultError(Exception):
    """Something is wrong in the settings, at this place; the text says what, and what to do."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place


def duration(value: Any) -> float:
    """Read "5m", "90s", "1h30m" or a number of seconds; returns seconds."""
    try:
        return durations.seconds(value)
    except ValueError:
        raise BadValueError('a duration of up to a year, such as "90s", "5m" or "1h30m"') from None


def timeout(value: Any) -> float:
    """Read how long to wait for a word of somebody: with none at all nobody could ever be there."""
    found = duration(value)
    if found < LEAST_TIMEOUT_S:
        raise BadValueError('a duration from "100ms" to a year, such as "2m"')
    return found


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise BadValueError("true or false")
    return value


def one_of(*words: str) -> Callable[[Any], str]:
    """Make a reader that takes one of these words."""

    def read(value: Any) -> str:
        if value not in words:
            raise BadValueError(" or ".join(f'"{word}"' for word in words))
        return str(value)

    return read


def whole_number(most: int) -> Callable[[Any], int]:
    """Make a reader that takes a whole number from 0 to `most`."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BadValueError(f"a whole number from 0 to {most}")
        return value

    return read


def percent(value: Any) -> float:
    """Read a share of all cores."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise BadValueError("a percentage of all cores, over 0 and up to 100")
    return float(value)


def window(value: Any) -> str:
    """Read a time of day; "" is any time."""
    if not isinstance(value, str) or (value and not _WINDOW.fullmatch(value)):
        raise BadValueError('a time of day such as "22:00-06:00", or "" for any time')
    return value


def name(value: Any) -> str:
    """Read the name of a flow or a step."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadValueError("a name: 1 to 64 letters, digits, and the characters _ . -")
    return value


def names(value: Any) -> list[str]:
    """Read a list of names with at least one in it."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise BadValueError('a list of names: ["first", "second"]')
    return value


def command(value: Any) -> Command:
    """Read a command: a string for the shell, or a list of arguments."""
    # No argument of a program can hold a NUL: execve(2) takes strings that end with one.
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    words = isinstance(value, list) and all(isinstance(word, str) and "\0" not in word for word in value)
    if words and value and value[0]:
        return tuple(value)
    raise BadValueError('a command: a string for the shell, or a list of strings: ["notify-send", "awake"]')


def commands(value: Any) -> tuple[Command, ...]:
    """Read a list of commands."""
    try:
        return tuple(command(each) for each in (value if isinstance(value, list) else [None]))
    except BadValueError as error:
        hint = 'a list of commands, each a string for the shell or a list of strings: ["notify-send awake"]'
        raise BadValueError(hint) from error
