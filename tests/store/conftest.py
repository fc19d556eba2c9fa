"""Stores that are about rows, and no disk."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

import memory


@pytest.fixture
def tmp_path() -> Iterator[pathlib.Path]:
    """A folder in memory, in place of pytest's."""
    with tempfile.TemporaryDirectory(prefix="tp-", dir=memory.folder()) as folder:
        yield pathlib.Path(folder)
