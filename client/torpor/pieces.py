"""Whole runs on the wire: a run's document is longer than a line may be, and goes in pieces.

Generators, as those of `torpor.talk`, so that both clients drive them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torpor import calls, wire
from torpor.errors import ProtocolError, Refused

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from torpor.talk import Step, Talk

# All of it is ASCII (`json.dumps`), so a piece is at most twice as long in its line: see wire.MAX_PIECE_CHARS.
PIECE_CHARS = wire.MAX_PIECE_CHARS // 2


def exported(talker: Talk, run_id: str) -> Generator[Step, Any, dict[str, Any]]:
    """Return the whole document of a run. Raises what `Talk.ask` raises."""
    texts: list[str] = []
    cursor: str | None = None
    while cursor is not None or not texts:
        piece = yield from talker.ask(calls.run_export(run_id, cursor))
        texts.append(piece["text"])
        cursor = piece["cursor"]
    try:
        document = json.loads("".join(texts))
    except (ValueError, RecursionError) as error:  # the latter where it nests deeper than Python counts
        told = f"what the daemon exported of run {run_id} is no JSON ({error})"
        raise ProtocolError(f"{told}: if it changed meanwhile, pause it and ask again") from error
    if not isinstance(document, dict):
        raise ProtocolError(f"what the daemon exported of run {run_id} is no JSON object")
    return document


def imported(talker: Talk, document: Mapping[str, Any], key: str) -> Generator[Step, Any, dict[str, Any]]:
    """Give `document` and return what became of it. With the same `key` it is applied once, however often it is given.

    Where the daemon was restarted in the middle it has forgotten the pieces it had: then once more from the beginning.
    Raises what `Talk.ask` raises; the built-in TypeError or ValueError for what is no JSON.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    pieces = [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]
    try:
        return (yield from _given(talker, pieces, key))
    except Refused as refusal:
        if refusal.name != "not_found" or len(pieces) == 1:
            raise
    return (yield from _given(talker, pieces, key))


def _given(talker: Talk, pieces: Sequence[str], key: str) -> Generator[Step, Any, dict[str, Any]]:
    cursor: str | None = None
    for piece in pieces[:-1]:
        taken = yield from talker.ask(calls.run_import(piece, cursor, more=True, key=key))
        cursor = taken["cursor"]
    return (yield from talker.ask(calls.run_import(pieces[-1], cursor, more=False, key=key)))
