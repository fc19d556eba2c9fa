"""Hundreds of clients around the moment of hibernation: all are answered, each counted once. Thousands: `make soak`.

(With a socket that systemd holds: tests/service/test_storm.py.)
"""

from __future__ import annotations

from pathlib import Path

import pytest

from process.timers import settings
from soak import doors, hammer

CLIENTS = 300


@pytest.mark.parametrize("door", [doors.own, doors.inherited])
def test_300_clients_around_six_hibernations(door: doors.Opened, home: Path) -> None:
    found = hammer.run(door(home, settings()), clients=CLIENTS, seed=300)
    assert (found["clients"], found["ends"]) == (CLIENTS, found["lives"])
    assert found["ends"] >= CLIENTS // hammer.A_WAVE
    if door is doors.inherited:
        assert not {"FileNotFoundError", "ConnectionRefusedError"} & set(found["ways"])
