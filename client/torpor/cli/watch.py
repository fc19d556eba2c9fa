"""watch: the daemon as it lives, redrawn on a terminal, else a line for each change. It never wakes it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import shutil
import sys
import time
from typing import TYPE_CHECKING

from torpor import presence, wire
from torpor.aio import AsyncClient
from torpor.cli import agent_words, cells, look, show, streams
from torpor.client import Client
from torpor.errors import Down, Refused

if TYPE_CHECKING:
    import argparse

    from torpor.cli.present import Present
    from torpor.replies import Record, Status

_LOOK_EVERY_S = 0.25
_REDRAW_EVERY_S = 1.0
_SHOWN_RECORDS = 12
_OF_AGENTS = ("agent_", "slot_", "hold_")
_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def watch(args: argparse.Namespace) -> int:
    """Show what happens until interrupted, through the daemon's comings and goings."""
    if not args.json and sys.stdout.isatty():
        sys.stdout.write(_OTHER_SCREEN)
        try:
            asyncio.run(_Screen(args).live())
        finally:
            sys.stdout.write(_OWN_SCREEN)
            sys.stdout.flush()
    else:
        _lines(args)
    return wire.EX_OK


def _lines(args: argparse.Namespace) -> None:
    with Client(args.home, timeout=args.timeout) as client:
        after = None
        while after is None:
            try:
                found = client.status()
            except Down as down:
                if not args.json:
                    print(down, flush=True)
                before = presence.mark(client.home)
                while presence.mark(client.home) == before and not presence.is_up(client.home):
                    time.sleep(_LOOK_EVERY_S)
            else:
                after = found["ledger_seq"]
        if not args.json:
            print(f"{found['state']} since {show.moment(found['since_ts'])}", flush=True)
        for record in client.subscribe(after=after, kinds=["state_transition", *agent_words.KINDS]):
            show.print_json(record) if args.json else print(streams.fitted(show.record(record)), flush=True)


class _Screen:
    """What is on the terminal. The daemon is asked when something happened; in between only the clock moves."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._client = AsyncClient(args.home, timeout=args.timeout)
        self._records: collections.deque[Record] = collections.deque(maxlen=_SHOWN_RECORDS)
        self._happened = asyncio.Event()
        self._found: Status | None = None
        self._present: Present | None = None
        self._agents_moved = True
        self._told_down = ""

    async def live(self) -> None:
        follower = asyncio.create_task(self._follow())
        try:
            looked_at = None
            while not follower.done():
                # The state file is replaced soon after activity, which makes no record: a stat instead of a question.
                mark = presence.mark(self._client.home)
                came_up = self._found is None and presence.is_up(self._client.home)
                if self._happened.is_set() or mark != looked_at or came_up:
                    self._happened.clear()
                    await self._look()
                    looked_at = mark
                self._draw()
                await self._until_something()
            await follower
        finally:
            follower.cancel()
            await self._client.close()

    async def _follow(self) -> None:
        seen = None
        while True:
            try:
                async for record in self._client.subscribe(after=seen):
                    seen = record["seq"]
                    self._records.append(record)
                    if record["kind"].startswith(_OF_AGENTS):
                        self._agents_moved = True
                    self._happened.set()
            except Down:
                # The screen says it, and goes on saying it until there is a daemon again.
                while not presence.is_up(self._client.home):  # noqa: ASYNC110 - nobody in this process could tell
                    await asyncio.sleep(_LOOK_EVERY_S)

    async def _until_something(self) -> None:
        # Not wait_for: before 3.12 it loses a Ctrl-C that comes together with what it waits for.
        with contextlib.suppress(TimeoutError):  # nothing happened, but the clock has moved
            async with asyncio.timeout(_REDRAW_EVERY_S):
                await self._happened.wait()

    async def _look(self) -> None:
        try:
            self._found, self._told_down = await self._client.status(), ""
            if not look.has_agents(self._found):
                self._present = None
            elif self._agents_moved:
                self._agents_moved = False  # before it is asked: what moves meanwhile is asked for again
                self._present = await self._asked(self._found)
        except Down as down:
            self._found, self._agents_moved, self._told_down = None, True, str(down)

    async def _asked(self, found: Status) -> Present:
        from torpor.cli import present  # noqa: PLC0415 - where there are agents

        asking = present.questions(found)
        try:
            method, params = next(asking)
            while True:
                try:
                    answer = await getattr(self._client, method)(**params)
                except Refused as refusal:
                    method, params = asking.throw(refusal)
                else:
                    method, params = asking.send(answer)
        except StopIteration as end:
            told: Present = end.value
            return told

    def _draw(self) -> None:
        if self._found is not None:
            lines = look.told_up(self._found, self._present)
        else:
            lines = look.told_down(self._told_down, look.left_behind(self._client.home))
        columns, rows = shutil.get_terminal_size()
        room = max(0, rows - len(lines) - 4)  # an empty line on either side, the last words, the cursor's own
        told = [show.record(record) for record in self._records][-room:] if room else []
        cut = [cells.cut(line, columns - 1) for line in (*lines, "", *told, "", "Ctrl-C ends")]
        sys.stdout.write(_HOME_AND_CLEAR + "\r\n".join(cut[: rows - 1]) + "\r\n")
        sys.stdout.flush()
