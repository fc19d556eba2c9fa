"""300 clients around the moment of hibernation, with a socket of the daemon's own: all are answered, each counted once.

(With a socket that a service manager holds: tests/service/test_storm.py.)
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from process.patience import PatientClient, Spawner
from process.reading import assert_whole, kinds
from process.timers import settings

# Who comes while the disk syncs is among those it is about.
pytestmark = pytest.mark.disk

CLIENTS = 300
SPREAD_S = 3.0
FEWEST_LIVES = 3


class Hibernator:
    """Asks for hibernation whenever there is somebody to ask, until enough is enough."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.wait(0.01):
            try:
                self._spawner.daemon.ask("hibernate", now=True)
            except (OSError, EOFError):
                continue  # down, or on its way

    def stop(self) -> None:
        self._enough.set()


def come(number: int, at_s: float, spawner: Spawner, all_there: threading.Barrier) -> dict[str, Any]:
    """Be one client: every third connects early and sends late, on a connection that may have ended meanwhile."""
    early = LineClient(spawner.daemon.socket) if number % 3 == 0 else None
    all_there.wait()
    threading.Event().wait(at_s)
    patient = PatientClient(spawner.daemon.socket, spawner)
    params = {"event": "request_arrived", "key": f"client-{number}"}
    if early is not None:
        try:
            early.request("event", **params)
        except BrokenPipeError:
            early.close()
            early = None
    return patient.try_on(early) or patient.ask("event", **params)


def test_300_clients_around_hibernation(home: Path) -> None:
    spawner = Spawner(RunningDaemon.start(home, settings()))
    dice = random.Random(300)  # noqa: S311 - not a secret: a run that failed can be repeated
    hibernator = Hibernator(spawner)
    all_there = threading.Barrier(CLIENTS + 1)
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        came = [pool.submit(come, n, dice.uniform(0, SPREAD_S), spawner, all_there) for n in range(CLIENTS)]
        all_there.wait(30)
        asking = pool.submit(hibernator.run)
        try:
            replies = [each.result(60) for each in came]
        finally:
            hibernator.stop()
        asking.result()
    assert all("result" in reply for reply in replies), [reply for reply in replies if "error" in reply][:3]
    spawner.start()
    status = spawner.daemon.call("status")
    assert status["wrapper_event_seq"] == CLIENTS
    assert status["generation"] >= FEWEST_LIVES
    assert spawner.daemon.stop() == 0
    assert_whole(home)
    assert kinds(home).count("stopped") == status["generation"]
