"""One watch for all connections: whose listener fails costs nobody else their turn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from torpord.control.watch import Watch


@pytest.mark.asyncio
async def test_a_mistake_of_one_listener_is_told_and_the_others_are_heard() -> None:
    watch, heard, told = Watch(), asyncio.Event(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with contextlib.ExitStack() as open_:
        pairs = [[open_.enter_context(end) for end in socket.socketpair()] for _ in range(2)]

        def fails() -> None:
            watch.remove(pairs[0][0])
            raise ValueError("a mistake")

        watch.add(pairs[0][0], fails)
        watch.add(pairs[1][0], heard.set)
        for _, other in pairs:
            other.send(b"x")
        async with asyncio.timeout(30):
            await heard.wait()
        watch.remove(pairs[1][0])
    assert [str(context["exception"]) for context in told] == ["a mistake"]


@pytest.mark.asyncio
async def test_one_that_is_watched_no_more_is_not_heard() -> None:
    watch, heard = Watch(), list[str]()
    with contextlib.ExitStack() as open_:
        (one, to_one), (other, to_other) = ([open_.enter_context(end) for end in socket.socketpair()] for _ in range(2))
        done = asyncio.Event()
        watch.add(one, lambda: heard.append("one"))
        watch.add(other, done.set)
        watch.remove(one)
        to_one.send(b"x")
        to_other.send(b"x")
        async with asyncio.timeout(30):
            await done.wait()
        watch.remove(other)
    assert heard == []
