"""`service.json` in the home: where this home's units are, for `torpor start` and `stop` of a daemon that is down.

A hint. What is removed and what is written over is decided by the markers in the files themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from torpor import __version__
from torpor.service import files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.service.names import Place

NAME = "service.json"
_MOST_BYTES = 64 * 1024


def write(place: Place, interpreter: str, texts: Mapping[str, str]) -> None:
    """Write the record of an install. Raises OSError.

    Root does it in a home that is the user's: by the directory's descriptor, so that no link leads out of it.
    """
    found = {
        "schema_version": 1,
        "manager": place.manager,
        "unit": place.unit,
        "home": place.home,
        "socket": place.socket,
        "interpreter": interpreter,
        "version": __version__,
        "files": {
            os.path.join(place.directory, name): hashlib.sha256(text.encode()).hexdigest()
            for name, text in texts.items()
        },
        "installed_ts": datetime.now(UTC).isoformat(),
    }
    home = os.open(place.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        beside = f"{NAME}.torpor-new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=home)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=home)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            if place.manager == "systemd-system":
                whose = pwd.getpwnam(place.user)
                os.fchown(fd, whose.pw_uid, whose.pw_gid)
            json.dump(found, file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(fd)
        os.rename(beside, NAME, src_dir_fd=home, dst_dir_fd=home)
        os.fsync(home)
    finally:
        os.close(home)


def read(home: str) -> dict[str, Any] | None:
    """Return the record of `home`, None where there is none that can be read."""
    try:
        found = json.loads(files.read(os.path.join(home, NAME), _MOST_BYTES) or "")
    except (OSError, ValueError, RecursionError):  # the last where it nests deeper than Python counts
        return None
    return found if isinstance(found, dict) else None


def moved_from(home: str) -> str:
    """Return where the record says that `home` lay when its units were made, "" where it lies there still.

    Where there is a home again, with a record of its own, this one is a copy, and has none of the units.
    """
    was = (read(home) or {}).get("home")
    if not isinstance(was, str) or was == home or (read(was) or {}).get("home") == was:
        return ""
    return was


def remove(home: str) -> None:
    """Take the record away."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(home, NAME))
