"""How many cells of a terminal a text takes: a character may take two, or none."""

from __future__ import annotations


def width(text: str) -> int:
    """Return how many cells `text` takes."""
    return len(text) if text.isascii() else sum(map(_of, text))


def padded(text: str, to: int) -> str:
    """Return `text` with blanks behind it, up to `to` cells."""
    return text + " " * max(0, to - width(text))


def cut(text: str, most: int) -> str:
    """Return `text` cut to `most` cells, with an ellipsis where something is left out."""
    if width(text) <= most:
        return text
    kept, room = [], most - 1
    for char in text:
        room -= _of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + "…" * (most > 0)


def _of(char: str) -> int:
    if char.isascii():
        return 1
    import unicodedata  # noqa: PLC0415 - its tables are a megabyte, and most of what is shown is ASCII

    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
