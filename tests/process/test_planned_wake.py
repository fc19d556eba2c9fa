"""The next planned wake, for those who look while the daemon is up, and for those who look while it is down."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from daemon_process import RunningDaemon
from process.reading import assert_whole, state_file
from process.timers import resettle, settings
from process.trap import Trap
from waiting import until
from wire.agents import ahead

SOON = {"torpord.shell.statefile:ACTIVITY_S": 0.05}


def due(text: str) -> bool:
    return datetime.fromisoformat(text) <= datetime.now(UTC)


def test_it_is_in_status_and_in_the_state_file_for_as_long_as_it_is_planned(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants=SOON)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        assert line.call("status")["next_wake_ts"] is None
        far = line.call("slot.add", agent_id="a", type="work", at=ahead(7200))
        near = line.call("slot.add", agent_id="a", type="work", at=ahead(3600))
        assert (near["armed"], near["status"]) == (False, "planned")
        for slot in (near, far):
            assert line.call("status")["next_wake_ts"] == slot["due_ts"]
            until(lambda at=slot["due_ts"]: state_file(home)["next_wake_ts"] == at, what="it in the file")
            line.call("slot.cancel", slot_id=slot["slot_id"])
        until(lambda: state_file(home)["next_wake_ts"] is None, what="the file without it")


def test_beyond_reach_it_goes_down_and_the_next_start_takes_it_up(home: Path) -> None:
    times = {"drowsy_after": "0.1s", "sleep_after": "0.2s", "hibernate_grace": "0.1s", "planned_reach": "0.1s"}
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        line.call("agent.transition", agent_id="a", to="offline")
        slot = line.call("slot.add", agent_id="a", type="work", at=ahead(4))
    resettle(daemon, settings(**times))
    assert daemon.wait_gone() == 0
    assert state_file(home)["next_wake_ts"] == slot["due_ts"]
    until(lambda: due(slot["due_ts"]), what="its time")
    again = daemon.again()
    word = again.call("agent.heartbeat", agent_id="a")
    assert [each["slot_id"] for each in word["slots"]] == [slot["slot_id"]]
    again.stop()
    assert_whole(home)


def test_the_file_is_not_written_for_beats_that_change_nothing_in_it(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants=SOON)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    path = home / "lifecycle_state.json"
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        until(lambda: state_file(home)["wrapper_event_seq"] == 1, what="the file to be true")
        written = path.stat().st_mtime_ns
        end_at = time.monotonic() + 10 * SOON["torpord.shell.statefile:ACTIVITY_S"]
        while time.monotonic() < end_at:
            line.call("agent.heartbeat", agent_id="a")
        assert path.stat().st_mtime_ns == written
        line.call("agent.heartbeat", agent_id="a", doing="busy")  # that is use
        until(lambda: state_file(home)["wrapper_event_seq"] == 2, what="the file to be true again")
