"""The two long ones: 200 kills at random moments under load, and a minute of idling beside them.

The idle daemons are started for the whole file, so that their minute passes while the kills go on; alone, or on another
xdist worker than the kills, the tests of the minute wait for it. One of them has never had a run, the other has some:
one that has ended, one that is paused, one whose next attempt is due much later.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon, end_all
from process.reading import assert_whole, state_file
from process.timers import settings
from waiting import until
from wire.runs import daemon_with_flows, ended, imported, start, version_1

HOMES = 2  # one a core
KILLS_A_HOME = 100
CLIENTS = 3
EVENTS_A_WRITE = 8
# After the daemon answers: inside a batch, between two, and long enough for the WAL to have grown.
LATEST_KILL_S = 0.12

IDLE_S = 60.0
MOST_RSS_BYTES = 32 * 1024 * 1024


class Client:
    """Sends keyed events, a few at once, and each again until it is acknowledged."""

    def __init__(self, name: str, socket: Path, stopped: threading.Event) -> None:
        self.name = name
        self.acknowledged: dict[str, int] = {}
        self.repeated = 0
        self._socket = socket
        self._stopped = stopped

    def run(self) -> None:
        while not self._stopped.is_set():
            start = len(self.acknowledged)
            self._until_acknowledged([f"{self.name}-{start + n}" for n in range(EVENTS_A_WRITE)])

    def _until_acknowledged(self, keys: list[str]) -> None:
        open_keys, client = keys, None
        while open_keys:
            try:
                client = client or until(self._connected, limit_s=30)
                for key in open_keys:
                    client.request("event", event="request_arrived", key=key)
                for key in list(open_keys):
                    result = client.read_line()["result"]
                    assert key not in self.acknowledged
                    self.acknowledged[key] = result["seq"]
                    self.repeated += result.get("replayed", False)
                    open_keys = [each for each in open_keys if each != key]
            except (EOFError, BrokenPipeError, ConnectionResetError):
                if client is not None:
                    client.close()
                    client = None
        if client is not None:
            client.close()

    def _connected(self) -> LineClient | None:
        try:
            return LineClient(self._socket)
        except (FileNotFoundError, ConnectionRefusedError):
            return None


def live_through_the_kills(home: Path, seed: int) -> dict[str, Any]:
    """Kill one daemon after the other while the clients go on; returns what was counted."""
    dice = random.Random(seed)  # noqa: S311 - not a secret: a run that failed can be repeated
    daemon = RunningDaemon.start(home, settings())
    stopped = threading.Event()
    clients = [Client(f"client-{n}", daemon.socket, stopped) for n in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        done = [pool.submit(client.run) for client in clients]
        try:
            for _ in range(KILLS_A_HOME):
                threading.Event().wait(dice.uniform(0, LATEST_KILL_S))
                daemon.kill()
                daemon = daemon.again()
        finally:
            stopped.set()
        for each in done:
            each.result(30)
    counted = daemon.call("status")["wrapper_event_seq"]
    assert daemon.stop() == 0
    acknowledged = sum(len(client.acknowledged) for client in clients)
    repeated = sum(client.repeated for client in clients)
    return {"counted": counted, "acknowledged": acknowledged, "repeated": repeated}


@pytest.fixture
def homes() -> Iterator[list[Path]]:
    folder = Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
    paths = [folder / f"home{n}" for n in range(HOMES)]
    yield paths
    for path in paths:
        end_all(path)
    shutil.rmtree(folder)


def test_200_kills_at_random_moments_lose_nothing_and_repeat_nothing(homes: list[Path]) -> None:
    with ThreadPoolExecutor(HOMES) as pool:
        runs = [pool.submit(live_through_the_kills, home, seed) for seed, home in enumerate(homes)]
        for home, run in zip(homes, runs, strict=True):
            found = run.result()
            assert found["counted"] == found["acknowledged"], found
            # The kills came at telling moments: some results were durable and had not been heard.
            assert found["repeated"] > 0, found
            world = assert_whole(home)
            assert world.process.generation == KILLS_A_HOME + 1
            assert state_file(home)["wrapper_event_seq"] == found["counted"]


class Idler:
    """A daemon that was used, and then left alone."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        with daemon.connect() as client:
            for number in range(1000):
                client.call("event", event="request_arrived", key=f"k{number}")
            seen = client.call("status")["wrapper_event_seq"]
        # Its last own work is to write the state file, up to 5 s after the activity.
        until(lambda: state_file(daemon.home)["wrapper_event_seq"] == seen, what="the state file")
        self.since_s, self.before = time.monotonic(), self.switches()
        until(self._still, what="the end of the last write")

    def _still(self) -> bool:
        """Whether nothing has happened for a second; if something has, the count begins anew."""
        if self.switches() != self.before:
            self.since_s, self.before = time.monotonic(), self.switches()
        return time.monotonic() > self.since_s + 1

    def switches(self) -> dict[str, int]:
        """Return how often each thread has slept and been woken."""
        tasks = Path(f"/proc/{self.daemon.pid}/task").iterdir()
        return {task.name: _number(task / "status", "voluntary_ctxt_switches") for task in tasks}


def _number(status: Path, name: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


@pytest.fixture(scope="module")
def idlers() -> Iterator[dict[str, Idler]]:
    """Both, left alone at the same time."""
    folder = Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
    with daemon_with_flows() as with_runs, ThreadPoolExecutor() as pool:
        with with_runs.connect() as line:
            ended(line, start(line, then="branches"))
            imported(line, version_1())
            later = start(line, then="later")
            until(lambda: waits_without_a_worker(line, later), what="a run that waits")
        daemons = {"without runs": RunningDaemon.start(folder / "home"), "with runs": with_runs}
        yield dict(zip(daemons, pool.map(Idler, daemons.values()), strict=True))
        end_all(folder / "home")
    shutil.rmtree(folder)


def waits_without_a_worker(line: LineClient, run_id: str) -> bool:
    run = line.call("run.get", run_id=run_id)["run"]
    return run["places"][0]["status"] == "waiting" and run["worker_pid"] is None


@pytest.fixture(autouse=True)
def _beside(idlers: dict[str, Idler]) -> None:
    """Start the idle daemons before the first test of the file, whichever that is."""


@pytest.mark.parametrize("which", ["without runs", "with runs"])
def test_an_idle_daemon_makes_no_wake_up_in_a_minute(which: str, idlers: dict[str, Idler]) -> None:
    idler = idlers[which]
    until(lambda: time.monotonic() >= idler.since_s + IDLE_S, limit_s=2 * IDLE_S)
    assert idler.switches() == idler.before


def test_an_idle_daemon_is_small_after_a_thousand_events(idlers: dict[str, Idler]) -> None:
    rss = _number(Path(f"/proc/{idlers['without runs'].daemon.pid}/status"), "VmRSS") * 1024
    assert rss <= MOST_RSS_BYTES, f"{rss / 1e6:.1f} MB"
