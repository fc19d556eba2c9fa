"""The wire: the bytes that one connection sends, in whatever pieces, up to the decided world and the answers' lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson

from fuzz.mutation import NASTY, bytes_mutated, json_mutated, written
from fuzz.requests import REQUESTS, WORDS
from fuzz.seat import Seat, refused
from torpord.control import framing

_TOKENS = tuple(json.dumps(word).encode() for word in WORDS)
_MOST_LINES = 8


class WireLines:
    """Requests as they arrive. An input's first byte says in what pieces they do, which must make no difference."""

    name = "wire"

    def __init__(self) -> None:
        self._seat = Seat()

    def close(self) -> None:
        """Close what it decides in."""
        self._seat.close()

    def seeds(self) -> Sequence[bytes]:
        """One of each request."""
        return [b"\x00" + line_of(method, params) for method, params in REQUESTS]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change lines as objects, more often than as bytes; put several behind each other."""
        lines = data[1:].split(b"\n")[:_MOST_LINES]
        if dice.random() < 0.2:
            method, params = dice.choice(REQUESTS)
            lines.insert(dice.randint(0, len(lines)), line_of(method, params)[:-1])
        at = dice.randrange(len(lines))
        lines[at] = mutated_line(lines[at], dice)
        found = b"\n".join(lines)
        if dice.random() < 0.25:
            found = bytes_mutated(found, dice, _TOKENS)
        return bytes([dice.randrange(256)]) + found

    def one(self, data: bytes) -> Sequence[str]:
        """Take all that a connection sent."""
        self._seat.begin()
        return [self._answer(line) for line in self._lines(data) if line.strip()]

    def _lines(self, data: bytes) -> list[bytes]:
        piece, sent = data[0] if data else 0, data[1:]
        whole = framing.Lines()
        expected = [*whole.feed(sent), *whole.end()]
        if piece:
            pieces = framing.Lines()
            found = [line for at in range(0, len(sent), piece) for line in pieces.feed(sent[at : at + piece])]
            assert [*found, *pieces.end()] == expected, "the pieces in which it came made a difference"
        return expected

    def _answer(self, line: bytes) -> str:
        request = framing.parse(line)
        if isinstance(request, tuple):
            return refused(*request)
        return self._seat.take(request)


def mutated_line(line: bytes, dice: Random) -> bytes:
    """Change a request as the object it is, mostly among its params."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return bytes_mutated(line, dice, _TOKENS)
    if isinstance(message, dict) and isinstance(message.get("params"), dict) and dice.random() < 0.85:
        if dice.random() < 0.1:
            message["params"]["key"] = dice.choice(("k", "x" * 128, "x" * 129, *NASTY))
        message["params"] = json_mutated(message["params"], dice, WORDS)
    else:
        message = json_mutated(message, dice, WORDS)
    return written(message, dice).replace(b"\n", b" ")


def line_of(method: str, params: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"
