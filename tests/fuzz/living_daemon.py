"""A daemon that lives: whatever a connection sends it, each request is answered, in order, and it goes on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson

import memory
from daemon_process import LineClient, RunningDaemon, end_all
from fuzz.mutation import bytes_mutated
from fuzz.requests import REQUESTS
from fuzz.wire_lines import line_of, mutated_line
from torpor import wire
from torpord.control import framing

# An idle day, so that nothing comes by itself; a life of it may be ended by an input all the same (`stop`).
_SETTINGS = '[lifecycle]\ndrowsy_after = "1d"\nsleep_after = "1d"\nmin_up = "0s"\n'
_READ_LIMIT_S = 15.0
# How often an input may end the daemon's life: the next one takes a second.
_ENDS = 0.03
_MOST_LINES = 24
# Its word is a command for a shell: in a file or in a request, it may be any. A wait is answered out of order.
_NOT_HERE = (b"wake_command", b'"wait"', b"subscribe")
_LOOKED_AT_EVERY = 200
_MOST_RSS_BYTES = 160 << 20


class LivingDaemon:
    """An input is what one connection sends before it closes its sending side."""

    name = "daemon"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
        self.home = self._folder / "home"
        self._daemon = RunningDaemon.start(self.home, _SETTINGS)
        self._count = 0
        self.lives = 1

    def close(self) -> None:
        """End it: what it has logged must tell of no mistake of its own."""
        try:
            self._is_well()
        finally:
            end_all(self.home)
            shutil.rmtree(self._folder)

    def seeds(self) -> Sequence[bytes]:
        """One of each request, and all that look at once."""
        alone = [line_of(method, params) for method, params in REQUESTS]
        return [each for each in (*alone, b"".join(alone[:8]) * 3) if not _is_not_here(each)]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change lines as objects; put some of other requests between."""
        lines = [line for line in data.split(b"\n") if line][:_MOST_LINES] or [b"{}"]
        for _ in range(dice.choice((0, 1, 2, 8))):
            lines.insert(dice.randint(0, len(lines)), line_of(*dice.choice(REQUESTS))[:-1])
        for _ in range(dice.choice((1, 1, 3))):
            at = dice.randrange(len(lines))
            lines[at] = mutated_line(lines[at], dice)
        found = b"\n".join(lines) + dice.choice((b"\n", b""))
        found = bytes_mutated(found, dice) if dice.random() < 0.25 else found
        ends = dice.random() < _ENDS
        return b"\n".join(line for line in found.split(b"\n") if not _is_not_here(line) and (ends or not _ends(line)))

    def one(self, data: bytes) -> Sequence[str]:
        """Send it all, close the sending side, and read every answer there is."""
        self._count += 1
        if self._daemon.process.poll() is not None:
            assert self._daemon.process.returncode == 0, self._daemon.log_lines()[-3:]
            self._daemon = self._daemon.again()
            self.lives += 1
        if self._count % _LOOKED_AT_EVERY == 0:
            self._is_well()
        expected = _expected(data)
        try:
            with LineClient(self._daemon.socket) as client:
                return _compared(expected, _talked(client, data))
        except (FileNotFoundError, ConnectionRefusedError, BrokenPipeError):
            self._daemon.wait_gone()  # it was on its way out, and nothing else: told to by an earlier input
            return ["down"]

    def _is_well(self) -> None:
        if self._daemon.process.poll() is None:
            assert self._daemon.call("status")["rss_bytes"] < _MOST_RSS_BYTES
        bad = [
            each for each in self._daemon.log_lines() if each.get("event") in ("internal_error", "connection_failed")
        ]
        assert not bad, bad[:3]


def _is_not_here(line: bytes) -> bool:
    return any(word in line for word in _NOT_HERE)


def _ends(line: bytes) -> bool:
    return b'"stop"' in line or b'"hibernate"' in line


def _expected(data: bytes) -> list[Any]:
    """Return the ids that are to be answered, in order. One line more may be too long, and is the last."""
    lines = framing.Lines()
    whole = lines.feed(data)
    whole += [] if lines.too_long else lines.end()
    ids = [_id(framing.parse(line)) for line in whole if line.strip()]
    return [each for each in ids if each is not framing.NO_ID] + ([None] if lines.too_long else [])


def _id(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found.id


def _talked(client: LineClient, data: bytes) -> list[dict[str, Any]]:
    client.sock.settimeout(_READ_LIMIT_S)
    client.send(data)
    client.half_close()
    answers = []
    while (line := client.read_bytes_line(_READ_LIMIT_S)) is not None:
        answers.append(orjson.loads(line))
    return answers


def _compared(expected: list[Any], answers: list[dict[str, Any]]) -> list[str]:
    assert [each.get("id") for each in answers] == expected
    told = []
    for answer in answers:
        assert set(answer) == {"jsonrpc", "id", "error" if "error" in answer else "result"}, answer
        if "error" not in answer:
            told.append("taken")
            continue
        error = answer["error"]
        name = error["data"]["name"]
        assert error["code"] == wire.ERROR_CODES[name]
        assert name not in ("internal_error", "storage_unavailable"), error
        assert len(error["message"]) > 10
        told.append(f"{name}: {error['message']}")
    return told
