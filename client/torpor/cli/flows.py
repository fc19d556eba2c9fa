"""flows: what can be run. The daemon's executable knows: it alone reads settings and loads flows, up or down."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

from torpor import durations, wire
from torpor import home as homes
from torpor.errors import Timeout, Unreachable

if TYPE_CHECKING:
    import argparse

# As `torpor.wake` starts the daemon: the one that is installed beside this client.
COMMAND = (sys.executable, "-P", "-m", "torpord", "flows", "--home")
_BY_SIGNAL = 128  # as a shell says it


def ls(args: argparse.Namespace) -> int:
    """List the flows."""
    return _told(args, *_json(args))


def show(args: argparse.Namespace) -> int:
    """Show one flow."""
    return _told(args, *_json(args), "--", args.flow)


def graph(args: argparse.Namespace) -> int:
    """Draw one flow."""
    return _told(args, "--graph", "--", args.flow)


def _json(args: argparse.Namespace) -> tuple[str, ...]:
    return ("--json",) if args.json else ()


def _told(args: argparse.Namespace, *words: str) -> int:
    """Let `torpord flows` print, and end as it ends: its errors are one line, its exit statuses ours."""
    if importlib.util.find_spec("torpord") is None:
        raise Unreachable("torpord is not installed beside this client: it knows the flows, install `torpor` whole")
    sys.stdout.flush()
    try:
        done = subprocess.run([*COMMAND, homes.home_dir(args.home), *words], timeout=args.timeout, check=False)
    except subprocess.TimeoutExpired:
        raise Timeout(
            f"the flows were not loaded within {durations.show(args.timeout)}: --timeout gives them more"
        ) from None
    if done.returncode == wire.EX_USAGE:
        return wire.EX_DATAERR  # our line is right, so there is no such flow: as where a run is to be made of it
    return done.returncode if done.returncode >= 0 else _BY_SIGNAL - done.returncode
