"""Settings from a text, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpord.config import Settings, load
from torpord.host.faults import SetupError


def given(folder: Path, text: str) -> Settings:
    (folder / "torpor.toml").write_text(text, encoding="utf-8")
    return load(folder / "torpor.toml")


def refusal(folder: Path, text: str) -> str:
    """Return what is said of the settings, without the file's path in front."""
    with pytest.raises(SetupError) as caught:
        given(folder, text)
    assert caught.value.exit_code == 78
    said = str(caught.value)
    before = f"settings {folder / 'torpor.toml'}, "
    assert said.startswith(before)
    assert "\n" not in said
    return said.removeprefix(before)
