"""A file in the making, beside the one it will replace: nobody else's, whatever lay at its place."""

from __future__ import annotations

import os
from pathlib import Path

from torpord.host.home import refuse_link


def open_draft(path: Path) -> int:
    """Open a new file at `path` to be written, its owner's alone. Raises OSError.

    What lay there loses this name and nothing else. Written over, it could be a file from elsewhere that has a second
    name here (a hard link, which O_NOFOLLOW knows nothing of); and a symlink would be in the way for ever. In the place
    of the folder one is not followed either.
    """
    refuse_link(path.parent)
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
