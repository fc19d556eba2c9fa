"""Fixtures for every room."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def short_dir() -> Iterator[pathlib.Path]:
    """A directory whose paths fit into a socket address: pytest's own may be longer than 107 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
    yield path
    shutil.rmtree(path)
