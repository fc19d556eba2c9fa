"""What each failure means to a call, and when it is asked again (`client/PROTOCOL.md`, "The rule for clients")."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor import Client, calls, talk, wake
from torpor.errors import BadHome, Down, NotPermitted, ProtocolError, Refused, Timeout, Unreachable
from waiting import until

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from client.conftest import Ask


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeDaemon]]:
    """A stand-in for starting a daemon: a fake one, that is stopped at the end."""
    daemons: list[FakeDaemon] = []

    def start(place: Any, deadline: object) -> None:
        import pathlib

        daemons.append(FakeDaemon(pathlib.Path(place.home)).__enter__())

    monkeypatch.setattr(wake, "start", start)
    yield daemons
    for daemon in daemons:
        daemon.stop()


def _hang_up(visitor: Visitor) -> None:
    visitor.request()


def _hang_up_unread(visitor: Visitor) -> None:
    visitor.daemon.ended.wait(0.05)  # until the request lies there unread: then closing is a reset


def _half_a_reply(visitor: Visitor) -> None:
    visitor.request()
    visitor.send(b'{"jsonrpc":"2.0","id":1,"resu')


def _drain(visitor: Visitor) -> None:
    visitor.refuse(visitor.request()["id"], "draining")
    visitor.daemon.ended.wait(1)


@pytest.mark.parametrize("scene", [_hang_up, _hang_up_unread, _half_a_reply, _drain])
def test_a_connection_that_broke_is_made_again_with_the_same_key(home: pathlib.Path, ask: Ask, scene: Any) -> None:
    with FakeDaemon(home, scene, scene) as daemon:
        assert ask(home, "stop") == RESULTS["stop"]
    keys = {request["params"]["key"] for request in daemon.requests}
    assert daemon.visits == 3
    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_a_connection_that_broke_between_two_calls_is_made_again(home: pathlib.Path) -> None:
    def once(visitor: Visitor) -> None:
        visitor.answer(visitor.request())

    with FakeDaemon(home, once, once) as daemon, Client(home) as client:
        for _ in range(3):
            assert client.status()["state"] == "WAKE"
        assert daemon.visits == 3


def test_two_changing_calls_have_two_keys_and_an_event_none_of_its_own(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home) as daemon:
        ask(home, "hibernate", now=True)
        ask(home, "reload")
        ask(home, "event", "wake_signal")
        ask(home, "event", "wake_signal", key="mine")
    first, second, third, fourth = (request["params"] for request in daemon.requests)
    assert first["key"] != second["key"]
    assert third == {"event": "wake_signal"}
    assert fourth == {"event": "wake_signal", "key": "mine"}


@pytest.mark.parametrize("leftover", [False, True], ids=["ENOENT", "ECONNREFUSED"])
def test_a_changing_call_starts_a_daemon_that_is_down(
    home: pathlib.Path, ask: Ask, started: list[FakeDaemon], leftover: bool
) -> None:
    if leftover:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(home / "torpor.sock"))
    assert ask(home, "event", "wake_signal") == RESULTS["event"]
    assert len(started) == 1


def test_looking_at_a_daemon_that_is_down_does_not_even_connect(
    home: pathlib.Path, ask: Ask, started: list[FakeDaemon]
) -> None:
    write_state(home, current_state="HIBERNATION")
    looks = [("hello",), ("status",), ("why",), ("log",), ("wait", "WAKE"), ("hold_list",)]
    with FakeDaemon(home, locks=False) as daemon:  # the service manager's socket: connecting would start it
        for method, *args in looks:
            with pytest.raises(Down, match="HIBERNATION since"):
                ask(home, method, *args)
        assert daemon.visits == 0
    assert not started


@pytest.mark.parametrize("pid", [None, 4242], ids=["it went down", "it was killed on its way out"])
def test_after_stop_only_start_starts_it(
    home: pathlib.Path, ask: Ask, started: list[FakeDaemon], pid: int | None
) -> None:
    write_state(home, reason="stop", pid=pid)
    with pytest.raises(Down, match=f"`torpor start --home {home}` starts it again"):
        ask(home, "event", "wake_signal")
    assert not started


@pytest.mark.parametrize("method", ["status", "stop"])
def test_not_permitted_names_the_path_and_touches_nothing(
    home: pathlib.Path, ask: Ask, started: list[FakeDaemon], method: str
) -> None:
    with FakeDaemon(home) as daemon:
        before = sorted(home.iterdir())
        home.chmod(0)
        if os.geteuid() == 0:
            home.parent.chmod(0o755)
            os.seteuid(65534)
        try:
            with pytest.raises(NotPermitted, match=str(home)):
                ask(home, method)
        finally:
            os.seteuid(os.getuid())
            home.chmod(0o700)
        assert sorted(home.iterdir()) == before
        assert daemon.visits == 0
    assert not started


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="elsewhere a full backlog is ECONNREFUSED")
def test_a_full_backlog_is_waited_for(home: pathlib.Path) -> None:
    daemon = FakeDaemon(home, backlog=0)
    daemon.listen()
    fillers = []
    try:
        outcome = 0
        while outcome == 0:
            fillers.append(socket.socket(socket.AF_UNIX))
            fillers[-1].settimeout(0)
            outcome = fillers[-1].connect_ex(str(home / "torpor.sock"))
        assert outcome == errno.EAGAIN
        with Client(home) as client:
            found: list[Any] = []
            thread = threading.Thread(target=lambda: found.append(client.event("wake_signal")))
            thread.start()
            until(lambda: "more callers wait" in client._talk.obstacle)
            daemon.accept()
            thread.join()
        assert found == [RESULTS["event"]]
    finally:
        for filler in fillers:
            filler.close()
        daemon.stop()


def test_asyncio_waits_for_a_full_backlog_too(home: pathlib.Path, ask: Ask) -> None:
    daemon = FakeDaemon(home, backlog=0)
    daemon.listen()
    with socket.socket(socket.AF_UNIX) as filler:
        filler.connect(str(home / "torpor.sock"))
        with pytest.raises(Timeout, match=r"more callers wait|does not answer"):
            ask(home, "event", "wake_signal", timeout=0.2)
    daemon.accept()
    daemon.stop()


def test_a_daemon_between_two_lives_is_waited_for_and_not_started(
    home: pathlib.Path, ask: Ask, started: list[FakeDaemon]
) -> None:
    daemon = FakeDaemon(home)
    daemon.listen()
    (home / "torpor.sock").unlink()
    with pytest.raises(Timeout, match=r"holds the lock of .* and does not listen"):
        ask(home, "event", "wake_signal", timeout=0.2)
    daemon.accept()
    daemon.stop()
    assert not started


def test_a_reply_may_come_byte_by_byte(home: pathlib.Path, ask: Ask) -> None:
    def trickle(visitor: Visitor) -> None:
        visitor.request()
        for byte in b'{"jsonrpc":"2.0","id":1,"result":{"state":"SLEEP"}}\n':
            visitor.send(bytes([byte]))
        visitor.daemon.ended.wait(1)

    with FakeDaemon(home, trickle):
        assert ask(home, "stop") == {"state": "SLEEP"}


def test_a_reply_that_never_ends_ends_with_the_deadline(home: pathlib.Path, ask: Ask) -> None:
    def drip(visitor: Visitor) -> None:
        visitor.request()
        while not visitor.daemon.ended.wait(0.01):
            visitor.send(b" ")

    begin = time.monotonic()
    with FakeDaemon(home, drip), pytest.raises(Timeout, match="does not answer status"):
        ask(home, "status", timeout=0.3)
    assert 0.25 < time.monotonic() - begin < 3


@pytest.mark.parametrize("timeout", [4294967.3, 1e10, float("inf")])
def test_a_deadline_may_be_as_far_as_it_likes(home: pathlib.Path, ask: Ask, timeout: float) -> None:
    def late(visitor: Visitor) -> None:
        request = visitor.request()
        visitor.daemon.ended.wait(0.2)
        visitor.answer(request)

    with FakeDaemon(home, late):
        assert ask(home, "stop", timeout=timeout) == RESULTS["stop"]


def test_the_deadline_is_one_for_all_tries(home: pathlib.Path, ask: Ask) -> None:
    begin = time.monotonic()
    with FakeDaemon(home, *[_hang_up] * 1000), pytest.raises(Timeout, match="closed the connection"):
        ask(home, "status", timeout=0.3)
    assert 0.25 < time.monotonic() - begin < 3


def test_a_late_answer_is_not_taken_for_the_next_one(home: pathlib.Path) -> None:
    go_on = threading.Event()

    def late(visitor: Visitor) -> None:
        first = visitor.request()
        second = visitor.request()
        go_on.wait()
        visitor.answer(first, {"state": "DROWSY"})
        visitor.answer(second, {"changed": []})

    with FakeDaemon(home, late) as daemon, Client(home, timeout=0.2) as client:
        with pytest.raises(Timeout):
            client.stop()
        client._timeout = 5.0
        go_on.set()
        assert client.reload() == {"changed": []}
        assert daemon.visits == 1  # what is bound to the connection has not ended with the time that ran out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is not JSON"),
        (b"[]\n", "no JSON-RPC"),
        (b'{"id":1,"result":{}}\n', "no JSON-RPC"),
        (b'{"jsonrpc":"2.0","id":99,"result":{}}\n', "answered request 99"),
        (b'{"jsonrpc":"2.0","id":"1","result":{}}\n', "answered request '1'"),
        (b'{"jsonrpc":"2.0","id":1,"result":[]}\n', "neither a result nor an error"),
        (b'{"jsonrpc":"2.0","id":1}\n', "neither a result nor an error"),
        (b'{"jsonrpc":"2.0","id":1,"error":"no"}\n', "not torpor's"),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}\n', "without a name"),
        (b"x" * (1024 * 1024 + 70000) + b"\n", "a line of more than"),
    ],
)
def test_what_is_not_the_protocol_is_said_to_be_so(home: pathlib.Path, ask: Ask, line: bytes, said: str) -> None:
    def nonsense(visitor: Visitor) -> None:
        visitor.request()
        visitor.send(line)
        visitor.daemon.ended.wait(1)

    with FakeDaemon(home, nonsense) as daemon:
        with pytest.raises(ProtocolError, match=said):
            ask(home, "status")
        daemon.ended.set()


def test_a_refusal_keeps_its_name_and_data(home: pathlib.Path, ask: Ask) -> None:
    def refuse(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "conflict", busy=["make"])

    with FakeDaemon(home, refuse), pytest.raises(Refused, match="no: conflict") as refused:
        ask(home, "event", "force_sleep")
    assert refused.value.name == "conflict"
    assert refused.value.data["busy"] == ["make"]


def test_what_the_daemon_said_before_it_hung_up_is_heard(home: pathlib.Path, ask: Ask) -> None:
    def one_too_many(visitor: Visitor) -> None:
        visitor.refuse(None, "too_many")
        visitor.socket.shutdown(socket.SHUT_RD)

    with FakeDaemon(home, one_too_many), pytest.raises(Refused, match="too_many"):
        ask(home, "status")


def test_other_names_become_other_errors(home: pathlib.Path, ask: Ask) -> None:
    def refuse(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "protocol_mismatch")

    with FakeDaemon(home, refuse), pytest.raises(ProtocolError):
        ask(home, "hello")

    def run_out(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "timeout")

    with FakeDaemon(home, run_out), pytest.raises(Timeout):
        ask(home, "wait", "SLEEP", timeout_s=1.0)


def test_a_named_client_says_hello_first_on_each_connection(home: pathlib.Path) -> None:
    def two(visitor: Visitor) -> None:
        visitor.answer(visitor.request())
        visitor.answer(visitor.request())

    with FakeDaemon(home, two) as daemon, Client(home, name="editor") as client:
        client.status()
        client.status()
    assert daemon.methods() == ["hello", "status", "hello", "status"]
    assert daemon.requests[0]["params"]["client"]["name"] == "editor"


def test_waiting_ends_where_the_daemon_goes_down_in_that_state(home: pathlib.Path, ask: Ask) -> None:
    def go_down(visitor: Visitor) -> None:
        visitor.request()
        threading.Thread(target=visitor.daemon.stop, kwargs={"current_state": "HIBERNATION"}).start()
        visitor.daemon.ended.wait()

    daemon = FakeDaemon(home, go_down)
    daemon.listen()
    daemon.accept()
    assert ask(home, "wait", "HIBERNATION") == {"state": "HIBERNATION", "seq": None}
    assert ask(home, "wait", "HIBERNATION") == {"state": "HIBERNATION", "seq": None}


def test_a_path_too_long_is_refused_before_anything_is_touched(short_dir: pathlib.Path) -> None:
    long = short_dir / ("x" * 100)
    with pytest.raises(BadHome, match=r"bytes long, and this system takes 10[73]: .*TORPOR_SOCKET"):
        Client(long)
    assert not long.exists()


def test_something_else_in_the_way_is_said(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home):
        (home / "torpor.sock").unlink()
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with datagrams:
            datagrams.bind(str(home / "torpor.sock"))
            with pytest.raises(Unreachable, match="cannot connect to"):
                ask(home, "status")


def test_the_last_words_of_one_that_ended_are_not_told_of_the_next(home: pathlib.Path) -> None:
    talker = talk.Talk(talk.Place(str(home), str(home / "torpor.sock")))
    nobody = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    asking = talker.ask(calls.Call("status", {}, looks=False))
    next(asking)
    assert isinstance(asking.throw(nobody), talk.Start)
    assert isinstance(asking.send("the disk is full"), talk.Disconnect)
    assert "the disk is full" in talker.obstacle
    assert isinstance(asking.send(None), talk.Pause)
    assert isinstance(asking.send(None), talk.Connect)
    assert isinstance(asking.send(None), talk.Send)
    assert isinstance(asking.send(None), talk.Receive)
    with pytest.raises(StopIteration):
        asking.send(b'{"jsonrpc":"2.0","id":1,"result":{}}')
    again = talker.reach()
    next(again)
    assert isinstance(again.throw(nobody), talk.Start)
    assert "the disk is full" not in talker.obstacle
