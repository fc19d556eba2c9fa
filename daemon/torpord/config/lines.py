"""On which line of a settings file a key stands: tomllib does not tell, and an error is worth little without.

It is asked only about text that tomllib has read, so it need not doubt the syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torpord.config.values import Place

# In this order: what looks like a header or a key inside a string or a comment is none.
_SAID = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|\#[^\n]*", re.DOTALL
)
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEYS})\s*\]")
_KEY = re.compile(rf"\s*({_KEYS})\s*=")


def line_of(text: str, path: Place) -> int:
    """Return the line (from 1) of the key at `path`, with the place in an array of tables as a number from 0.

    Where it has no line of its own (a default, or inside an inline table), that of the nearest thing around it.
    """
    best, most = 1, 0
    for number, there in _placed(text):
        shared = 0
        for one, other in zip(path, there, strict=False):
            if one != other:
                break
            shared += 1
        if shared > most:
            best, most = number, shared
    return best


def _placed(text: str) -> Iterator[tuple[int, Place]]:
    table: Place = ()
    counts: dict[Place, int] = {}
    for number, line in enumerate(_SAID.sub(_unsaid, text).split("\n"), 1):
        if header := _HEADER.match(line):
            table = _table(_parts(header[2]), counts, is_array=header[1] == "[[")
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_parts(key[1]))


def _table(parts: list[str], counts: dict[Place, int], *, is_array: bool) -> Place:
    """Give a header's table its place: a name that stands for an array means the array's newest table."""
    place: Place = ()
    for index, part in enumerate(parts, 1):
        place = (*place, part)
        if is_array and index == len(parts):
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
    return place


def _parts(keys: str) -> list[str]:
    # The escapes of a quoted key are left as they are: a name of ours has none.
    return [part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, keys)]


def _unsaid(match: re.Match[str]) -> str:
    """Take away comments and strings of several lines, whose text may look like anything; keep the line breaks."""
    said = match[0]
    if said.startswith(('"""', "'''")):
        return "''" + "\n" * said.count("\n")
    return "" if said.startswith("#") else said
