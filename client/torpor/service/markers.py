"""Whose a unit file is: its first line says which home torpor wrote it for, and what it wrote."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torpor.service import files

if TYPE_CHECKING:
    from collections.abc import Iterator

Judged = Literal["absent", "foreign", "edited", "outdated", "ours"]

_MOST_BYTES = 256 * 1024  # a unit of ours is some 3 KB
_LINE = re.compile(
    r'(?:# |<!-- )torpor service: version=(?P<version>\S+) home=(?P<home>"(?:[^"\\]|\\.)*")'
    r" unit=(?P<unit>\S+) sha256=(?P<sha>[0-9a-f]{64})(?: -->)?"
)
_HEAD_LINES = 3  # a property list begins with two lines of its own


@dataclass(frozen=True, slots=True)
class Marker:
    """What a file says of itself. `is_whole`: all that follows the marker is as torpor wrote it; `body` is that."""

    version: str
    home: str
    unit: str
    is_whole: bool
    body: str


def line(version: str, home: str, unit: str, body: str) -> str:
    """Return the marker of a unit that goes on with `body`, without its line's end."""
    sha = hashlib.sha256(body.encode()).hexdigest()
    # Two dashes would end the comment that a property list has it in.
    named = json.dumps(home).replace("--", "-\\u002d")
    return f"# torpor service: version={version} home={named} unit={unit} sha256={sha}"


def parsed(text: str) -> Marker | None:
    """Return the marker of a file's text, None where it has none."""
    at = 0
    for each in text.splitlines(keepends=True)[:_HEAD_LINES]:
        at += len(each)
        found = _LINE.fullmatch(each.rstrip("\n"))
        if found is None:
            continue
        body = text[at:]
        is_whole = hashlib.sha256(body.encode(errors="replace")).hexdigest() == found["sha"]
        try:
            home = str(json.loads(found["home"]))
        except ValueError:  # somebody has edited it
            continue
        return Marker(found["version"], home, found["unit"], is_whole, body)
    return None


def read(path: str) -> Marker | None:
    """Return the marker of the file at `path`; None where there is none, or something that is not torpor's.

    Raises OSError where it may not be read.
    """
    text = files.read(path, _MOST_BYTES)
    return None if text is None else parsed(text)


def judged(path: str, wanted: str | None) -> Judged:
    """Say what lies at `path`; `wanted`: the text that this installation would write, None where it is not known.

    Another version alone makes nothing outdated: what the unit does is what counts.
    """
    if not os.path.lexists(path):
        return "absent"
    marker = read(path)
    if marker is None:
        return "foreign"
    if not marker.is_whole:
        return "edited"
    ours = None if wanted is None else parsed(wanted)
    return "outdated" if ours is not None and ours.body != marker.body else "ours"


def found(directory: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Marker]]:
    """Yield the names and markers of all units of torpor's in `directory`, whichever home they are for."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(directory, name)
        if name.endswith(suffixes) and os.path.isfile(path):
            marker = read(path)
            if marker is not None:
                yield name, marker
