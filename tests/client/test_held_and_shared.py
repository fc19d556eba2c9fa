"""One connection and what hangs on it: holds, other threads, and its end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from client.fake_daemon import FakeDaemon, Visitor, serve
from torpor import AsyncClient, Client
from torpor.errors import Refused, Timeout, Unreachable
from waiting import until, until_async

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable


def test_threads_may_share_a_client(home: pathlib.Path) -> None:
    with FakeDaemon(home) as daemon, Client(home) as client:
        threads = [threading.Thread(target=client.status) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(daemon.requests) == 20
        assert daemon.visits == 1


def _hold_late(gone: threading.Event) -> Callable[[Visitor], None]:
    """Answer no `hold.acquire`, and say when the connection, and with it the hold, is gone."""

    def scene(visitor: Visitor) -> None:
        try:
            while (request := visitor.request())["method"] != "hold.acquire":
                visitor.answer(request)
            visitor.request()
        except EOFError:
            gone.set()

    return scene


def test_a_hold_that_got_no_answer_ends_with_the_connection(home: pathlib.Path) -> None:
    gone = threading.Event()
    with FakeDaemon(home, _hold_late(gone)), Client(home, timeout=0.2) as client:
        client.status()
        with pytest.raises(Timeout):
            client.hold_acquire("building")
        assert gone.wait(5)


def test_a_hold_that_was_cancelled_ends_with_the_connection(home: pathlib.Path) -> None:
    gone = threading.Event()

    async def cancelled(daemon: FakeDaemon) -> None:
        async with AsyncClient(home) as client:
            await client.status()
            taking = asyncio.create_task(client.hold_acquire("building"))
            await until_async(lambda: "hold.acquire" in daemon.methods())
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
            await until_async(gone.is_set)

    with FakeDaemon(home, _hold_late(gone)) as daemon:
        asyncio.run(cancelled(daemon))


def test_a_hold_that_is_refused_or_has_an_end_of_its_own_leaves_the_connection(home: pathlib.Path) -> None:
    def refuse_then_be_late(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "too_many")
        visitor.request()
        visitor.answer(visitor.request())

    with FakeDaemon(home, refuse_then_be_late) as daemon, Client(home, timeout=0.2) as client:
        with pytest.raises(Refused):
            client.hold_acquire("building")
        with pytest.raises(Timeout):
            client.hold_acquire("building", ttl_s=5.0)
        client.status()
        assert daemon.visits == 1


def test_closing_it_ends_the_call_of_another_thread(home: pathlib.Path) -> None:
    raised: list[BaseException] = []

    def call(client: Client) -> None:
        try:
            client.hibernate()
        except BaseException as error:  # noqa: BLE001 - which one is the question
            raised.append(error)

    def hang(visitor: Visitor) -> None:
        visitor.request()
        visitor.daemon.ended.wait()

    with FakeDaemon(home, hang) as daemon:
        client = Client(home, timeout=20)
        calling = threading.Thread(target=call, args=(client,))
        calling.start()
        until(lambda: daemon.requests)
        client.close()
        calling.join(5)
        assert [type(error) for error in raised] == [Unreachable]
        assert daemon.visits == 1  # it was not asked again
        assert client.status()["state"] == "WAKE"  # a later call opens another
        client.close()


def test_closing_it_in_the_block_of_a_hold_is_its_end(home: pathlib.Path) -> None:
    with FakeDaemon(home) as daemon, Client(home) as client:
        with client.hold("building"):
            client.close()
            client.status()
        assert daemon.methods() == ["hold.acquire", "status"]


def test_a_hold_lasts_as_long_as_the_block(home: pathlib.Path) -> None:
    with FakeDaemon(home) as daemon, Client(home) as client:
        with client.hold("building", who="make") as hold:
            assert hold["hold_id"] == "h1"
        assert daemon.methods() == ["hold.acquire", "hold.release"]
        assert {"who": "make", "why": "building"}.items() <= daemon.requests[0]["params"].items()


def test_a_hold_that_ended_with_its_connection_is_not_released(home: pathlib.Path) -> None:
    def once(visitor: Visitor) -> None:
        visitor.answer(visitor.request())

    with FakeDaemon(home, once, serve) as daemon, Client(home) as client:
        with client.hold("building"):
            client.status()
        assert daemon.methods() == ["hold.acquire", "status"]
