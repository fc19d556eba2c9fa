"""`starts.json`, the crash ledger: which starts did not live, and what each was about to do when it died.

Of help to people and to safe mode, and never a reason not to start: a file that cannot be read counts as absent, and
one that cannot be written is told once. It is replaced by rename without an fsync: a process that dies loses no page
cache, and five power cuts in a row do not happen by chance.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from torpor import wire
from torpord.host import small_file
from torpord.host.draft import open_draft

log = structlog.get_logger("torpord.starts")

NAME = "starts.json"
SCHEMA_VERSION = 1
KEEP = 20
# So many deaths of a version that never lived here, behind one that did, are the version's.
DEATHS_OF_A_VERSION = 3


@dataclass(frozen=True, slots=True)
class Good:
    """The start that lived last: its version, the interpreter it ran in, and when that was (epoch seconds)."""

    version: str
    interpreter: str
    ts: float


@dataclass(frozen=True, slots=True)
class Start:
    """One start. `suspect`: what it was about to do; `end`: None while it runs, and for ever where it died so.

    `phase`: how far it came: "settings", "store", "serving" or "safe".
    """

    ts: float
    pid: int
    boot_id: str
    version: str
    interpreter: str
    phase: str = "settings"
    suspect: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What several deaths in a row say. `way_back`: the command to the version that lived, "" where it is no other."""

    deaths: int
    version: str
    suspect: str | None
    good: Good | None
    way_back: str

    def __str__(self) -> str:
        """Say it in one line."""
        suspect = f" (suspect: {self.suspect})" if self.suspect else ""
        text = f"torpor {self.version} died {self.deaths} times in a row before it answered{suspect}"
        if not self.way_back or self.good is None:
            return text
        until = datetime.fromtimestamp(self.good.ts, UTC).isoformat(timespec="seconds")
        return f"{text}; {self.good.version} ran well until {until}: go back with {self.way_back}"


class Starts:
    """This start in the ledger. Once it lives, or has ended, nothing is written any more."""

    def __init__(self, home: Path, good: Good | None, before: tuple[Start, ...], this: Start) -> None:
        self._path = home / NAME
        self._draft = home / wire.SPOOL_TMP_NAME / NAME
        self.good = good
        self.before = before
        self._this = this
        self._over = False
        self._told = False

    @classmethod
    def begin(cls, home: Path, version: str, interpreter: str, boot_id: str, pid: int, now_s: float) -> Starts:
        """Read what was, and enter this start. Hold the home's lock."""
        good, before = _read(home / NAME)
        starts = cls(home, good, before, Start(now_s, pid, boot_id, version, interpreter))
        with contextlib.suppress(OSError):  # what is wrong with it is told by the write
            starts._draft.parent.mkdir(mode=0o700, exist_ok=True)
        starts._write((*before, starts._this))
        return starts

    @property
    def deaths(self) -> int:
        """How many starts of this version died without a word before this one, since the last one that lived.

        What another version died of says nothing: who was told to go back to one that ran well finds that it serves.
        """
        return len(self._dead)

    @property
    def _dead(self) -> list[Start]:
        return [start for start in self.before if start.end is None and start.version == self._this.version]

    @property
    def suspect(self) -> str | None:
        """What most of the dead were about to do: of several, what the last of those was."""
        found = [start.suspect for start in self._dead if start.suspect]
        return max(reversed(found), key=Counter(found).__getitem__) if found else None

    def about_to(self, suspect: str) -> None:
        """Note a risky thing before it is done."""
        if not self._over and suspect != self._this.suspect:
            self._this = replace(self._this, suspect=suspect)
            self._write((*self.before, self._this))

    def phase(self, name: str) -> None:
        """Note how far it is; what it was about to do is done."""
        if not self._over:
            self._this = replace(self._this, phase=name, suspect=None)
            self._write((*self.before, self._this))

    def lived(self, now_s: float) -> None:
        """Note that this start lives: what died before it is over."""
        if not self._over:
            self._over = True
            self.good = Good(self._this.version, self._this.interpreter, now_s)
            self.before = ()
            self._write(())

    def failed(self, why: str) -> None:
        """Note that it ends with its reason told: that is no death."""
        if not self._over:
            self._over = True
            self._write((*self.before, replace(self._this, end=f"failed: {why}")))

    def ended(self) -> None:
        """Note that it ends in order before it was known to live: nothing was."""
        if not self._over:
            self._over = True
            self._write(self.before)

    def forgive(self) -> None:
        """Forget all that died: what they died of was mended, says somebody."""
        self.before = ()
        if not self._over:
            self._write((self._this,))

    def verdict(self) -> Verdict | None:
        """Judge: None where it is too early to say anything."""
        dead = self._dead
        if len(dead) < DEATHS_OF_A_VERSION:
            return None
        version, back = self._this.version, ""
        if self.good is not None and self.good.version != version:
            back = way_back(self.good)
        return Verdict(len(dead), version, self.suspect, self.good, back)

    def _write(self, starts: tuple[Start, ...]) -> None:
        good = None if self.good is None else asdict(self.good)
        body = {"schema_version": SCHEMA_VERSION, "good": good, "starts": [asdict(each) for each in starts[-KEEP:]]}
        try:
            with os.fdopen(open_draft(self._draft), "wb") as file:
                file.write(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            self._draft.replace(self._path)
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning("starts_not_written", path=str(self._path), error=str(error))


def way_back(good: Good) -> str:
    """Return the command that installs the version that ran well, by where its interpreter lies."""
    if "/pipx/" in good.interpreter:
        return f"pipx install --force torpor=={good.version}"
    if "/uv/tools/" in good.interpreter:
        return f"uv tool install --force torpor=={good.version}"
    return f"{shlex.quote(good.interpreter)} -m pip install torpor=={good.version}"


def _read(path: Path) -> tuple[Good | None, tuple[Start, ...]]:
    try:
        body = orjson.loads(small_file.read(path))
        good = None if body["good"] is None else Good(**_checked(body["good"], Good))
        return good, tuple(Start(**_checked(each, Start)) for each in body["starts"])
    except FileNotFoundError:
        return None, ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("starts_not_read", path=str(path), error=repr(error))
        return None, ()


_TEXTS = ("version", "interpreter", "boot_id", "phase")
_LAST_S = 253_402_300_799  # the year 9999: what is beyond cannot be shown as a time


def _checked(fields: Any, kind: type[Good | Start]) -> dict[str, Any]:
    """Return the fields that are known. Raises TypeError or ValueError for one that is not what it should be."""
    if not isinstance(fields, dict):
        raise TypeError(f"{fields!r} is no object")
    known = {name: value for name, value in fields.items() if name in kind.__slots__}
    for name, value in known.items():
        fits = isinstance(value, str) if name in _TEXTS else value is None or isinstance(value, str | int | float)
        if not fits or (name == "ts" and not (isinstance(value, int | float) and 0 <= value <= _LAST_S)):
            raise ValueError(f"{name} is {value!r}")
    return known
