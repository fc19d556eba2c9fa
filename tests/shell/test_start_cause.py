"""What a start says it was for, from what lies there and what the service manager told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from torpord.core.world import Process, World
from torpord.host import processes
from torpord.host.listen import Listener
from torpord.shell.starting import start_cause

NOW_S = 1_795_275_385.0  # 2026-11-21 15:36:25 UTC
AT = "2026-11-21T15:{}+00:00"


@dataclass
class Place:
    """A home with a socket that the manager handed over."""

    home: Path
    listener: Listener
    clients: list[socket.socket] = field(default_factory=list)

    def connect(self) -> None:
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.listener.path)
        self.clients.append(client)

    def plan(self, clock: str) -> None:
        (self.home / "wake.at").write_text(AT.format(clock) + "\n")

    def cause(self, supervisor: str = "systemd", *, ended: bool = True, spawned: bool = False) -> str:
        process = Process(generation=3, boot_id=processes.boot_id(), started_ts=NOW_S - 1000, ended=ended)
        return start_cause(World(process=process), self.listener, self.home, supervisor, NOW_S, spawned=spawned)


@pytest.fixture
def place(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    (short_dir / "wake.d").mkdir()
    monkeypatch.delenv("TRIGGER_UNIT", raising=False)
    path = short_dir / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        made = Place(short_dir, Listener(sock, str(path), is_inherited=True, inode=None))
        yield made
        for client in made.clients:
            client.close()


def rang(monkeypatch: pytest.MonkeyPatch, ago_s: float) -> None:
    monkeypatch.setenv("TRIGGER_UNIT", "torpord.timer")
    monkeypatch.setenv("TRIGGER_TIMER_REALTIME_USEC", str(int((NOW_S - ago_s) * 1e6)))


def test_each_way_alone(place: Place) -> None:
    assert place.cause() == "manual"
    assert place.cause(spawned=True) == "spawn"
    assert place.cause(ended=False) == "crash"
    (place.home / "wake.d/a.json").touch()
    assert place.cause() == "wake.d"
    (place.home / "wake.signal").touch()
    assert place.cause() == "wake.signal"
    place.connect()
    assert place.cause() == "connect"
    place.plan("36:24")
    assert place.cause() == "timer"
    assert place.cause(ended=False) == "crash"
    assert place.cause("none") == "manual", "nobody holds a socket or sets a timer"
    assert place.cause("none", spawned=True) == "spawn"


@pytest.mark.parametrize(
    ("clock", "alone", "with_a_client"),
    [
        ("36:25", "timer", "timer"),  # this very second
        ("36:16", "timer", "timer"),  # a slow start, and somebody who came meanwhile
        ("36:10", "timer", "connect"),  # nobody knows why so late: who waits is a reason enough
        ("06:00", "timer", "connect"),
        ("36:26", "manual", "connect"),  # not yet
        ("nonsense", "manual", "connect"),
    ],
)
def test_by_the_time_that_was_planned(place: Place, clock: str, alone: str, with_a_client: str) -> None:
    place.plan(clock)
    assert place.cause() == alone
    place.connect()
    assert place.cause() == with_a_client


def test_late_and_with_a_file_it_is_the_files_but_under_launchd(place: Place) -> None:
    place.plan("06:00")
    (place.home / "wake.signal").touch()
    assert place.cause() == "wake.signal"
    assert place.cause("launchd") == "timer", "its job touches that file"
    place.connect()
    assert place.cause("launchd") == "connect"


def test_systemds_word_counts_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    rang(monkeypatch, ago_s=2)
    place.connect()
    assert place.cause() == "timer"
    assert place.cause() == "connect", "it was taken out of the environment"
    # systemd 252 tells it to each later start of the unit, too: that was before the life that came before.
    rang(monkeypatch, ago_s=2000)
    assert place.cause() == "connect"
    monkeypatch.setenv("TRIGGER_TIMER_REALTIME_USEC", "tomorrow")
    assert place.cause() == "connect"
    rang(monkeypatch, ago_s=2)
    assert place.cause("none") == "manual"


def test_a_disk_that_shows_nothing_now_keeps_nobody_from_a_start(place: Place) -> None:
    path = place.home / "wake.d"
    path.rmdir()
    path.symlink_to("wake.d")  # ELOOP, also for root
    assert place.cause() == "manual"


def test_a_wake_signal_that_cannot_be_seen_now_keeps_nobody_from_a_start(place: Place) -> None:
    place.home = place.home / ("a" * 300)  # no name is that long: an error that is not that it is not there
    assert place.cause() == "manual"
