"""A command of a flow that forks without end and leaves its group: the manager's bounds hold it, the daemon answers.

The bound here is LimitNPROC=: the machines of these tests give a box no `pids` controller, so TasksMax=, which systemd
sets for every unit by itself, is looked at and not run into.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from service.seat import Seat

MOST = 120
LEAST = 60
# Everyone forks, and each child begins a session: no group that anybody could kill. Who cannot fork tries again.
BOMB = """
import os, time
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.2)
"""
SETTINGS = f"""
[lifecycle]
min_up = "100ms"
[[flows.bomb.steps]]
name = "bomb"
command = ["{sys.executable}", "-c", '''{BOMB}''']
timeout = "2s"
"""
SOON_S = 3.0
RUNS = 5  # a worker is the least of all processes: on a busy machine it may get nowhere in a time-out


def tasks(seat: Seat, group: str) -> int:
    """Return how many processes a cgroup has."""
    return int(seat.box.run("sh", "-c", f"cat /sys/fs/cgroup{group}/cgroup.procs 2>/dev/null | wc -l"))


@pytest.mark.parametrize("seat", ["system"], indirect=True)
def test_a_bomb_that_leaves_its_group_stays_in_the_unit(seat: Seat) -> None:
    assert seat.show("torpord.service", "TasksMax")["TasksMax"] != "infinity"
    seat.drop_in(f"[Service]\nLimitNPROC={MOST}\n")
    seat.place("torpor.toml", SETTINGS)
    for _ in range(RUNS):
        run_id = seat.caller.ask("run.start", flow="bomb")["run_id"]
        group = seat.show("torpord.service", "ControlGroup")["ControlGroup"]
        most, ended = 0, False
        while not ended:
            began_at = time.monotonic()
            seat.caller.event()
            assert time.monotonic() - began_at < SOON_S
            most = max(most, tasks(seat, group))
            ended = seat.caller.look("run.get", run_id=run_id)["run"]["status"] == "failed"
        if most >= LEAST:
            break
    assert most >= LEAST, "there was no bomb"
    # What left the group is hunted down as well, in so many rounds: whether it forks faster is the machine's affair.
    assert tasks(seat, group) <= MOST, "what lives on is bounded"
    seat.systemctl("stop", "torpord.service")
    assert tasks(seat, group) == 0, "it ended with the unit"
    assert seat.caller.event()["state"] == "WAKE"
