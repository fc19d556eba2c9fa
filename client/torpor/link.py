"""The steps of a talk, performed on a blocking socket."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, assert_never

from torpor import talk, wake
from torpor.errors import ProtocolError, Timeout, Unreachable
from torpor.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Generator

    from torpor.deadline import Deadline

_READ_BYTES = 65536


class Link:
    """At most one open connection, and what has arrived on it.

    `epoch` rises with each new connection: what was bound to an older one (a hold) has ended with it.
    """

    def __init__(self, place: talk.Place) -> None:
        self._place = place
        self._socket: socket.socket | None = None
        self._lines = Lines()
        self._is_given_up = False
        self.epoch = 0

    def close(self) -> None:
        """Close the connection. The next talk opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._lines.clear()

    def run(self, talker: talk.Talk, steps: Generator[talk.Step, Any, Any], deadline: Deadline) -> Any:
        """Perform `steps` to their end and return its value, or the Deliver they come to before: then run them again.

        Raises Timeout when `deadline` has passed, Unreachable when another thread hung up, and what the steps raise.
        """
        try:
            step = steps.send(None)
            while not isinstance(step, talk.Deliver):
                self._check_wanted()
                try:
                    outcome = self._perform(step, deadline)
                except (OSError, EOFError, ProtocolError) as error:
                    self._check_wanted()
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as end:
            return end.value
        except TimeoutError:
            raise Timeout(f"no answer within {deadline.timeout_s:g} s: {talker.obstacle}") from None
        finally:
            if self._is_given_up:
                self.close()
        return step

    def hang_up(self) -> None:
        """End the connection for good from another thread: one that waits on it here sees the end, and closes it.

        Not by closing it here: the descriptor's number could be somebody else's before the other thread looks.
        """
        self._is_given_up = True
        open_socket = self._socket
        if open_socket is not None:
            with contextlib.suppress(OSError):  # the other side was faster
                open_socket.shutdown(socket.SHUT_RDWR)

    def _check_wanted(self) -> None:
        if self._is_given_up:
            raise Unreachable("the client was closed by another thread before there was an answer")

    def wait_for_end(self) -> None:
        """Block until the daemon closes the connection; what it sends meanwhile is thrown away."""
        if self._socket is None:
            return
        self._socket.settimeout(None)
        try:
            while self._socket.recv(_READ_BYTES):
                pass
        except ConnectionError:
            return  # also an end

    def _perform(self, step: talk.Step, deadline: Deadline) -> Any:
        match step:
            case talk.Connect():
                deadline.left_s()
                return self._connect()
            case talk.Disconnect():
                return self.close()
            case talk.Send(line):
                open_socket = self._open_socket()
                open_socket.settimeout(deadline.left_s())
                return open_socket.sendall(line)  # its time limit is for the whole line
            case talk.Receive(endless):
                return self._receive(None if endless else deadline)
            case talk.Pause(pause_s, endless):
                return time.sleep(pause_s) if endless else deadline.sleep(pause_s)
            case talk.Start(place):
                return wake.start(place, deadline)
            case talk.Renew():
                return deadline.renew()
            case talk.Deliver():  # pragma: no cover - `run` hands it out
                return None
            case _:
                assert_never(step)

    def _connect(self) -> bool:
        if self._socket is not None:
            return False
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A Unix socket connects at once, or says that the backlog is full: that is ours to wait for.
            fresh.settimeout(0)
            fresh.connect(self._place.socket)
        except BaseException:
            fresh.close()
            raise
        self._lines.clear()
        self._socket = fresh
        self.epoch += 1
        return True

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise EOFError
        return self._socket

    def _receive(self, deadline: Deadline | None) -> bytes:
        open_socket = self._open_socket()
        while (line := self._lines.take()) is None:
            open_socket.settimeout(None if deadline is None else deadline.left_s())
            self._lines.feed(open_socket.recv(_READ_BYTES))
        return line
