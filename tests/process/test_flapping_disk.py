"""A disk that fails, is there, and fails again, mostly before the daemon has found its feet: it finds them by itself.

The long version, with every point of a worker and other moments each time, is `make soak PART=flaps`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from process import failing_disk
from process.flaps import flap

pytestmark = pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())


def test_a_disk_that_comes_and_goes(home: Path) -> None:
    assert flap(home.parent, ["worker.begun", "call.made"], seed=5) > 10
