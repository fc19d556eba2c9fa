"""Leaving things in `wake.d/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def drop(home: Path, name: str, method: str = "event", **params: Any) -> Path:
    """Write beside and rename, as writers should; returns where it lies. An event asks for WAKE unless told else."""
    if method == "event":
        params.setdefault("event", "request_arrived")
    return drop_text(home, name, json.dumps({"method": method, "params": params}))


def drop_beside(home: Path, method: str, **params: Any) -> Path:
    """Write beside only: returns what is to be renamed into wake.d when it looks as it should."""
    draft = home / "tmp" / "draft"
    draft.parent.mkdir(mode=0o700, exist_ok=True)
    draft.write_text(json.dumps({"method": method, "params": params}))
    return draft


def drop_text(home: Path, name: str, text: str | bytes) -> Path:
    draft = home / "tmp" / "draft"
    draft.parent.mkdir(mode=0o700, exist_ok=True)
    draft.write_bytes(text.encode() if isinstance(text, str) else text)
    path = home / "wake.d" / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return draft.rename(path)


def left(home: Path) -> list[str]:
    """Return what lies in wake.d."""
    return sorted(path.name for path in (home / "wake.d").iterdir())
