"""Documents that come in pieces: gathered until the last one is there. Not durable; who is interrupted begins anew."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from torpord.control.params import RefusedError
from torpord.core.draft import Refusal

# All of one document, and how many may be on their way at once: the oldest makes room, and its sender begins anew.
MAX_DOCUMENT_CHARS = 16 * 2**20
MAX_DOCUMENTS = 4


@dataclass(slots=True)
class Imports:
    """What has come so far, by cursor."""

    _pieces: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str, cursor: str | None) -> str:
        """Take a piece that is not the last; returns the cursor to give with the next. Raises RefusedError."""
        pieces = self._begun() if cursor is None else self._known(cursor)
        self._check(text, pieces)
        fresh = os.urandom(8).hex()
        self._pieces[fresh] = [*pieces, text]
        if cursor is not None:
            del self._pieces[cursor]
        return fresh

    def whole(self, text: str, cursor: str | None) -> str:
        """Return the document whose last piece this is. The others are kept for a while: it may be asked again."""
        pieces = [] if cursor is None else self._known(cursor)
        self._check(text, pieces)
        return "".join([*pieces, text])

    def _begun(self) -> list[str]:
        while len(self._pieces) >= MAX_DOCUMENTS:
            del self._pieces[next(iter(self._pieces))]
        return []

    def _known(self, cursor: str) -> list[str]:
        found = self._pieces.get(cursor)
        if found is None:
            message = "this cursor is not known any more (a restart, or other imports): begin anew with the first piece"
            raise RefusedError(Refusal("not_found", message, {"field": "cursor"}))
        return found

    def _check(self, text: str, pieces: list[str]) -> None:
        if len(text) + sum(map(len, pieces)) > MAX_DOCUMENT_CHARS:
            message = f"a run's document is at most {MAX_DOCUMENT_CHARS} characters"
            raise RefusedError(Refusal("too_large", message, {"field": "text"}))
