"""Whether a file is there, by the disk's word."""

from __future__ import annotations

from pathlib import Path


def is_there(path: Path) -> bool:
    """Return whether something has this name. Raises OSError where that cannot be seen now.

    `Path.exists` says no then, from Python 3.14 on; and a new store would be put in the place of the one that is there.
    A symlink that leads nowhere is there: what it led to may be on a disk that is not mounted yet.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
