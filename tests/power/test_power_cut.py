"""The power goes, and nothing that was promised is lost: what a daemon did is recorded, and cut off at any moment.

The long version is `make soak PART=power_cut`: a longer story, every moment of it, and more of what may be left.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from power import recorded
from power.cuts import Looks, Recording
from power.sweep import look_both, loss, not_found_out, some_of

pytestmark = pytest.mark.skipif(bool(recorded.missing()), reason=recorded.missing())

LIMIT_S = 60.0
MOMENTS = 40
STARTS = 2


def test_at_any_moment_all_that_was_promised_is_there(short_dir: Path) -> None:
    recording = Recording.of_scene(short_dir / "whole", events=4, limit_s=LIMIT_S)
    dice, looks = Random(1), Looks(recording.root)  # noqa: S311 - which moments are looked at is no secret
    for moment in some_of(recording, dice, MOMENTS):
        look_both(looks, moment, dice)
    assert looks.counted["different ones"] > MOMENTS
    for moment in some_of(recording, dice, STARTS):
        looks.start(moment, "some", moment.disk.kept_some(dice))
    assert not_found_out(recording) == {}


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
def test_a_store_that_commits_without_a_sync_is_found_out(level: str, short_dir: Path) -> None:
    recording = Recording.of_scene(short_dir / level, "--lives=1", f"--sync={level}", events=4, limit_s=LIMIT_S)
    told = loss(recording)
    assert "was answered" in told or "before it was durable" in told
