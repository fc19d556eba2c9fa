"""A subscription lives through any number of the daemon's lives: no gap, no repeat, and it never wakes it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import FakeDaemon, Scene, Visitor, write_state
from torpor import AsyncClient, Client, presence, wake
from torpor.errors import Down, ProtocolError
from waiting import until

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    Take = Callable[..., list[int]]


def _blocking(home: pathlib.Path, count: int, **params: Any) -> list[int]:
    with contextlib.closing(Client(home, timeout=5).subscribe(**params)) as records:  # type: ignore[type-var]
        return [record["seq"] for record in itertools.islice(records, count)]


def _asyncio(home: pathlib.Path, count: int, **params: Any) -> list[int]:
    async def taken() -> list[int]:
        seqs: list[int] = []
        async with contextlib.aclosing(AsyncClient(home, timeout=5).subscribe(**params)) as records:  # type: ignore[type-var]
            async for record in records:
                seqs.append(record["seq"])
                if len(seqs) == count:
                    break
        return seqs

    return asyncio.run(taken())


@pytest.fixture(params=[_blocking, _asyncio], ids=["blocking", "asyncio"])
def take(request: pytest.FixtureRequest) -> Take:
    chosen: Take = request.param
    return chosen


@pytest.fixture(autouse=True)
def nobody_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        pytest.fail("a subscriber woke the daemon")

    monkeypatch.setattr(wake, "start", start)


def _telling(*seqs: int, then: bytes = b"", stays: bool = False) -> Scene:
    def scene(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {"next": 4})
        for seq in seqs:
            visitor.record(seq)
        if then:
            visitor.send(then)
        if stays:
            visitor.daemon.ended.wait()

    return scene


def test_it_begins_now_or_after_a_position(home: pathlib.Path, take: Take) -> None:
    with FakeDaemon(home, _telling(5, 6), _telling(3, 4, 5)) as daemon:
        assert take(home, 2) == [5, 6]
        assert take(home, 3, after=2, kinds=["state_transition"]) == [3, 4, 5]
    assert [request["params"] for request in daemon.requests] == [{}, {"after": 2, "kinds": ["state_transition"]}]


def test_a_broken_connection_is_no_gap_and_no_repeat(home: pathlib.Path, take: Take) -> None:
    half = b'{"jsonrpc":"2.0","method":"record","params":{"record":{"seq":7'
    with FakeDaemon(home, _telling(5, 6, then=half), _telling(6, 7, 8)) as daemon:
        assert take(home, 4) == [5, 6, 7, 8]
    assert [request["params"] for request in daemon.requests] == [{}, {"after": 6}]


def test_it_goes_on_where_it_began_if_nothing_had_happened(home: pathlib.Path, take: Take) -> None:
    with FakeDaemon(home, _telling(), _telling(5)) as daemon:
        assert take(home, 1) == [5]
    assert [request["params"] for request in daemon.requests] == [{}, {"after": 4}]


def test_it_waits_for_the_next_life_without_waking_it(
    home: pathlib.Path, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()
    mark = presence.mark

    def counted(of: str) -> tuple[int, int, int]:
        next(looks)
        return mark(of)

    monkeypatch.setattr(presence, "mark", counted)
    bye = b'{"jsonrpc":"2.0","method":"bye","params":{"reason":"hibernate"}}\n'
    first = FakeDaemon(home, _telling(5, then=bye, stays=True))
    first.listen()
    first.accept()
    seqs: list[int] = []
    taker = threading.Thread(target=lambda: seqs.extend(take(home, 3)))
    taker.start()
    until(lambda: first.requests)
    first.stop(current_state="HIBERNATION")
    asleep = FakeDaemon(home, locks=False)  # the service manager's socket, and nobody behind it
    with asleep:
        seen = next(looks)
        until(lambda: next(looks) > seen + 4, what="it has looked twice")
        assert asleep.visits == 0
    write_state(home, pid=1)
    with FakeDaemon(home, _telling(6, 7)) as second:
        taker.join()
    assert seqs == [5, 6, 7]
    assert second.requests[0]["params"] == {"after": 5}


def test_a_daemon_that_is_down_at_the_beginning_is_said_to_be(home: pathlib.Path, take: Take) -> None:
    write_state(home, current_state="HIBERNATION")
    with pytest.raises(Down, match="HIBERNATION"):
        take(home, 1)


def test_what_is_no_record_is_said_to_be_none(home: pathlib.Path, take: Take) -> None:
    bad = b'{"jsonrpc":"2.0","method":"record","params":{"record":{"kind":"x"}}}\n'
    with FakeDaemon(home, _telling(then=bad)), pytest.raises(ProtocolError, match="a record that is none"):
        take(home, 1)
