"""`wake.d/`: whatever lies there is taken, or put aside with a reason; nothing stops the rest, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import memory
from fuzz.mutation import bytes_mutated
from fuzz.requests import REQUESTS
from fuzz.seat import MOST_WORDS, Seat, refused
from fuzz.wire_lines import mutated_line
from torpor import wire
from torpord.control.methods import METHODS
from torpord.core.draft import Refusal
from torpord.core.events import FileRejected
from torpord.shell.spool import Spool
from torpord.writer import Change, Ticket

_NAMES = (
    b"1.json", b".json", b"-rf.json", b"a b.json", b"\xff\xfe.json", b"\n.json", "é\u202e.json".encode(),
    b"x" * 250 + b".json",
    b"a.JSON", b"a.json.tmp", b"1.json.why", b"..json", b"x" * 190 + b"\xc3\xa9.json", b"{}.json", b"\x1b[2J.json",
)  # fmt: skip
_GOOD = "good.json"
_PAST_S = 1_600_000_000


class LeftFiles:
    """A file that somebody left: an input is its name, a line end, and what is in it. A good one lies beside it."""

    name = "wake.d"

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
        self._folder, self._rejected = self._home / wire.SPOOL_NAME, self._home / wire.REJECTED_NAME
        self._folder.mkdir()
        self._rejected.mkdir()
        self._seat = Seat()
        self._told: list[FileRejected] = []
        self._outcomes: list[Any] = []
        desk = self._seat.desk
        desk.writer = SimpleNamespace(world=desk.world, submit=self._submit, owe=self._told.append)  # type: ignore[assignment]
        self._loop = asyncio.Runner()

    def close(self) -> None:
        """Close what it decides in, and remove its home."""
        self._loop.close()
        self._seat.close()
        shutil.rmtree(self._home)

    def seeds(self) -> Sequence[bytes]:
        """One of each change."""
        changes = [(method, params) for method, params in REQUESTS if METHODS[method].changes(params)]
        return [b"1.json\n" + json.dumps({"method": name, "params": params}).encode() for name, params in changes]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change the name seldom, what is in it as an object mostly."""
        name, _, text = data.partition(b"\n")
        if dice.random() < 0.1:
            name = dice.choice(_NAMES) if dice.random() < 0.5 else bytes_mutated(name, dice)
        text = mutated_line(text, dice)
        return name.replace(b"\n", b" ") + b"\n" + (bytes_mutated(text, dice) if dice.random() < 0.1 else text)

    def one(self, data: bytes) -> Sequence[str]:
        """Leave the file, and have all that lies there taken."""
        raw, _, text = data.partition(b"\n")
        name = os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_")[:255]) or "empty"
        path = self._folder / ("dots" if name in (".", "..", _GOOD) else name)
        path.write_bytes(text)
        os.utime(path, (_PAST_S, _PAST_S))
        (self._folder / _GOOD).write_text('{"method": "event", "params": {"event": "heartbeat_refresh"}}')
        self._seat.begin()
        self._told.clear()
        self._outcomes.clear()
        spool = Spool(self._home, self._seat.desk)
        self._loop.run(spool.take())
        assert not spool.stuck, spool.stuck
        left = os.listdir(self._folder)  # noqa: PTH208 - quicker
        assert spool.postponed == bool(left)
        if left:
            assert "draining" in [each.name for each in self._outcomes if isinstance(each, Refusal)], left
            (self._folder / left[0]).unlink()
            assert len(left) == 1
        answers = [refused(None, each) if isinstance(each, Refusal) else "taken" for each in self._outcomes]
        assert "taken" in answers, "the good file was not taken"
        return answers + self._put_aside()

    def _put_aside(self) -> list[str]:
        names = sorted(os.listdir(self._rejected), key=len)  # noqa: PTH208 - quicker
        whys = [(self._rejected / name).read_text() for name in names[1:]]
        for name in names:
            (self._rejected / name).unlink()
        assert names[1:] == [f"{name}.why" for name in names[:1]], names
        assert whys == [f"{each.why}\n" for each in self._told]
        assert all(10 < len(why) < MOST_WORDS for why in whys)
        return [f"put aside: {why}" for why in whys]

    def _submit(self, changes: Sequence[Change], then: Any = None) -> Ticket:
        ticket = Ticket(changes, then)
        found = [self._seat.taken(each) for each in changes]
        self._outcomes += found
        ticket.settle(found)
        return ticket
