"""Who only looks does not undo a hibernation: not at the moment of it, where the manager's socket takes connections."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from process.handed import manager
from process.timers import settings
from torpor import Client
from torpor.errors import Down
from waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LISTEN_FDS is systemd's")
LIVES = 3


def _subscribed(client: Client, seen: list[str]) -> None:
    with contextlib.closing(client.subscribe(after=0)) as records:  # type: ignore[type-var]
        for record in records:
            seen.append(record["kind"])
            if seen.count("hibernate_requested") == LIVES:
                return


def _waiting(client: Client, seen: list[str]) -> None:
    for life in range(1, LIVES + 1):
        until(lambda life=life: _serves(client, life), limit_s=20, what="the next life")  # type: ignore[misc]
        seen.append("started")
        assert client.wait("HIBERNATION", timeout_s=30)["state"] == "HIBERNATION"
        seen.append("hibernate_requested")


def _serves(client: Client, life: int) -> bool:
    try:
        return client.status()["generation"] == life
    except Down:
        return False


@pytest.mark.parametrize("look", [_subscribed, _waiting])
def test_none_of_many_lives_is_woken(look: Callable[[Client, list[str]], None], home: Path) -> None:
    seen: list[str] = []

    def looking() -> None:
        with Client(home, timeout=30) as client:
            look(client, seen)

    with manager(home) as opened:
        daemon = opened.start(settings())
        looker = threading.Thread(target=looking)
        looker.start()
        for life in range(1, LIVES + 1):
            until(lambda life=life: seen.count("started") >= life, what=f"life {life} seen")  # type: ignore[misc]
            daemon.call("hibernate", key=f"down {life}")
            assert daemon.wait_gone() == 0
            assert not opened.somebody_waits()
            if life < LIVES:
                daemon = opened.start(settings())
        looker.join(20)
    assert seen.count("hibernate_requested") == LIVES
