"""Telling the service manager how we are: the protocol of sd_notify(3), a datagram of VARIABLE=value lines.

Without NOTIFY_SOCKET (a terminal, launchd, a spawn by a client) every call does nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Self

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

# READY and STOPPING are said once, and what follows hangs on them: worth a moment while the manager's queue is full
# (512 datagrams under systemd). The others come again, so they never hold up the loop.
_ONCE_PATIENCE_S = 0.5


def _unheard(_error: OSError) -> None:
    """Stand in where the caller looks at the returned values instead."""


class Notifier:
    """The way to the service manager that started this process, or to nobody.

    Each call returns whether it was heard, True too where nobody listens. A failure is told to `on_failure` once, and
    again only after something was heard in between: an unheard watchdog every few seconds is one fault, not many.
    """

    def __init__(
        self,
        address: str = "",
        watchdog_interval_s: float | None = None,
        on_failure: Callable[[OSError], None] = _unheard,
    ) -> None:
        self.is_heard = bool(address)
        self.watchdog_interval_s = watchdog_interval_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._on_failure = on_failure
        self._failing = False
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    @classmethod
    def from_environment(
        cls, environ: MutableMapping[str, str], *, on_failure: Callable[[OSError], None] = _unheard
    ) -> Self:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and remove them so that no child speaks in our name.

        `watchdog_interval_s` is half of what the manager allows (sd_watchdog_enabled(3)), None where it watches not us.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        allowed_us = environ.pop("WATCHDOG_USEC", "")
        watched_pid = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        interval_s = None
        if address and allowed_us.isdecimal() and int(allowed_us) > 0 and watched_pid == str(os.getpid()):
            interval_s = int(allowed_us) / 2_000_000
        return cls(address, interval_s, on_failure)

    def ready(self, status: str = "") -> bool:
        """Say that requests are served; also what ends a `reloading`."""
        return self._send(f"READY=1\n{_status(status)}", _ONCE_PATIENCE_S)

    def status(self, text: str) -> bool:
        """Say in one line, for `systemctl status`, what is going on."""
        return self._send(_status(text))

    def reloading(self, status: str = "") -> bool:
        """Say that the settings are being read again; `ready` must follow."""
        return self._send(f"RELOADING=1\n{_status(status)}", _ONCE_PATIENCE_S)

    def stopping(self, status: str = "") -> bool:
        """Say that this process is about to end."""
        return self._send(f"STOPPING=1\n{_status(status)}", _ONCE_PATIENCE_S)

    def watchdog(self) -> bool:
        """Say that the loop still turns."""
        return self._send("WATCHDOG=1\n")

    async def keep_watchdog(self) -> None:
        """Say so for as long as this runs; return at once where nobody watches."""
        while self.watchdog_interval_s is not None:
            self.watchdog()
            await anyio.sleep(self.watchdog_interval_s)

    def close(self) -> None:
        """Close the socket; later calls do nothing."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _send(self, text: str, patience_s: float = 0.0) -> bool:
        if self._sock is None:
            return True
        try:
            self._sock.settimeout(patience_s)
            # Addressed anew each time: a manager that re-executes itself makes a new socket at the same path.
            self._sock.sendto(text.encode(errors="replace"), self._address)
        except OSError as error:
            if not self._failing:
                self._failing = True
                self._on_failure(error if error.errno else OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
            return False
        self._failing = False
        return True


def _status(text: str) -> str:
    # One line a variable: a newline in it would begin another.
    return f"STATUS={' '.join(text.split())}\n" if text else ""
