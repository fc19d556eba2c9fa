"""The box is booted once for the tests of a file, and each test gets a daemon's place in it that is as good as new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service import box as boxes
from service import seat as seats

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def box() -> Iterator[boxes.Box]:
    """A real systemd."""
    if reason := boxes.why_not():
        pytest.skip(reason)
    with boxes.Box() as booted:
        seats.furnish(booted)
        yield booted


@pytest.fixture(params=seats.MANAGERS)
def seat(box: boxes.Box, request: pytest.FixtureRequest) -> Iterator[seats.Seat]:
    """The place of a daemon, under each manager in turn."""
    made = seats.Seat(box, request.param)
    made.open()
    yield made
    made.close()
