"""log: the ledger, as far as it is kept, and further as it is written."""

from __future__ import annotations

import collections
from datetime import datetime
from typing import TYPE_CHECKING

from torpor import wire
from torpor.cli import agent_words, show, streams
from torpor.client import Client

if TYPE_CHECKING:
    import argparse

    from torpor.replies import Record


def log(args: argparse.Namespace) -> int:
    """Print the ledger, from its oldest record or --since on; with -f go on until interrupted.

    It needs the daemon, which alone opens the store: one that is down is said to be so, and not woken.
    """
    with Client(args.home, timeout=args.timeout) as client:
        whose = None if args.agent is None else _meant(client, args.agent)
        kinds = args.kind or (None if whose is None else list(agent_words.KINDS))
        newest: collections.deque[Record] | None = collections.deque(maxlen=args.limit) if args.limit else None
        after: int | None = None
        while True:
            page = client.log(after=after, kinds=kinds)
            for record in filter(lambda each: _is_wanted(each, args.since, whose), page["records"]):
                _print(args, record) if newest is None else newest.append(record)
            # Not at an empty page: the daemon bounds how much of the ledger it looks through for one.
            if page["next"] == after:
                break
            after = page["next"]
        for record in newest or ():
            _print(args, record)
        if args.follow:
            for record in client.subscribe(after=page["next"], kinds=kinds):
                if _is_wanted(record, args.since, whose):
                    _print(args, record)
    return wire.EX_OK


def _meant(client: Client, name: str) -> str:
    from torpor.cli import agent_names  # noqa: PLC0415 - where one is named

    return agent_names.meant(client, name)


def _is_wanted(record: Record, since: datetime | None, whose: str | None) -> bool:
    if whose is not None and record["data"].get("agent_id") != whose:
        return False
    return since is None or datetime.fromisoformat(record["ts"]) >= since


def _print(args: argparse.Namespace, record: Record) -> None:
    show.print_json(record) if args.json else print(streams.fitted(show.record(record)), flush=args.follow)
