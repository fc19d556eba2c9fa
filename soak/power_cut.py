"""The power goes at every moment of a hundred commits: the story of tests/power/, longer, and more of what is left.

Each moment is looked at with nothing kept beyond what was synced, with all kept, and with mixtures for as long as there
is time; on some of what is left a daemon is started, and asked everything again.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from power import recorded
from power.cuts import Looks, Recording, moments
from power.sweep import NEEDED, loss, not_found_out, some_of

EVENTS = 40
STARTS = 40
RECORDING_LIMIT_S = 600.0


def soak(for_s: float) -> dict[str, Any]:
    """Record once, look for so long (at least once at each moment), and count. Raises LostError."""
    assert not recorded.missing(), recorded.missing()
    end_at = time.monotonic() + for_s
    with tempfile.TemporaryDirectory(prefix="tp-power-", dir="/tmp") as folder:
        recording = Recording.of_scene(Path(folder) / "whole", events=EVENTS, limit_s=RECORDING_LIMIT_S)
        looks, seed, rounds = Looks(recording.root), time.time_ns(), 0
        dice = Random(seed)  # told, so that what is found can be found again
        try:
            for moment in moments(recording):
                looks.look(moment, "what was synced", moment.disk.kept_what_was_synced())
                looks.look(moment, "all", moment.disk.kept_everything())
            for moment in some_of(recording, dice, STARTS):
                looks.start(moment, "some", moment.disk.kept_some(dice))
            while time.monotonic() < end_at or not rounds:
                rounds += 1
                for moment in moments(recording):
                    looks.look(moment, "some", moment.disk.kept_some(dice))
        except AssertionError as error:
            raise AssertionError(f"{error} (seed {seed})") from error
        assert not_found_out(recording) == {}
        for level in ("OFF", "NORMAL"):
            broken = Recording.of_scene(
                Path(folder) / level, "--lives=1", f"--sync={level}", events=EVENTS, limit_s=RECORDING_LIMIT_S
            )
            assert loss(broken), f"synchronous={level} was not found out"
        return {
            "seed": seed,
            "operations recorded": dict(Counter(type(op).__name__.lower() for op in recording.ops)),
            **looks.counted,
            "syncs left out, and found out": [*NEEDED, "synchronous=OFF", "synchronous=NORMAL"],
        }
