"""The keeper: what the system's manager tells a user of her own daemon's timer, where nothing else is told to her.

It takes a word a connection, and answers as `systemctl show` does (`systemd/torpord-keeper@.service`).
"""

from __future__ import annotations

import os
import socket

_DIRECTORY = "/run/torpord-keeper"
_LIMIT_S = 5.0
_MOST_BYTES = 4096


def shows(user: str) -> dict[str, str] | None:
    """Return the properties of the timer of `user`, who must be the one who asks; None where there is no answer."""
    try:
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.settimeout(_LIMIT_S)
            keeper.connect(os.path.join(_DIRECTORY, user))
            keeper.sendall(b"show\n")
            with keeper.makefile("rb") as answer:
                *shown, last = answer.read(_MOST_BYTES).decode(errors="replace").splitlines() or [""]
    except OSError:  # no keeper, not ours, or too many ask at once
        return None
    return dict(line.partition("=")[::2] for line in shown) if last == "ok" else None
