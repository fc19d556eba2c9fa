"""Whether the code that runs is still the code that is installed: the next start is the new one, this one is not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torpor
from torpord.host.home import command


class Installed:
    """The package as it was when this process began. Each look is one stat; the file is read where that differs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)

    def view(self) -> dict[str, Any]:
        """Return `{version, changed}`. `version` is None where the package is gone, or does not say."""
        found = _stamp(self._path)
        if found == self._stamp:
            return {"version": torpor.__version__, "changed": False}
        return {"version": _version(self._path), "changed": True}

    @property
    def is_replaced(self) -> bool:
        """Whether another version than the one that runs is installed in its place, or none any more."""
        return bool(self.view()["version"] != torpor.__version__)

    def differs(self, version: str | None, home: Path) -> str:
        """Say why the process of `home` begins nothing with that version's code (None: there is none any more)."""
        found = f"torpor {version}" if version else "no torpor"
        if self.is_replaced:
            restart = command("torpor restart", home)
            return f"{found} is installed now, and this daemon is {torpor.__version__}: {restart}"
        return f"{sys.executable} finds {found}, and this daemon is {torpor.__version__}: remove one of the two"


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _version(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    said = text.partition('__version__ = "')[2]
    return said.partition('"')[0] or None


def of_this_process() -> Installed:
    """Return the look for the package this process has loaded."""
    return Installed(Path(os.fsdecode(torpor.__file__)))
