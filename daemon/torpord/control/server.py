"""The listener and its connections: accepting by hand, the limits, and the way out without silence."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Callable
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from torpor import wire
from torpord.control.sparing import Sparing
from torpord.core.events import Cause
from torpord.host import processes
from torpord.host.listen import BACKLOG, Listener

log = structlog.get_logger("torpord.control")

DRAIN_S = 2.0
# Then everybody else gets their turn: who connects and hangs up without end is always there to be accepted.
ACCEPTED_A_TURN = 16
# Each keeps its descriptor for as long as the last words take, up to 2 s: no flood of them may use up all there are.
MOST_REFUSALS = 64
_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def _printable(program: str) -> str:
    """Write a program's name on one line: it may call itself anything, and is shown in terminals and kept for long."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in program)


class Served(Protocol):
    """A connection, as the server sees it."""

    number: int
    sock: socket.socket
    ended_sending: bool

    @property
    def handling(self) -> bool:
        """Whether a request was received that is not answered yet."""
        ...

    async def serve(self) -> None:
        """Serve it until either side is done, and close it."""
        ...

    async def refuse(self, name: str, message: str) -> None:
        """Say why there is no service here, and close."""
        ...


class Server:
    """Accepts from one listener and serves every connection in a task of its own."""

    def __init__(
        self,
        listener: Listener,
        uid: int,
        tasks: TaskGroup,
        connect: Callable[[int, socket.socket, Cause], Served],
        awake_s: Callable[[], float],
    ) -> None:
        self._listener = listener
        self._uid = uid
        self._tasks = tasks
        self._connect = connect
        self._awake_s = awake_s
        self._sparing = Sparing()
        self._connections: dict[int, Served] = {}
        self._count = 0
        self._refusals = 0
        self._accepting = anyio.CancelScope()
        self._one_ended = anyio.Event()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def run(self) -> None:
        """Accept until `stop_accepting`."""
        told = False
        with self._accepting:
            while True:
                await anyio.wait_readable(self._listener.sock)
                if self._accepting.cancel_called:
                    return  # this wait was over already when `stop_accepting` came, and then nothing interrupts it
                try:
                    self._accept(ACCEPTED_A_TURN)
                    told = False
                except OSError as error:
                    if error.errno not in _OUT_OF_DESCRIPTORS:
                        raise
                    if not told:  # not five times a second, for as long as it lasts
                        log.exception("cannot_accept", connections=self.connections)
                    told = True
                    # The connection stays in the backlog and the listener readable: asking at once would spin.
                    await anyio.sleep(0.2)

    def accept_waiting(self) -> int:
        """Accept all who wait and begin to serve them; returns how many. Raises OSError without descriptors."""
        return self._accept(BACKLOG + 1)  # so many can wait (listen(2) of Linux): the next one has come meanwhile

    def _accept(self, most: int) -> int:
        accepted = 0
        while accepted < most and (sock := self._listener.accept()) is not None:
            accepted += 1
            self._begin(sock)
        return accepted

    def _begin(self, sock: socket.socket) -> None:
        self._count += 1
        try:
            peer = processes.peer(sock)
        except OSError as error:  # macOS: it has hung up while it waited, and is nobody any more
            log.debug("peer_gone", connection=self._count, why=str(error))
            sock.close()
            return
        cause: Cause = {
            "source": "client",
            "pid": peer.pid,
            "uid": peer.uid,
            "program": _printable(processes.program(peer.pid)),
        }
        connection = self._connect(self._count, sock, cause)
        if peer.uid not in (0, self._uid):
            message = f"this daemon serves uid {self._uid} and root, not uid {peer.uid}"
            self._refuse(connection, "not_permitted", message, cause)
        elif self.connections >= wire.MAX_CONNECTIONS:
            message = f"{wire.MAX_CONNECTIONS} connections are open: close some, or try again later"
            self._refuse(connection, "too_many", message, cause)
        else:
            self._connections[connection.number] = connection
            self._tasks.start_soon(self._serve, connection)

    def _refuse(self, connection: Served, name: str, message: str, cause: Cause) -> None:
        # Who may not even speak is not to fill the disk.
        if (untold := self._sparing.due(name, self._awake_s())) is not None:
            log.warning("refused", name=name, cause=cause, untold=untold)
        if self._refusals >= MOST_REFUSALS:
            connection.sock.close()
            return
        self._refusals += 1
        self._tasks.start_soon(self._say_no, connection, name, message)

    async def _say_no(self, connection: Served, name: str, message: str) -> None:
        try:
            await connection.refuse(name, message)
        finally:
            self._refusals -= 1

    async def _serve(self, connection: Served) -> None:
        try:
            await connection.serve()
        except Exception:
            # A mistake of ours costs this one connection, and is told.
            log.exception("connection_failed", connection=connection.number)
        finally:
            del self._connections[connection.number]
            self._one_ended.set()

    def stop_accepting(self) -> None:
        """Leave whoever comes now in the backlog."""
        self._accepting.cancel()

    def has_work(self) -> bool:
        """Whether a connection is being answered, or has sent what is not read yet."""
        waiting = [c for c in self._connections.values() if not c.ended_sending]
        if any(c.handling for c in self._connections.values()):
            return True
        poll = select.poll()
        for connection in waiting:
            poll.register(connection.sock, select.POLLIN)
        return any(flags & select.POLLIN for _, flags in poll.poll(0))

    async def drain(self) -> None:
        """End every connection: nothing more comes in, what had arrived is answered, then it is closed."""
        for name, untold in self._sparing.rest().items():
            log.warning("refused", name=name, untold=untold)
        for connection in list(self._connections.values()):
            # Later sends of the peer fail, so it knows they were not read; what had arrived can still be (Linux).
            with contextlib.suppress(OSError):  # the peer is gone
                connection.sock.shutdown(socket.SHUT_RD)
        with anyio.move_on_after(DRAIN_S) as limit:
            while self._connections:
                self._one_ended = anyio.Event()
                await self._one_ended.wait()
        if limit.cancelled_caught:
            log.warning("connections_cut", count=self.connections, why=f"they read nothing for {DRAIN_S:g} s")
