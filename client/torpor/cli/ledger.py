"""log: the ledger, as far as it is kept, and further as it is written."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from torpor import wire
from torpor.cli import show, streams
from torpor.client import Client

if TYPE_CHECKING:
    import argparse

    from torpor.replies import Record


def log(args: argparse.Namespace) -> int:
    """Print the ledger, from its oldest record or --since on; with -f go on until interrupted.

    It needs the daemon, which alone opens the store: one that is down is said to be so, and not woken.
    """
    with Client(args.home, timeout=args.timeout) as client:
        after: int | None = None
        while True:
            page = client.log(after=after, kinds=args.kind)
            for record in page["records"]:
                _print(args, record)
            # Not at an empty page: the daemon bounds how much of the ledger it looks through for one.
            if page["next"] == after:
                break
            after = page["next"]
        if args.follow:
            for record in client.subscribe(after=page["next"], kinds=args.kind):
                _print(args, record)
    return wire.EX_OK


def _print(args: argparse.Namespace, record: Record) -> None:
    if args.since is not None and datetime.fromisoformat(record["ts"]) < args.since:
        return
    show.print_json(record) if args.json else print(streams.fitted(show.record(record)), flush=args.follow)
