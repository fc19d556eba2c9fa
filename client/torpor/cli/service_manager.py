"""Telling systemd what `torpor start` and `torpor stop` mean for its units: it holds the socket, also when we stop."""

from __future__ import annotations

import os
import subprocess

from torpor.cli import streams

_UNITS = ("torpord.socket", "torpord.path")
_LIMIT_S = 15


def start_units() -> None:
    """Start socket and path unit. Where that fails, say so: the daemon is then started without them."""
    _tell("start", "starting torpord without them")


def stop_units() -> None:
    """Stop socket and path unit, so that the next connection or file starts nothing. Where that fails, say so."""
    _tell("stop", "the next connection or file will start torpord again")


def _tell(what: str, otherwise: str) -> None:
    # Root without a session of its own is the system's manager's, see systemctl(1) on --user.
    whose = [] if os.geteuid() == 0 and not os.environ.get("XDG_RUNTIME_DIR") else ["--user"]
    command = ["systemctl", *whose, what, *_UNITS]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except FileNotFoundError:
        found = "there is no systemctl"
    except subprocess.TimeoutExpired:
        found = f"no answer within {_LIMIT_S} s"
    else:
        if done.returncode == 0:
            return
        found = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    streams.complain(f"`{' '.join(command)}` failed ({found}): {otherwise}")
