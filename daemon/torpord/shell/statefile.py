"""`lifecycle_state.json`: what observers read. Derived from the store, so losing it loses nothing.

And `stopped` beside it, by which a service manager knows what `torpor stop` said: it reads no JSON, and the wish is to
outlive the state file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import structlog

from torpor import wire
from torpord.core import report
from torpord.core.world import World
from torpord.host import small_file
from torpord.host.draft import open_draft
from torpord.store.existence import is_there
from torpord.store.thread import Runner

log = structlog.get_logger("torpord.statefile")

SCHEMA_VERSION = 1
# Activity is written at most this late; a transition at once.
ACTIVITY_S = 5.0
_STOPPED = b"stopped by `torpor stop`; `torpor start` starts it again\n"


def document(world: World, pid: int | None) -> dict[str, Any]:
    """Build the document. `pid` None: the process is at its end."""
    return {
        "schema_version": SCHEMA_VERSION,
        "current_state": world.lifecycle.state.value,
        "since_ts": report.iso(world.lifecycle.since_ts),
        "last_activity_ts": report.iso(world.activity.last_ts),
        "wrapper_event_seq": world.activity.event_seq,
        "sleep_cycle_progress": report.cycle_progress(world),
        "quarantine": report.quarantine(world),
        "shadow_run": world.policy.shadow_run,
        "generation": world.process.generation,
        "pid": pid,
        "reason": world.process.leaving or world.lifecycle.reason,
        "next_wake_ts": report.iso(world.agents.next_wake_ts),
        "recovering": report.recovering(world),
        "resumes_ts": report.resumes_ts(world),
        "supervisor": world.process.supervisor,
        "version": world.process.version,
        "start_cause": world.process.start_cause,
        **report.observed(world),
        # At the end of a process that is to stay down its timer was cleared, and there is nobody left to record that.
        **({"wake_armed": None} if pid is None and world.wanted_wake_ts is None else {}),
        "safe_mode": None,
        "last_cycle": report.last_cycle(world),
    }


class StateFile:
    """The file on disk, and `stopped` beside it."""

    def __init__(self, home: Path) -> None:
        self._path = home / wire.STATE_NAME
        self._stopped = home / wire.STOPPED_NAME
        self._draft = home / wire.SPOOL_TMP_NAME / wire.STATE_NAME
        self._written: tuple[int, ...] | None = None
        self._left_by = ""  # why `stopped` could not be removed: told once, however often it is tried
        self._turn = threading.Lock()  # the last words of a `stop` are written by another thread

    def is_ours(self) -> bool:
        """Whether what lies there is what was last written."""
        try:
            return _identity(self._path.lstat()) == self._written
        except OSError:
            return False

    def say_stopped(self) -> None:
        """Leave word that nobody but `torpor start` is to start a daemon here: durable when this returns.

        That the file is there says it all: a full disk that has no room for its words may still take the name.
        """
        try:
            with os.fdopen(open_draft(self._stopped), "wb", buffering=0) as file:
                with contextlib.suppress(OSError):
                    file.write(_STOPPED)
                os.fsync(file.fileno())
            _sync(self._stopped.parent)
        except OSError as error:
            log.warning("stop_not_written", error=str(error), otherwise=f"{wire.STATE_NAME} says it to clients")

    def unsay_stopped(self) -> bool:
        """Take it back: a daemon is up, so nobody is stopped. Returns whether the disk did it."""
        try:
            self._stopped.unlink(missing_ok=True)
        except OSError as error:
            if self._left_by != str(error):
                then = "no service manager opens the door at the next boot"
                log.warning("stop_not_taken_back", error=str(error), then=then)
            self._left_by = str(error)
            return False
        self._left_by = ""
        return True

    def write(self, body: Mapping[str, Any]) -> None:
        """Replace it atomically and durably. Raises OSError."""
        with self._turn:
            self._write(body)

    def _write(self, body: Mapping[str, Any]) -> None:
        self._draft.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(open_draft(self._draft), "wb") as file:
            # A full disk fails here or at the fsync; the old file stays whole either way.
            file.write(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
            self._written = _identity(os.fstat(file.fileno()))
        self._draft.replace(self._path)
        _sync(self._path.parent)


def unfinished_stop(home: Path) -> bool:
    """Say whether the last daemon was told to stop, and died on its way out: its pid is in its last words yet."""
    try:
        if not is_there(home / wire.STOPPED_NAME):
            return False
        told = orjson.loads(small_file.read(home / wire.STATE_NAME))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("reason") == "stop" and told.get("pid") is not None


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """Tell one content from another: an inode number is used again at once, and a file may be written in its place."""
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


class StateKeeper:
    """Keeps the file true while the daemon runs: after each transition at once, after activity within 5 s."""

    def __init__(self, file: StateFile, runner: Runner, body: Callable[[], Mapping[str, Any]]) -> None:
        self._file = file
        self._runner = runner
        self._body = body
        self._stale = anyio.Event()
        self._urgent = anyio.Event()
        self._is_unsaid = True  # nobody is told that it is stopped
        self._failing = ""  # what the disk said of it last: told once, and not each 5 s for as long as it lasts

    def mark(self, *, urgent: bool) -> None:
        """Say that the file is no longer true."""
        self._stale.set()
        if urgent:
            self._urgent.set()

    def replaced(self) -> None:
        """Hear that something happened to the file: if it was not us, it is written anew."""
        if not self._file.is_ours():
            self.mark(urgent=True)

    async def begin(self) -> None:
        """Write it for the first time, of a daemon that has started; what the disk does not do, `run` tries again."""
        self._is_unsaid = self._file.unsay_stopped()
        if not await self.write() or not self._is_unsaid:
            self._stale.set()

    def told_to_end(self, how: str) -> None:
        """Say at once, in this thread, that it is to end, and after "stop" to stay down: before anybody is answered."""
        if how == "stop":
            self._is_unsaid = True  # what is left of it is said anew, and stays
            self._file.say_stopped()
        try:
            self._file.write(self._body())
        except OSError as error:
            log.warning("state_file_not_written", error=str(error))

    async def run(self) -> None:
        """Write it whenever it is due, until cancelled."""
        while True:
            await self._stale.wait()
            with anyio.move_on_after(ACTIVITY_S):
                await self._urgent.wait()
            self._stale, self._urgent = anyio.Event(), anyio.Event()
            self._is_unsaid = self._is_unsaid or self._file.unsay_stopped()
            if not await self.write() or not self._is_unsaid:
                self._stale.set()  # tried again in 5 s

    async def write(self, body: Mapping[str, Any] | None = None) -> bool:
        """Write it now, on the store's thread so that writes keep their order. A failure is told, and no more."""
        text = self._body() if body is None else body
        try:
            await self._runner.run(lambda: self._file.write(text))
        except OSError as error:
            if self._failing != str(error):
                log.warning("state_file_not_written", error=str(error))
            self._failing = str(error)
            return False
        self._failing = ""
        return True
