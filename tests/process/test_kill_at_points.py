"""SIGKILL at each named point: nothing acknowledged is lost, nothing is done twice, and the next start knows all."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.reading import assert_whole, state_file
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop, left
from torpord.points import POINTS
from waiting import until

# A kill may come while the disk syncs, and some do.
pytestmark = pytest.mark.disk

# The others are passed in a worker, whose end is not the daemon's.
OF_THE_DAEMON = [name for name in POINTS if not name.startswith(("worker.", "call."))]
GONE = (EOFError, BrokenPipeError, ConnectionResetError, ConnectionRefusedError, FileNotFoundError)


class Witness:
    """A client that remembers what it asked, and what it was told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.acknowledged: dict[str, int] = {}

    def send(self, client: LineClient, *keys: str) -> None:
        """Send keyed events in one write, and read what comes back until it ends."""
        ids = {}
        lines = b""
        for key in keys:
            ids[len(self.asked)] = key
            params = {"event": "request_arrived", "key": key}
            request = {"jsonrpc": "2.0", "id": len(self.asked), "method": "event", "params": params}
            lines += json.dumps(request).encode() + b"\n"
            self.asked.append(key)
        client.send(lines)
        for _ in keys:
            reply = client.read_line()
            self.acknowledged[ids[reply["id"]]] = reply["result"]["seq"]

    def ask_all_again(self, daemon: RunningDaemon) -> None:
        """Ask everything again with its key: what was acknowledged is replayed, with the same result."""
        with daemon.connect() as client:
            for key in self.asked:
                result = client.call("event", event="request_arrived", key=key)
                if key in self.acknowledged:
                    assert result["replayed"] is True
                    assert result["seq"] == self.acknowledged[key]


def die_on_the_way(daemon: RunningDaemon, witness: Witness, home: Path) -> int:
    """Do one thing after the other until it dies; returns the exit status."""
    with contextlib.suppress(*GONE), daemon.connect() as client:
        witness.send(client, "after-0", "after-1")
        drop(home, "2-with-a-key.json", key="left")
        drop(home, "1-without.json")
        until(lambda: not left(home) or daemon.process.poll() is not None)
        witness.send(client, "after-2")
        client.call("hibernate", now=True)
    return daemon.wait_gone()


def check_the_next_life(home: Path, witness: Witness, files: int) -> None:
    """Start again and look: each key and each file counted once, the state file true, the ledger whole."""
    if (home / "lifecycle_state.json").exists():
        state_file(home)  # whole, whenever the process died
    daemon = RunningDaemon.start(home)
    witness.ask_all_again(daemon)
    until(lambda: left(home) == [], what="the files to be taken")
    status = daemon.call("status")
    assert status["wrapper_event_seq"] == len(witness.asked) + files
    assert status["state"] == "WAKE"
    shown = state_file(home)
    assert (shown["current_state"], shown["generation"], shown["pid"]) == ("WAKE", status["generation"], daemon.pid)
    assert daemon.stop() == 0
    assert state_file(home)["wrapper_event_seq"] == status["wrapper_event_seq"]
    world = assert_whole(home)
    assert world.activity.event_seq == status["wrapper_event_seq"]
    assert world.process.ended
    assert not list((home / "wake.rejected").iterdir())


@pytest.mark.parametrize("point", OF_THE_DAEMON)
def test_killed_at(point: str, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", {point: "kill"}, armed=False)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    witness = Witness()
    with daemon.connect() as client:
        witness.send(client, *(f"before-{n}" for n in range(3)))
    trap.arm()
    files = 2
    assert die_on_the_way(daemon, witness, home) == -signal.SIGKILL
    assert trap.was_reached(point)
    for name in ("1-without.json", "2-with-a-key.json"):
        if "after-1" not in witness.acknowledged:  # it died before they were left: leave them now
            drop(home, name, **({"key": "left"} if "with-a" in name else {}))
    check_the_next_life(home, witness, files)


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith(("writer.", "store.", "spool."))])
def test_killed_by_what_was_left_in_files(point: str, home: Path, short_dir: Path) -> None:
    """The batch in hand comes from `wake.d/`, so the only memory of it is the files and the store."""
    trap = Trap(short_dir / "trap", {point: "kill"}, armed=False)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    trap.arm()
    for number in range(10):
        drop(home, f"{number}.json")
    assert daemon.wait_gone() == -signal.SIGKILL
    check_the_next_life(home, Witness(), files=10)


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith(("writer.", "store."))])
def test_killed_while_it_records_its_start(point: str, home: Path, short_dir: Path) -> None:
    RunningDaemon.start(home, settings()).stop()
    trap = Trap(short_dir / "trap", {point: "kill"})
    daemon = RunningDaemon.start(home, launcher=trap.launcher, wait=False)
    assert daemon.wait_gone() == -signal.SIGKILL
    check_the_next_life(home, Witness(), files=0)


# Only a hibernation looks whether there is work: the others begin at the point of no return.
WAY_OUT = [name for name in POINTS if name.startswith("exit.") and name not in ("exit.decided", "exit.looked")]


@pytest.mark.parametrize("point", WAY_OUT)
@pytest.mark.parametrize("how", ["stop", "SIGTERM"])
def test_killed_on_the_way_out_that_was_asked_for(how: str, point: str, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", {point: "kill"})
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    witness = Witness()
    with contextlib.suppress(*GONE), daemon.connect() as client:
        witness.send(client, "before")
        if how == "stop":
            client.ask("stop")
        else:
            daemon.process.terminate()
        client.read_line()
    assert daemon.wait_gone() == -signal.SIGKILL
    check_the_next_life(home, witness, files=0)
