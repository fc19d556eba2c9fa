"""What the commands of the service print, a line a fact."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A word about what the line tells, and the line."""

    word: str
    text: str


def short(path: str) -> str:
    """Return a path as people write it: `~` for one's own home directory."""
    own = os.path.expanduser("~")
    return "~" + path[len(own) :] if own != "/" and path.startswith(own + "/") else path
