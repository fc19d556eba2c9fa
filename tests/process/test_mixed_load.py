"""Everything at once for some seconds: all counts agree, before and after, and no descriptor, child or file is left.

An hour, and that the heap does not grow: `make soak PART=mixed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import end_all
from soak import kills, mixed

KILLS = 10


@pytest.fixture
def folder(short_dir: Path) -> Iterator[Path]:
    yield short_dir
    for home in list(short_dir.iterdir()):
        end_all(home)


def test_a_load_in_tides_with_hibernations(folder: Path) -> None:
    size = mixed.Size(for_s=7.0, tide_s=2.5, hibernate_every_s=(0.2, 0.6))
    found = mixed.run(folder, size, seed=6)
    assert found["leaves"]["lives"] > 1
    assert found["stays"]["lives"] == 1
    assert found["stays"]["hibernations"] > 0
    for each in (found["leaves"], found["stays"]):
        assert each["done"]["run.start"] == each["done"]["run.remove"] == each["records"]["run_completed"]


def test_the_same_under_kills(folder: Path) -> None:
    found = kills.run(folder, kills=KILLS, homes=1, tide_s=4.0, seed=6, note=print)
    assert found["kills"] == KILLS
    assert found["home0"]["records"]["started"] == KILLS + 1
