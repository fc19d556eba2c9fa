from __future__ import annotations

from pathlib import Path

import pytest

from torpord.store.existence import is_there


def test_a_file_is_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert is_there(tmp_path / "a")
    assert not is_there(tmp_path / "b")
    assert not is_there(tmp_path / "folder" / "b")


def test_a_symlink_that_leads_nowhere_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    assert is_there(tmp_path / "a")


def test_what_cannot_be_seen_is_not_taken_for_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        is_there(tmp_path / ("a" * 300))
