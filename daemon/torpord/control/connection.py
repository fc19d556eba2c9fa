"""One connection: read all the lines that have come, answer them in their order, with one write for all.

It reads again only when what it read is answered, so nobody has more in the writer's line than one read's worth, and a
flood on one connection waits behind the requests of the others.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import structlog
from anyio.lowlevel import checkpoint

from torpor import wire
from torpord.control import framing, waiting
from torpord.control.calls import Call, Method
from torpord.control.desk import Desk
from torpord.control.follower import Follower
from torpord.control.framing import NO_ID, Lines, Request
from torpord.control.inlet import READ_BYTES, Inlet
from torpord.control.ledger import view
from torpord.control.methods import change, check_look, find, is_change
from torpord.control.outlet import Outlet, PeerGoneError
from torpord.control.params import RefusedError
from torpord.core.draft import Refusal
from torpord.core.events import Cause, ConnectionClosed
from torpord.host import hangup
from torpord.store.store import StoreError
from torpord.writer import Change, Ticket

log = structlog.get_logger("torpord.control")

# Answers are sent when they are this many, so that a flood of large ones is not gathered in memory first.
FLUSH_BYTES = 64 * 1024
# After so many lines the others get their turn: one read may bring a thousand, and ask for no answer to wait for.
LINES_A_TURN = 32
DEFAULT_LOG_LINES = 1000
# A request that is refused, and its id; a change that is gathered, and the id to answer it under.
_Refused = tuple[Any, Refusal]
_Pending = tuple[Any, Change]


@dataclass(slots=True)
class _Look:
    """A request that changes nothing, and what it is answered with."""

    request: Request
    row: Method
    call: Call


async def receive(sock: socket.socket) -> bytes:
    """Return what has come, once something has: b"" at the end. Raises PeerGoneError."""
    await checkpoint()  # who always has more to read would never wait
    while True:
        try:
            return sock.recv(READ_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(sock)
        except OSError as error:
            raise PeerGoneError(str(error)) from error


async def last_words(sock: socket.socket, outlet: Outlet, data: bytes) -> None:
    """Send what is the last, so that it arrives: unread bytes at close would reset the connection."""
    await outlet.send(data, limit_s=1)
    with contextlib.suppress(OSError), anyio.move_on_after(1):
        sock.shutdown(socket.SHUT_WR)
        while await receive(sock):
            pass


class Connection:
    """Serves one accepted socket until either side is done."""

    def __init__(self, number: int, sock: socket.socket, desk: Desk, cause: Cause) -> None:
        self.number = number
        self.sock = sock
        self._handling = False  # the task answers what it read
        self.ended_sending = False  # the peer will send no more
        self._desk = desk
        self._cause = cause
        self._lines = Lines()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._pending: list[_Pending] = []
        self._start: Callable[..., object]  # a task beside the reader; set before anything is read
        self._first = True
        self._held = False
        self._waits = 0
        self._following = False
        self._nothing_open = anyio.Event()  # after the peer's last request: no wait, no subscription
        self._outlet = Outlet(sock, cause)
        self._inlet = Inlet(sock, desk.watch, self._at_once)

    @property
    def handling(self) -> bool:
        """Whether a request is being answered, or is about to be."""
        return self._handling or self._inlet.holds

    async def serve(self) -> None:
        """Serve it. Closes the socket, and lets go of the holds that hung on it."""
        try:
            async with anyio.create_task_group() as beside:
                try:
                    await self._read_all(beside.start_soon)
                    if self._waits or self._following:
                        beside.start_soon(self._until_gone, beside.cancel_scope)
                except PeerGoneError as gone:
                    log.debug("peer_gone", connection=self.number, why=str(gone))
                    beside.cancel_scope.cancel()
        finally:
            self._inlet.close()
            self.sock.close()
            if self._held:
                self._desk.writer.owe(ConnectionClosed(self._cause, self.number))

    async def refuse(self, name: str, message: str) -> None:
        """Say why there is no service here, and close."""
        with contextlib.suppress(PeerGoneError):  # it need not have waited for it
            await last_words(self.sock, self._outlet, framing.error(None, Refusal(name, message)))
        self.sock.close()

    async def _until_gone(self, scope: anyio.CancelScope) -> None:
        """End when a peer that sends no more has got what it waits for, or is gone altogether."""
        self._inlet.close()
        async with anyio.create_task_group() as either:
            either.start_soon(self._all_answered, either.cancel_scope)
            await hangup.gone(self.sock)
            scope.cancel()

    async def _all_answered(self, scope: anyio.CancelScope) -> None:
        await self._nothing_open.wait()
        scope.cancel()

    async def _read_all(self, start: Callable[..., object]) -> None:
        self._start = start
        while not self.ended_sending:
            data = await self._inlet.receive()
            self._handling = True
            try:
                self.ended_sending = not data
                lines = self._lines.feed(data) if data else self._lines.end()
                for number, line in enumerate(lines, 1):
                    if number % LINES_A_TURN == 0:
                        await checkpoint()
                    if line.strip():
                        found = self._gathered(framing.parse(line))
                        if found is not None:
                            await self._take(found)
                await self._settle()
                await self._flush()
            finally:
                self._handling = False
            if self._lines.too_long:
                await self._over()

    def _at_once(self, data: bytes) -> bool:
        """Take a read that is one change and nothing else: to wake a task twice is a fifth of its cost."""
        if self._lines.begun or data.find(b"\n") != len(data) - 1:
            return False
        request = framing.parse(data)
        if isinstance(request, tuple) or not is_change(request.method, request.params):
            return False
        refused = self._gathered(request)
        if isinstance(refused, tuple):
            self._answer(*refused)
            self._send_now()
        else:
            ((request_id, only),) = self._pending
            self._pending = []
            self._desk.writer.submit((only,), partial(self._answered, request_id))
        return True

    def _answered(self, request_id: Any, ticket: Ticket) -> None:
        try:
            self._answer(request_id, ticket.outcomes[0])
            self._send_now()
        except Exception:
            # Here the writer calls: a mistake of ours is to cost this one connection, and not the daemon.
            log.exception("connection_failed", connection=self.number)
            self._shut()
            self._inlet.go_on()

    def _send_now(self) -> None:
        """Send the answers from where nobody may wait, and go on."""
        data, self._out, self._out_bytes = b"".join(self._out), [], 0
        try:
            rest = self._outlet.send_now(data)
        except PeerGoneError:
            rest = None
            self._shut()
        if rest is not None:
            self._start(self._send_rest, rest)
            return
        if self._desk.trial is not None:
            self._desk.trial.lived()
        self._inlet.go_on()

    async def _send_rest(self, rest: Callable[[], Awaitable[bool]]) -> None:
        try:
            await rest()
        except PeerGoneError:
            self._shut()
        self._inlet.go_on()

    async def _over(self) -> None:
        log.info("refused", name="too_large", cause=self._cause)
        self._inlet.close()
        await last_words(self.sock, self._outlet, framing.error(None, framing.TOO_LONG))
        raise PeerGoneError("too_large")

    def _gathered(self, request: Request | _Refused) -> _Look | _Refused | None:
        """Put a change behind those before it, which returns None. Anything else is given back, to be answered."""
        if isinstance(request, tuple):
            return request
        try:
            row = self._admit(request)
            call = Call(self._desk, request.params, self._cause, self.number)
            if not row.changes(request.params):
                return _Look(request, row, call)
            if self._desk.trial is not None:
                self._desk.trial.about_to(f"request {row.name}")
            self._held = self._held or row.name == "hold.acquire"
            self._pending.append((request.id, change(row, call)))
        except RefusedError as refused:
            return request.id, refused.refusal
        except Exception as error:  # noqa: BLE001 - it is logged, and told
            return request.id, self._mistake(request, error)
        return None

    def _mistake(self, request: Request, error: Exception) -> Refusal:
        log.error("internal_error", method=request.method, cause=self._cause, exc_info=error)
        message = f"a mistake of the daemon's, not of the request: {error!r}; the daemon's log has more"
        return Refusal("internal_error", message)

    async def _take(self, found: _Look | _Refused) -> None:
        """Answer what is no change, behind the changes before it."""
        await self._settle()
        if isinstance(found, tuple):
            self._answer(*found)
        else:
            try:
                await self._look(found.request, found.row, found.call)
            except RefusedError as refused:
                self._answer(found.request.id, refused.refusal)
            except (PeerGoneError, anyio.get_cancelled_exc_class()):
                raise
            except Exception as error:  # noqa: BLE001 - it is logged, and told
                self._answer(found.request.id, self._mistake(found.request, error))
        await self._flush(FLUSH_BYTES)

    async def _look(self, request: Request, row: Method, call: Call) -> None:
        check_look(row, call)
        if row.look is not None:
            self._answer(request.id, row.look(call))
        elif row.read is not None:
            self._answer(request.id, await row.read(call))
        else:
            await self._long(request)

    def _admit(self, request: Request) -> Method:
        first, self._first = self._first, False
        if self._desk.draining:
            raise RefusedError(self._desk.goes_down())
        if request.method == "hello" and not first:
            raise RefusedError(Refusal("invalid_request", "hello comes first, or not at all", {"field": "method"}))
        return find(request.method)

    async def _settle(self) -> None:
        """Have the gathered changes decided, and answer them."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        ticket = self._desk.writer.submit([each for _, each in pending])
        await ticket.done.wait()
        for (request_id, _), outcome in zip(pending, ticket.outcomes, strict=True):
            self._answer(request_id, outcome)

    def _answer(self, request_id: Any, answer: Any) -> None:
        if isinstance(answer, Refusal):
            log.info("refused", name=answer.name, message=answer.message, cause=self._cause)
        if request_id is NO_ID:
            return
        write = framing.error if isinstance(answer, Refusal) else framing.result
        self._out.append(write(request_id, answer))
        self._out_bytes += len(self._out[-1])

    async def _flush(self, above: int = 0) -> None:
        if self._out_bytes > above:
            data, self._out, self._out_bytes = b"".join(self._out), [], 0
            await self._outlet.send(data)
            if self._desk.trial is not None:
                self._desk.trial.lived()

    async def _long(self, request: Request) -> None:
        """Answer what takes a task or the store."""
        match request.method:
            case "log":
                self._answer(request.id, await self._log(request))
            case "wait":
                if self._waits >= wire.MAX_WAITS:
                    message = f"{wire.MAX_WAITS} waits are open on this connection already"
                    raise RefusedError(Refusal("too_many", message))
                self._waits += 1
                self._start(self._wait, request)
            case _:
                await self._subscribe(request)

    async def _log(self, request: Request) -> dict[str, Any]:
        after = await self._cursor(request, default=0)
        limit, kinds = request.params.get("limit", DEFAULT_LOG_LINES), request.params.get("kinds", ())
        store, head = self._desk.store, self._desk.tail.head  # before the page is read: it has all up to here
        try:
            # Half the page: what the lines are wrapped in on the wire comes on top.
            job = self._desk.runner.run(lambda: store.page(after, limit, wire.MAX_PAGE_BYTES // 2, kinds))
            page = await job
        except StoreError as error:
            raise RefusedError(Refusal("storage_unavailable", f"the ledger cannot be read now: {error}")) from error
        records = [view(line) for line in page.lines]
        newest = max([after, head, *(line.seq for line in page.lines[-1:])])
        return {"records": records, "next": newest if page.end is None else page.end}

    async def _cursor(self, request: Request, default: int | None) -> int:
        """Return `after`, checked against what is kept; without it `default`, or the newest line."""
        head = self._desk.tail.head
        if "after" not in request.params:
            if default is None:
                return head
            return max(0, await self._oldest() - 1)
        after = int(request.params["after"])
        oldest = await self._oldest()
        if after + 1 < oldest or after > head:
            message = f"the ledger has the lines {oldest} to {head}: start with after={oldest - 1}"
            raise RefusedError(Refusal("not_found", message, {"field": "after", "oldest": oldest, "newest": head}))
        return after

    async def _oldest(self) -> int:
        try:
            return await self._desk.runner.run(self._desk.store.oldest)
        except StoreError as error:
            raise RefusedError(Refusal("storage_unavailable", f"the ledger cannot be read now: {error}")) from error

    async def _wait(self, request: Request) -> None:
        try:
            await self._reply_beside(request.id, await waiting.wait(self._desk, request.params))
        finally:
            self._waits -= 1
            self._closed_one()

    def _closed_one(self) -> None:
        if self.ended_sending and not self._waits and not self._following:
            self._nothing_open.set()

    async def _reply_beside(self, request_id: Any, answer: Any) -> None:
        """Answer out of order, from a task beside the reader."""
        if request_id is NO_ID:
            return
        write = framing.error if isinstance(answer, Refusal) else framing.result
        try:
            await self._outlet.send(write(request_id, answer))
        except PeerGoneError:
            self._shut()

    async def _subscribe(self, request: Request) -> None:
        if self._following:
            raise RefusedError(Refusal("conflict", "this connection follows already: use another one"))
        after = await self._cursor(request, default=None)
        self._following = True
        self._answer(request.id, {"next": after})
        await self._flush()
        self._start(self._follow, after, frozenset(request.params.get("kinds", ())))

    async def _follow(self, after: int, kinds: frozenset[str]) -> None:
        """Send the ledger from `after` on: from the store while it is far behind, then as it happens."""
        follower = Follower(self._desk, self._outlet, after, kinds)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(follower.run)
                await self._desk.drained.wait()
                group.cancel_scope.cancel()
            await self._outlet.send(framing.notification("bye", {"reason": self._desk.draining}), limit_s=1)
            self._following = False
            self._closed_one()
        except* PeerGoneError:
            self._shut()
        except* StoreError as errors:
            log.warning("subscription_ended", errors=[str(error) for error in errors.exceptions])
            self._shut()

    def _shut(self) -> None:
        """Make the reader see the end: it closes the connection."""
        with contextlib.suppress(OSError):  # the other side may be gone already
            self.sock.shutdown(socket.SHUT_RDWR)
