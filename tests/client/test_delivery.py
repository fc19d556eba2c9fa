"""`torpor.send`: the event arrives, one way or the other."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import torpor
from client.fake_daemon import FakeDaemon, Visitor, write_state
from torpor import wake
from torpor.errors import Refused, Unreachable
from waiting import until

if TYPE_CHECKING:
    import pathlib


def _left(home: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text())["params"] for path in sorted((home / "wake.d").iterdir())]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note who was to be started, and fail at it."""
    homes: list[str] = []

    def start(place: Any, deadline: object) -> None:
        homes.append(place.home)
        raise Unreachable("torpord ended with status 78 while starting: bad settings")

    monkeypatch.setattr(wake, "start", start)
    return homes


def test_to_a_daemon_that_is_up_it_is_sent(home: pathlib.Path) -> None:
    with FakeDaemon(home) as daemon:
        done = torpor.send("wake_signal", key="k", home=home)
    assert (done.how, done.state, done.note) == ("sent", "WAKE", "sent: WAKE")
    assert daemon.requests[0]["params"] == {"event": "wake_signal", "key": "k"}
    assert not (home / "wake.d").exists()


def test_for_one_that_is_down_it_is_left_and_the_daemon_started(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = FakeDaemon(home)
    monkeypatch.setattr(wake, "start", lambda *_: daemon.__enter__())
    done = torpor.send(home=home)
    assert (done.how, done.state) == ("queued", None)
    assert done.note == "queued in wake.d: the daemon is starting"
    (left,) = _left(home)
    assert left["event"] == "request_arrived"
    assert len(left["key"]) == 32
    assert daemon.requests == []  # the file is the event; asking as well would be twice
    daemon.stop()


def test_one_that_does_not_come_up_loses_nothing(home: pathlib.Path, starts: list[str]) -> None:
    done = torpor.send("wake_signal", key="mine", home=home)
    assert done.how == "queued"
    assert "did not come up: torpord ended with status 78" in done.note
    assert _left(home) == [{"event": "wake_signal", "key": "mine"}]


def test_after_stop_it_is_left_and_nobody_started(home: pathlib.Path, starts: list[str]) -> None:
    write_state(home, reason="stop")
    done = torpor.send("wake_signal", home=home)
    assert done.how == "stopped"
    assert done.note == f"left in wake.d: torpor is stopped, run `torpor start --home {home}`"
    assert len(_left(home)) == 1
    assert starts == []


def test_one_that_goes_down_under_the_question_gets_it_as_a_file_with_the_same_key(
    home: pathlib.Path, starts: list[str]
) -> None:
    def drain(visitor: Visitor) -> None:
        request = visitor.request()
        (home / "torpor.sock").unlink()
        visitor.refuse(request["id"], "draining")

    daemon = FakeDaemon(home, drain)
    daemon.listen()
    daemon.accept()
    done = torpor.send("wake_signal", key="once", home=home, timeout=0.3)
    daemon.stop()
    assert (done.how, done.note) == ("queued", "queued in wake.d: a daemon is up, and has not taken it yet")
    assert _left(home) == [{"event": "wake_signal", "key": "once"}]


def test_one_that_is_up_without_its_socket_takes_the_file_and_nobody_waits(
    home: pathlib.Path, starts: list[str]
) -> None:
    def take() -> None:
        until(lambda: (home / "wake.d").exists() and list((home / "wake.d").iterdir()))
        for path in (home / "wake.d").iterdir():
            path.unlink()

    with FakeDaemon(home):
        (home / "torpor.sock").unlink()
        taking = threading.Thread(target=take)
        taking.start()
        begin = time.monotonic()
        done = torpor.send("wake_signal", home=home, timeout=20)
        took_s = time.monotonic() - begin
        taking.join()
    assert (done.how, done.note) == ("queued", "queued in wake.d: the daemon, which is up, has taken it")
    assert took_s < 10
    assert starts == []


def test_one_that_goes_without_having_taken_the_file_is_started_again(home: pathlib.Path, starts: list[str]) -> None:
    def go() -> None:
        until(lambda: (home / "wake.d").exists() and list((home / "wake.d").iterdir()))
        daemon.stop()

    daemon = FakeDaemon(home)
    daemon.listen()
    daemon.accept()
    (home / "torpor.sock").unlink()
    going = threading.Thread(target=go)
    going.start()
    done = torpor.send("wake_signal", home=home, timeout=20)
    going.join()
    assert done.how == "queued"
    assert starts == [str(home)]
    assert len(_left(home)) == 1


@pytest.mark.parametrize(("event", "key", "field"), [("nonsense", None, "event"), ("wake_signal", "k" * 129, "key"),
                                                     ("wake_signal", "", "key"), ("wake_signal", "a\tb", "key"),
                                                     ("wake_signal", "\udcff", "key")])  # fmt: skip
def test_what_nobody_could_be_told_of_later_is_refused_now(
    home: pathlib.Path, starts: list[str], event: str, key: str | None, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        torpor.send(event, key=key, home=home)
    assert refused.value.data["field"] == field
    assert not (home / "wake.d").exists()


def test_send_is_the_function_whatever_was_imported_before() -> None:
    import torpor.cli.events

    assert callable(torpor.send)


def test_a_daemon_in_safe_mode_finds_it_when_it_is_mended(home: pathlib.Path, starts: list[str]) -> None:
    def refuse(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "safe_mode", reason="settings")

    with FakeDaemon(home, refuse, refuse):
        done = torpor.send("wake_signal", key="k", home=home)
        with pytest.raises(Refused, match="key"):
            torpor.send("wake_signal", key="\n", home=home)
    said = f"queued in wake.d: torpor is in safe mode: torpor doctor --home {home}"
    assert (done.how, done.note) == ("queued", said)
    assert _left(home) == [{"event": "wake_signal", "key": "k"}]
    assert starts == []
