"""Whether a peer that sends no more still listens: to a reader, half closed looks like closed."""

from __future__ import annotations

import select
import socket

import anyio

_POLL_S = 1.0


async def gone(sock: socket.socket) -> None:
    """Return once the peer has closed altogether.

    On Linux an epoll(7) that asks for nothing still tells of a hang-up, and its descriptor becomes readable then.
    Elsewhere it looks every second, while such a connection lasts.
    """
    if hasattr(select, "epoll"):
        with select.epoll() as hangups:
            hangups.register(sock, 0)
            await anyio.wait_readable(hangups)
        return
    poll = select.poll()
    poll.register(sock, 0)
    while not any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll(0)):  # noqa: ASYNC110 - nothing to wait for
        await anyio.sleep(_POLL_S)
