"""runs follow: a run at its work, redrawn on a terminal, elsewhere a line a change, until it has ended.

What happens to a run is in the ledger, and is waited for there; only how far a step is (`run.progress`) is not, and is
asked for while one is running. A daemon that is down is waited for, and never woken.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from torpor import durations, presence, wire
from torpor import home as homes
from torpor.aio import AsyncClient
from torpor.cli import exits, run_names, run_views, waiting
from torpor.cli.run_views import JsonLines, Lines, Quiet, Screen
from torpor.client import Client
from torpor.deadline import Deadline
from torpor.errors import Down, Timeout

if TYPE_CHECKING:
    import argparse

    from torpor.cli.run_views import View
    from torpor.run_replies import Run

_LOOK_EVERY_S = 0.25
_ASK_EVERY_S = 0.5  # while a step runs, for its progress; an answer costs the daemon a fraction of a millisecond
_ASK_AGAIN_AFTER_S = 0.1  # however much happens: a run can make a thousand records a second
_REDRAW_EVERY_S = 1.0
_LAST_WORDS_WITHIN_S = 1.0
_ENDS = ("run_completed", "run_failed", "run_cancelled")
# `started`: another life of the daemon, in which the run may stand elsewhere than it was seen last.
_KINDS = (
    *("started", "run_started", "run_joined", "run_paused", "run_resumed", "run_interrupted", "run_retried"),
    *("run_removed", "step_started", "step_ended", "step_failed", "step_interrupted", *_ENDS),
)


def follow(args: argparse.Namespace) -> int:
    """Follow the run that is meant."""
    deadline, is_told = Deadline(args.timeout), False
    with Client(args.home) as client:
        while True:
            try:
                run_id = run_names.ask_of(client, args.run, lambda run_id: client.run_get(run_id)["run"]["run_id"])
            except Down as down:
                if not is_told:
                    is_told = True
                    run_views.say_down(str(down))
                waiting.until_up(client.home, deadline)
            else:
                return until_ended(args, run_id)


def until_ended(args: argparse.Namespace, run_id: str, *, is_shown: bool = True) -> int:
    """Show a run until it has ended; return 0 where it completed, else 1. Raises Timeout after `args.timeout`.

    With `is_shown` False only its end is told.
    """
    view: View
    home = homes.home_dir(args.home)
    if not is_shown:
        view = Quiet(home, as_json=args.json)
    elif not args.json and sys.stdout.isatty():
        view = Screen(home)
    else:
        view = JsonLines() if args.json else Lines(home)
    follower = _Follower(args.home, run_id, view, asks=is_shown)
    try:
        run = asyncio.run(follower.until_ended(args.timeout))
    except TimeoutError:
        raise Timeout(f"{durations.show(args.timeout)} passed, and run {run_id} has not ended") from None
    view.end(run)
    return exits.of_run(run["status"])


class _Follower:
    """One run, asked for when something happened to it, and while one of its steps runs."""

    def __init__(self, home: str | None, run_id: str, view: View, *, asks: bool) -> None:
        self._run_id = run_id
        self._client = AsyncClient(home)
        self._view = view
        self._asks = asks
        self._happened = asyncio.Event()
        self._has_ended = asyncio.Event()

    async def until_ended(self, timeout_s: float | None) -> Run:
        """Show the run until it has ended, and return it. Raises the built-in TimeoutError."""
        async with asyncio.timeout(timeout_s):
            listener = asyncio.create_task(self._listen(await self._beginning()))
            listener.add_done_callback(lambda _: self._happened.set())  # it only ends by failing
            try:
                return await self._shown(listener)
            finally:
                listener.cancel()
                await self._client.close()

    async def _beginning(self) -> int:
        """Return the ledger's position before the first look: what follows is told, maybe twice, and never missed."""
        while True:
            try:
                return (await self._client.status())["ledger_seq"]
            except Down as down:
                self._view.down(str(down))
                await self._until_up()

    async def _shown(self, listener: asyncio.Task[None]) -> Run:
        run: Run | None = None
        is_first = True
        while True:
            try:
                run = await self._look(run)
            except Down as down:
                run = None
                self._view.down(str(down))
            if run is not None and run["status"] in wire.ENDED_RUN_STATUSES:
                if not is_first:
                    with contextlib.suppress(TimeoutError):  # a daemon that went down right after it tells no more
                        async with asyncio.timeout(_LAST_WORDS_WITHIN_S):
                            await self._has_ended.wait()
                return run
            if run is not None:
                self._view.show(run)
            is_first = False
            await asyncio.sleep(_ASK_AGAIN_AFTER_S)
            await self._until_something(run)
            if listener.done():
                await listener

    async def _look(self, before: Run | None) -> Run:
        if before is not None and before["status"] == "running":
            # Without the history, which can be long.
            for run in (await self._client.run_list(status="running"))["runs"]:
                if run["run_id"] == self._run_id:
                    return run
        return (await self._client.run_get(self._run_id))["run"]

    async def _until_something(self, run: Run | None) -> None:
        """Return when something happened to the run, or, while a step runs, after a moment."""
        works = self._asks and run is not None and any(place["status"] == "running" for place in run["places"])
        limit_s = _ASK_EVERY_S if works else _REDRAW_EVERY_S if self._asks else None
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    await self._happened.wait()
            except TimeoutError:
                if works:
                    return
                if not presence.is_up(self._client.home):  # a look at its lock: nobody is asked, or woken
                    self._view.down(presence.told_down(self._client.home, presence.last_known(self._client.home)))
                elif run is not None:
                    self._view.show(run)  # nothing happened, but the clock has moved
            else:
                self._happened.clear()
                return

    async def _listen(self, seen: int) -> None:
        """Note what happens to the run, through any number of the daemon's lives."""
        while True:
            try:
                records = self._client.subscribe(after=seen, kinds=_KINDS)
                async for record in records:
                    seen = record["seq"]
                    is_ours = record["data"].get("run_id") == self._run_id
                    if is_ours:
                        self._view.record(record)
                        if record["kind"] in _ENDS:
                            self._has_ended.set()
                    if is_ours or record["kind"] == "started":
                        self._happened.set()
            except Down:  # it went before there was a subscription
                await self._until_up()

    async def _until_up(self) -> None:
        while not presence.is_up(self._client.home):  # noqa: ASYNC110 - nobody in this process could tell
            await asyncio.sleep(_LOOK_EVERY_S)
