"""A daemon with an inherited socket, as a service manager starts it: connections outlive it, and wait for the next."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from daemon_process import RunningDaemon

# Hands over a listening socket as systemd does: as descriptor 3, to this very pid.
HANDED = """
import os, socket, sys
path, argv = sys.argv[1], sys.argv[2:]
sock = socket.socket(socket.AF_UNIX)
sock.connect(path + ".hand")
_, fds, _, _ = socket.recv_fds(sock, 1, 1)
os.dup2(fds[0], 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "torpord.socket"}
os.execv(sys.executable, [sys.executable, "-m", "torpord", *argv])
"""


class Manager:
    """Holds a home's listening socket, and starts daemons that inherit it."""

    def __init__(self, home: Path, held: socket.socket, hand: socket.socket) -> None:
        self._home = home
        self._held = held
        self._hand = hand

    def start(self, settings: str = "", *, args: tuple[str, ...] = ()) -> RunningDaemon:
        """Start one, and wait until it serves."""
        launcher = [sys.executable, "-c", HANDED, str(self._home / "torpor.sock")]
        daemon = RunningDaemon.start(self._home, settings, args=args, launcher=launcher, wait=False)
        taker, _ = self._hand.accept()
        with taker:
            socket.send_fds(taker, [b"x"], [self._held.fileno()])
        daemon.wait_ready()
        return daemon

    def somebody_waits(self) -> bool:
        """Say whether a connection waits at the socket: what makes a service manager start the next daemon."""
        return bool(select.select([self._held], [], [], 0)[0])


@contextlib.contextmanager
def manager(home: Path) -> Iterator[Manager]:
    """Open the socket of `home`, and keep it open."""
    home.mkdir(mode=0o700, exist_ok=True)
    path = str(home / "torpor.sock")
    with socket.socket(socket.AF_UNIX) as held, socket.socket(socket.AF_UNIX) as hand:
        held.bind(path)
        held.listen(64)
        hand.bind(path + ".hand")
        hand.listen(1)
        yield Manager(home, held, hand)


@contextlib.contextmanager
def handed_over(home: Path, *args: str) -> Iterator[RunningDaemon]:
    """A daemon with an inherited socket, which this process goes on holding."""
    with manager(home) as opened:
        daemon = opened.start(args=args)
        yield daemon
        daemon.end()
