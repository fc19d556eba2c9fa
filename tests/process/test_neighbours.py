"""What one client does to another: a flood of any kind on one connection does not keep the other from its answer.

Here that nobody waits long; how much longer than alone: `make soak PART=flood`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soak import flood

# Of those who measure beside a flood, 99 of 100 wait at most so long: other tests have the machine, too.
MOST_MS = 1500.0
# Who only comes stands behind all who came before: of those who connect and hang up, thousands may wait at the door.
NEWCOMER_MS = 10_000.0
OF_ROOT = ("strangers",)


@pytest.mark.parametrize("kind", flood.KINDS)
def test_a_flood_waits_for_itself(kind: str, home: Path) -> None:
    if kind in OF_ROOT and os.geteuid() != 0:
        pytest.skip("only root can be another user")
    for name, asked in flood.run(home, rounds=1, round_s=0.5, kinds=(kind,))[kind].items():
        assert asked["flooded_p99_ms"] < (NEWCOMER_MS if name == flood.NEW else MOST_MS), asked
