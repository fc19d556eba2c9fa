"""`wake.signal` and `wake.d/`: what was left for the daemon, taken in order, removed once its effect is durable."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import structlog
from anyio.lowlevel import checkpoint

from torpor import wire
from torpord.control.calls import Call
from torpord.control.desk import Desk
from torpord.control.methods import METHODS, change
from torpord.control.params import RefusedError
from torpord.core.draft import Refusal
from torpord.core.events import ClientTrigger, FileRejected
from torpord.core.lifecycle import State, Trigger
from torpord.core.value import value
from torpord.host.draft import open_draft
from torpord.host.home import refuse_link
from torpord.points import reached
from torpord.writer import Change

log = structlog.get_logger("torpord.spool")

MOST_FILES_A_TURN = 256
_LATER = ("storage_unavailable", "draining")
# What says nothing about the file: the machine is short of something, and has it again later.
_FOR_NOW = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
# A disk that fails for a moment says nothing about it either. One that cannot read this file alone says the same, so
# for so long a file is tried, by the awake clock, before it is put aside: the others wait behind it meanwhile.
READ_LIMIT_S = 20.0
# No file's name holds a slash: neither the folder itself nor the signal beside it is taken for one of its files.
_FOLDER_KEY = f"{wire.SPOOL_NAME}/"
_SIGNAL_KEY = f"./{wire.WAKE_SIGNAL_NAME}"


class _BadFileError(Exception):
    """Why a file cannot be taken."""


class _NotNowError(Exception):
    """A good file, perhaps: it cannot be told before the machine has what it takes to read it."""


@value
class _Entry:
    """One file, as it was when it was read; `key` names it and nothing else."""

    name: str
    key: str
    change: Change


class Spool:
    """Takes what lies in the home for the daemon."""

    def __init__(self, home: Path, desk: Desk) -> None:
        self._signal = home / wire.WAKE_SIGNAL_NAME
        self._folder = home / wire.SPOOL_NAME
        self._rejected = home / wire.REJECTED_NAME
        self._desk = desk
        self._taking = anyio.Lock()
        self._seen_signal: tuple[int, int] | None = None
        self._stuck: dict[str, str] = {}
        self._stuck_identity: dict[str, tuple[int, int] | None] = {}
        self._again: dict[str, Callable[[], None]] = {}  # by file: how what is in the way of it is tried again
        self._unread: dict[str, str] = {}  # by file: why it cannot be read for now
        self._failing_from_s: dict[str, float] = {}  # by file: since when the disk would not read it
        self.postponed = False  # something could not be read or stored: to be tried again

    @property
    def stuck(self) -> Mapping[str, str]:
        """Name what cannot be removed, read or looked at, and why. Looked at anew: what was in the way may be gone."""
        if self._stuck or self._unread:
            self._try_again()
            self._signal_identity()
            self._names()
        return {printable(key): text for key, text in (self._unread | self._stuck).items()}

    def waiting(self) -> bool:
        """Whether something lies there that was not taken yet."""
        return self._signal_identity() not in (None, self._seen_signal) or bool(self._names())

    async def take(self) -> None:
        """Take all that lies there."""
        async with self._taking:
            self.postponed = False
            await self._take_signal()
            while names := self._names()[:MOST_FILES_A_TURN]:
                if not await self._take_files(names):
                    self.postponed = True
                    return

    def _signal_identity(self) -> tuple[int, int] | None:
        try:
            identity = _identity(self._signal)
        except OSError as error:
            self._unseen(_SIGNAL_KEY, self._signal, error)
            return self._seen_signal
        if identity is None:
            self._seen_signal = None
            self._stuck.pop(_SIGNAL_KEY, None)
        return identity

    def _unseen(self, key: str, path: Path, error: OSError) -> None:
        """Note what cannot be looked at now; told once, and tried again until it can."""
        self.postponed = True
        text = f"{path} cannot be looked at ({error.strerror}): what lies there is not taken before that is mended"
        if self._stuck.get(key) != text:
            self._stuck[key] = text
            log.error("cannot_look", path=str(path), error=str(error))

    async def _take_signal(self) -> None:
        while (identity := self._signal_identity()) not in (None, self._seen_signal):
            cause = {"source": "file", "name": self._signal.name}
            outcome = await self._desk.writer.apply(ClientTrigger(cause, Trigger.WAKE_SIGNAL))
            if isinstance(outcome, Refusal):
                self.postponed = True
                return
            reached("spool.applied")
            # Touched again during the commit, it is the same signal: touch(1) itself makes the file first and sets its
            # time then, and what it asked for, the daemon awake, is true. Where somebody sent it to sleep in between,
            # in the same batch, it is not: that is another signal.
            touched = self._signal_identity()
            if touched == identity or self._desk.world.lifecycle.state is State.WAKE:
                self._seen_signal = touched
                self._remove(self._signal)
                return

    def _names(self) -> list[str]:
        try:
            refuse_link(self._folder)
            names = sorted(path.name for path in self._folder.iterdir())
            self._stuck.pop(_FOLDER_KEY, None)
            for name in self._unread.keys() - set(names):
                del self._unread[name]  # its owner took it back
            for name in self._stuck.keys() - {_SIGNAL_KEY}:
                # Gone at last, or another file was renamed over it: that one has not been tried.
                if _identity(self._folder / name) != self._stuck_identity.get(name):
                    del self._stuck[name]
        except (FileNotFoundError, NotADirectoryError):
            self._stuck.pop(_FOLDER_KEY, None)
            self._unread.clear()
            return []
        except OSError as error:
            self._unseen(_FOLDER_KEY, self._folder, error)
            return []
        return [name for name in names if name not in self._stuck]

    async def _take_files(self, names: list[str]) -> bool:
        """Take some files in one batch. Returns False where some of it must wait."""
        entries: list[_Entry] = []
        all_read = True
        for name in names:
            if self._desk.trial is not None:
                self._desk.trial.about_to(f"{wire.SPOOL_NAME}/{printable(name)}")
            try:
                entries.append(self._read(name))
            except FileNotFoundError:
                continue  # its owner took it back
            except (_BadFileError, RefusedError) as bad:
                self._unread.pop(name, None)
                self._reject(name, str(bad))
                await checkpoint()  # ten thousand of them are nobody else's wait
            except _NotNowError as error:
                if name not in self._unread:  # told once, not at each attempt
                    log.warning("file_not_read_yet", name=printable(name), why=str(error))
                self._unread[name] = f"{printable(name)} cannot be read now ({error}): it is tried again"
                all_read = False
                break
            self._unread.pop(name, None)
        if all_read:
            self._failing_from_s.clear()
        ticket = self._desk.writer.submit([entry.change for entry in entries])
        await ticket.done.wait()
        for entry, outcome in zip(entries, ticket.outcomes, strict=True):
            if not isinstance(outcome, Refusal):
                reached("spool.applied")
                self._remove(self._folder / entry.name)
            elif not _is_for_later(outcome):
                self._reject(entry.name, outcome.message)
        return all_read and not any(isinstance(o, Refusal) and _is_for_later(o) for o in ticket.outcomes)

    def _read(self, name: str) -> _Entry:
        if not name.endswith(".json"):
            raise _BadFileError("only *.json is taken; write it in tmp/ beside wake.d/ and rename it")
        text, found = self._text(name)
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise _BadFileError(f"it is not JSON ({error}); write it in tmp/ beside wake.d/ and rename it") from error
        shape = '{"method": "event", "params": {"event": "request_arrived"}}'
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            raise _BadFileError(f"it is no request; it should look like {shape}")
        params = message.get("params", {})
        row = METHODS.get(message["method"])
        if not isinstance(params, dict):
            raise _BadFileError(f"params is no object; it should look like {shape}")
        if row is None or not row.changes(params):
            changing = ", ".join(each.name for each in METHODS.values() if each.change)
            raise _BadFileError(f"method {message['method'][:64]!r} cannot be left in a file; these can: {changing}")
        cause: dict[str, Any] = {"source": "file", "name": printable(name), "uid": found.st_uid}
        made = f"wake.d/{printable(name)}:{found.st_ino}:{found.st_mtime_ns}"
        taken = change(row, Call(self._desk, {"key": "-", **params}, cause, None, found.st_mtime))
        key = params.get("key", made)
        return _Entry(name, key, Change(taken.event, key, taken.request, run_id=taken.run_id))

    def _text(self, name: str) -> tuple[bytes, os.stat_result]:
        path = self._folder / name
        try:
            # Not blocking: a named pipe would wait for a writer for ever.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(name, error) from error
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise _BadFileError("it is no regular file")
            if found.st_size > wire.MAX_LINE_BYTES:
                raise _BadFileError(f"it has {found.st_size} bytes, at most {wire.MAX_LINE_BYTES} are taken")
            return os.read(fd, wire.MAX_LINE_BYTES), found
        except OSError as error:
            raise self._unreadable(name, error) from error
        finally:
            os.close(fd)

    def _unreadable(self, name: str, error: OSError) -> _BadFileError | _NotNowError:
        """Tell a file that is to be tried again from one that never will be read."""
        if error.errno in _FOR_NOW:
            return _NotNowError(error.strerror)
        if error.errno == errno.EIO:
            now_s = self._desk.now().awake_s
            if now_s < self._failing_from_s.setdefault(name, now_s) + READ_LIMIT_S:
                return _NotNowError(error.strerror)
        self._failing_from_s.pop(name, None)
        return _BadFileError(f"it cannot be read: {error.strerror}")

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            self._is_stuck(path, error, lambda: self._remove(path))

    def _try_again(self) -> None:
        """Take away what could not be, as long as it is the same: a disk that failed only then has no other healer."""
        for name, again in list(self._again.items()):
            path = self._signal if name == _SIGNAL_KEY else self._folder / name
            with contextlib.suppress(OSError):  # it cannot be looked at, and stays as it is told
                is_same = name in self._stuck and _identity(path) == self._stuck_identity.get(name)
                del self._again[name]
                if is_same:
                    again()

    def _is_stuck(self, path: Path, error: OSError, again: Callable[[], None]) -> None:
        key = _SIGNAL_KEY if path == self._signal else path.name
        what = f"{printable(path.name)} cannot be removed ({error.strerror})"
        text = f"{what}: remove it, or what started the daemon starts it for ever"
        told, self._stuck[key], self._again[key] = self._stuck.get(key), text, again
        try:
            self._stuck_identity[key] = _identity(path)
        except OSError:  # the same that is told here: once it can be seen, it is another
            self._stuck_identity[key] = None
        if told != text:
            log.error("file_stuck", name=printable(path.name), error=str(error))

    def _reject(self, name: str, why: str) -> None:
        """Put a file aside with its reason. The ledger hears of it when it has been moved."""
        kept = name[:60] if len(os.fsencode(name)) > 200 else name  # room for what is added to it
        target = self._rejected / kept
        number = 0
        try:
            while _identity(target) is not None:
                number += 1
                target = self._rejected / f"{kept}.{number}"
            self._rejected.mkdir(mode=0o700, exist_ok=True)
            refuse_link(self._rejected)
            (self._folder / name).rename(target)
        except FileNotFoundError:
            return
        except OSError as error:
            self._is_stuck(self._folder / name, error, lambda: self._reject(name, why))
            return
        try:
            with os.fdopen(open_draft(target.with_name(f"{target.name}.why")), "w", encoding="utf-8") as file:
                file.write(f"{why}\n")
        except OSError as error:
            log.warning("why_not_written", name=printable(name), error=str(error))
        shown = printable(name)
        self._desk.writer.owe(FileRejected({"source": "file", "name": shown}, shown, why))


def _is_for_later(refusal: Refusal) -> bool:
    # About a pid it is no descriptor to look at the process with; else it is a limit, which may hold for ever.
    return refusal.name in _LATER or (refusal.name == "too_many" and refusal.data.get("field") == "pid")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def printable(name: str) -> str:
    """Show a file's name as text: a name is bytes, and need not be UTF-8 nor of one line."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
