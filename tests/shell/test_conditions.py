"""Whether anybody could start this daemon again: a look that fails is an answer, and no mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

import torpor
from torpord.shell.conditions import no_way_back


def test_a_package_that_cannot_be_looked_at_starts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert no_way_back() == ()
    monkeypatch.setattr(torpor, "__file__", str(tmp_path / ("x" * 300)))  # ENAMETOOLONG, also for root
    (why,) = no_way_back()
    assert "there is no way back" in why
