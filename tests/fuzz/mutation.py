"""Inputs that are nearly right: what is changed is a value, a name or a few bytes of something that would be taken."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

# What readers of numbers, texts and depths stumble over. The large ones are few: they make a round slow.
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 5e-324, 2**31, 2**53, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 10**40,
    -(2**63), float("nan"), float("inf"), "", " ", "x", "\x00", "\n", "\x1b[2J", "\ud800", "\ufeff", "\u2028", "é",
    "😀", "../x", "-", "0", "1e9", "NaN", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-11-21T16:00:00Z", "x" * 129, "x" * 1025, "é" * 4097, [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}},
    [{}] * 65,
)  # fmt: skip
_LARGE: tuple[Any, ...] = ("x" * 70_000, ["x"] * 5_000, {f"k{n}": n for n in range(2_000)}, 10**5_000)
# Deeper than Python writes, and than it counts: it stands for this, and `written` puts it there.
_DEEP = "@deep"
_DEEP_TEXT = b"[" * 1500 + b"]" * 1500
_TOKENS = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\r\n", b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"NaN", b"Infinity", b"1e999", b"-0", b"00", b"null", b"true", b" ", b"\t",
    b"#", b"'", b'"""', b"=", b"[[", b"]]", b".", b"/*", b"9" * 400, b"[" * 300, b'{"a":' * 300, b"\x85", b"\x1b",
)  # fmt: skip


def nested(depth: int, dice: Random) -> Any:
    """Return something so many levels deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if dice.random() < 0.7 else {"a": value}
    return value


def odd(dice: Random, words: Sequence[Any]) -> Any:
    """Return a value that may stand anywhere and belongs hardly anywhere; `words`: such that belong somewhere."""
    found = _odd(dice, words)
    return copy.deepcopy(found) if isinstance(found, list | dict) else found  # it is changed where it then stands


def _odd(dice: Random, words: Sequence[Any]) -> Any:
    chance = dice.random()
    if chance < 0.4 and words:
        return dice.choice(words)
    if chance < 0.9:
        return dice.choice(NASTY)
    if chance < 0.91:
        return _DEEP
    if chance < 0.96:
        return nested(dice.choice((2, 100, 127, 128, 129, 130, 253, 254, 255, 300)), dice)
    return dice.choice(_LARGE) if chance < 0.965 else dice.uniform(-1e12, 1e12)


def json_mutated(value: Any, dice: Random, words: Sequence[Any] = ()) -> Any:
    """Change a few places of a JSON value; it is changed itself where it is an object or a list."""
    holder = [value]
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        outer, at = _somewhere(holder, dice)
        _change(outer, at, dice, words)
        if not holder:
            holder.append(odd(dice, words))
    return holder[0]


def _somewhere(holder: list[Any], dice: Random) -> tuple[Any, Any]:
    outer: Any = holder
    at: Any = 0
    while True:
        inner = outer[at]
        if not isinstance(inner, dict | list) or not inner or dice.random() < 0.15:
            return outer, at
        outer, at = inner, dice.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))


def _change(outer: Any, at: Any, dice: Random, words: Sequence[Any]) -> None:
    value = outer[at]
    match dice.randrange(10):
        case 0:
            del outer[at]
        case 1 if isinstance(outer, dict):
            name = dice.choice(words) if words and dice.random() < 0.7 else dice.choice(("", "key", "x" * 70, "\ud800"))
            outer[str(name)] = outer.pop(at) if dice.random() < 0.5 else odd(dice, words)
        case 1:
            outer.insert(at, value)
        case 2 if isinstance(value, str):
            outer[at] = text_mutated(value, dice)
        case 2 if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            outer[at] = dice.choice((value + 1, value - 1, -value, value * 1e6, str(value), value + 0.5))
        case 3:
            outer[at] = [value] if dice.random() < 0.5 else {"a": value}
        case _:
            outer[at] = odd(dice, words)


def text_mutated(text: str, dice: Random) -> str:
    """Change a few characters."""
    at = dice.randint(0, len(text))
    odd_one = dice.choice(("\x00", "\n", "é", "\ud800", "\u202e", " ", "/", ".", "-", "9", "😀", "\x7f"))
    match dice.randrange(4):
        case 0:
            return text[:at] + odd_one + text[at:]
        case 1:
            return text[:at]
        case 2:
            return text[:at] + text[at + 1 :]
        case _:
            return text * dice.choice((2, 2, 10, 200))


def bytes_mutated(data: bytes, dice: Random, tokens: Sequence[bytes] = ()) -> bytes:
    """Change a few bytes, wherever they are."""
    found = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        at = dice.randint(0, len(found))
        match dice.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << dice.randrange(8)
            case 1 if at < len(found):
                found[at] = dice.randrange(256)
            case 2:
                del found[at : at + dice.choice((1, 2, 4, 16, 64, 1024))]
            case 3:
                found[at:at] = found[at : at + dice.choice((1, 4, 32, 256))]
            case _:
                found[at:at] = dice.choice((*_TOKENS, *tokens))
    return bytes(found)


def written(value: Any, dice: Random) -> bytes:
    """Write a JSON value; what UTF-8 cannot say (half a surrogate pair) as an escape."""
    return _written(value, dice).replace(f'"{_DEEP}"'.encode(), _DEEP_TEXT, 1)


def _written(value: Any, dice: Random) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=dice.random() < 0.3, separators=(",", ":")).encode()
    except (UnicodeEncodeError, ValueError, RecursionError):  # ValueError: Python writes no number of 5,000 digits
        return json.dumps(value, default=str, skipkeys=True).encode() if not _is_huge(value) else b"9" * 5_000


def _is_huge(value: Any) -> bool:
    try:
        json.dumps(value)
    except (ValueError, RecursionError):
        return True
    return False
