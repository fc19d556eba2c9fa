"""Safe mode: a daemon that serves what helps to mend it, and nothing that may have broken it.

No writer, no hook, no worker, no file that was left for it; the store is read, and never opened to be written. The
listener stays open all along: whoever connects is told what is wrong, and whoever waits when it is mended is served by
the next start, which is this very process again.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio
import orjson
import structlog

import torpor
from torpor import wire
from torpord.control.framing import Request
from torpord.control.ledger import view
from torpord.control.methods import KEY, find
from torpord.control.params import RefusedError, check
from torpord.control.safe import SafeConnection
from torpord.control.server import Server
from torpord.core.draft import Refusal
from torpord.core.events import Cause
from torpord.core.nesting import has_more_levels
from torpord.core.report import iso
from torpord.host import small_file
from torpord.host.clock import SystemClock
from torpord.host.faults import SetupError
from torpord.host.home import command, may_be_there
from torpord.host.resources import raise_descriptor_limit, usage
from torpord.host.watch import LOOK_AGAIN, DirectoryWatch
from torpord.shell import opening, settings_look
from torpord.shell.installed import of_this_process
from torpord.shell.start_up import AGAIN, Ground, read_settings
from torpord.shell.statefile import SCHEMA_VERSION, StateFile
from torpord.store.store import Store, StoreError, StoreUnreadableError

if TYPE_CHECKING:
    from pathlib import Path

    from torpord.control.calls import Call
    from torpord.host.listen import Listener

log = structlog.get_logger("torpord.safe_mode")

# A disk that was full tells nobody that it has room: then, and only then, a start is tried by the clock.
TRY_EVERY_S = 60.0
# Who edits writes often, and each look reads the whole store.
LOOK_EVERY_S = 1.0
# A home that cannot be watched now is looked at so often.
WATCH_AGAIN_S = 5.0
DEFAULT_LOG_LINES = 1000


@dataclass(frozen=True, slots=True)
class Reason:
    """Why it is in safe mode. `exit_code`: what the start would have ended with; 0 where it did not fail."""

    text: str
    exit_code: int = 0
    suspect: str | None = None


async def serve(ground: Ground, reason: Reason) -> str:
    """Serve until told otherwise: returns "stop", "signal", or AGAIN where the next start is to be tried."""
    raise_descriptor_limit()
    mode = SafeMode(ground, reason)
    log.error("safe_mode", why=reason.text, suspect=reason.suspect, home=str(ground.options.home))
    return await mode.live()


class SafeMode:
    """One life in safe mode."""

    def __init__(self, ground: Ground, reason: Reason) -> None:
        self._ground = ground
        self._home = ground.options.home
        self._reason = reason
        self._installed = of_this_process()
        self._clock = SystemClock()
        self._began = self._clock.now()
        self._file = StateFile(self._home)
        self._known = _last_known(self._home / wire.STATE_NAME)
        self._had_store = may_be_there(self._store)
        self._leaving = ""
        self._left = anyio.Event()

    async def live(self) -> str:
        """Serve, and go down without silence."""
        listener, notifier = self._ground.door(), self._ground.notifier
        self._file.unsay_stopped()
        # Up, nobody is stopped, whatever was said to the last one.
        self._write_state(os.getpid(), self._known["reason"] if self._known["reason"] != "stop" else "")
        async with anyio.create_task_group() as tasks:
            server = Server(listener, os.getuid(), tasks, self._connection, self._clock.awake_s)
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                tasks.start_soon(server.run)
                tasks.start_soon(self._hear, signals)
                tasks.start_soon(self._watch, listener)
                if self._reason.exit_code == wire.EX_TEMPFAIL:
                    tasks.start_soon(self._try_again)
                tasks.start_soon(notifier.keep_watchdog)
                notifier.ready(f"safe mode: {self._reason.text}")
                await self._left.wait()
                if not listener.is_inherited:
                    listener.unlink()
                    listener.shut()
                    with contextlib.suppress(OSError):  # no descriptors are left: who waits is turned away
                        server.accept_waiting()
                server.stop_accepting()
                await server.drain()
            tasks.cancel_scope.cancel()
        return self._end()

    def _end(self) -> str:
        if self._leaving == AGAIN:
            log.info("safe_mode_left", why="the next start is tried")
            self._ground.hand_on()
        else:
            self._ground.notifier.stopping(f"safe mode, {self._leaving}")
            self._write_state(None, self._leaving)
        self._ground.starts.ended()
        return self._leaving

    def _leave(self, reason: str) -> None:
        self._leaving = self._leaving or reason
        self._left.set()

    def _connection(self, number: int, sock: Any, cause: Cause) -> SafeConnection:
        return SafeConnection(number, sock, cause, self._answer)

    # What it answers.

    async def _answer(self, request: Request) -> Mapping[str, Any]:
        row = find(request.method)
        if self._leaving:
            raise RefusedError(Refusal("draining", "the daemon starts anew: ask again, its successor will answer"))
        match request.method:
            case "hello" | "status" | "log" | "doctor":
                if row.before is not None:
                    row.before(cast("Call", _Said(request.params)))  # of a look, it reads the params alone
                check(row.name, request.params, row.params)
            case "reload" | "stop":
                check(row.name, request.params, {**row.params, "key": KEY})
            case _:
                raise RefusedError(self._refusal())
        return {
            "hello": self._hello,
            "status": self._status,
            "log": lambda: self._log(request.params),
            "doctor": self._doctor,
            "reload": self._reload,
            "stop": self._stop,
        }[request.method]()

    def _refusal(self) -> Refusal:
        mend = "status, log, doctor, reload and stop are served; when it is mended: torpor reload"
        text = f"torpor is in safe mode: {self._reason.text}; {mend}"
        return Refusal("safe_mode", text, {"reason": self._reason.text, "suspect": self._reason.suspect})

    def _hello(self) -> dict[str, Any]:
        daemon = {
            "version": torpor.__version__,
            "pid": os.getpid(),
            "started_ts": iso(self._began.wall_s),
            "generation": self._known["generation"],
        }
        state = self._known["current_state"]
        return {"protocol": wire.PROTOCOL, "daemon": daemon, "state": state, "limits": wire.LIMITS}

    def _status(self) -> dict[str, Any]:
        known = self._known
        return {
            "state": known["current_state"],
            "since_ts": known["since_ts"],
            "generation": known["generation"],
            "pid": os.getpid(),
            "version": torpor.__version__,
            "protocol": wire.PROTOCOL,
            "started_ts": iso(self._began.wall_s),
            "start_cause": None,
            "uptime_s": round(self._clock.now().awake_s - self._began.awake_s, 3),
            "last_activity_ts": known["last_activity_ts"],
            "wrapper_event_seq": known["wrapper_event_seq"],
            "ledger_seq": 0,
            "next": {"state": None, "in_s": None, "at": None, "blocked_by": []},
            "holds": [],
            "agents": dict.fromkeys(wire.AGENT_STATUSES, 0),
            "recovering": {"count": 0, "next_ts": None},
            "runs": dict.fromkeys(wire.RUN_STATUSES, 0),
            "sleep": {
                "last_cycle": known["last_cycle"],
                "last_upkeep": None,
                "progress": known["sleep_cycle_progress"],
                "quarantine": known["quarantine"],
                "next": {"reason": "", "due_ts": None},
                "debt_s": 0.0,
            },
            **self._whose(),
            "next_wake_ts": known["next_wake_ts"],
            "wake_armed": known["wake_armed"],
            "ways_back": known["ways_back"],
            "resumes_ts": known["resumes_ts"],
            "shadow_run": False,
            "home": str(self._home),
            "safe_mode": self._view(),
            "installed": self._installed.view(),
            **usage(),
        }

    def _whose(self) -> dict[str, Any]:
        manager = self._ground.manager
        return {"supervisor": self._ground.supervisor, "manager": manager.kind, "unit": manager.unit}

    def _view(self) -> dict[str, Any]:
        since = iso(self._began.wall_s)
        return {"reason": self._reason.text, "suspect": self._reason.suspect, "since_ts": since}

    def _log(self, params: Mapping[str, Any]) -> dict[str, Any]:
        after, limit = params.get("after", 0), params.get("limit", DEFAULT_LOG_LINES)
        try:
            store = Store(self._store, read_only=True)
            try:
                page = store.page(after, limit, wire.MAX_PAGE_BYTES // 2, params.get("kinds", ()))
            finally:
                store.close()
        except (StoreError, StoreUnreadableError, OSError) as error:
            raise RefusedError(self._refusal()) from error
        newest = max([after, *(line.seq for line in page.lines[-1:])])
        return {"records": [view(line) for line in page.lines], "next": newest if page.end is None else page.end}

    def _doctor(self) -> dict[str, Any]:
        from torpord.control.doctor_methods import examined_unopened  # noqa: PLC0415 - rare

        return examined_unopened(str(self._home), self._known["last_cycle"], settings_look.look(self._ground.options))

    def _reload(self) -> dict[str, Any]:
        problem = self._problem()
        if problem:
            raise RefusedError(Refusal("conflict", f"{problem}; safe mode goes on"))
        self._ground.starts.forgive()
        self._leave(AGAIN)
        return {"leaving": True, "changed": []}

    def _stop(self) -> dict[str, Any]:
        self._file.say_stopped()
        self._leave("stop")
        return {"state": self._known["current_state"]}

    # What it waits for.

    @property
    def _store(self) -> Path:
        return self._home / wire.STORE_NAME

    def _problem(self) -> str:
        """Look whether home, settings and store are fit for a start now; returns what is wrong."""
        if not os.access(self._home, os.W_OK):
            return f"{self._home} cannot be written"
        try:
            read_settings(self._ground.options)
            return opening.problem(self._store)
        except SetupError as error:
            return str(error)
        except OSError as error:
            return f"{self._store} cannot be looked at now ({error.strerror or error})"

    async def _hear(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if number != signal.SIGHUP:
                self._leave("signal")
                return
            try:
                self._reload()
            except RefusedError as refused:
                log.warning("still_in_safe_mode", why=refused.refusal.message)

    async def _watch(self, listener: Listener) -> None:
        """Try the next start when what could not be read was changed, and can be read; end where nobody finds it."""
        settings, store = self._ground.options.settings, wire.STORE_NAME
        wanted = {settings.name, store, f"{store}-wal", LOOK_AGAIN}
        told = ""
        while not self._leaving:
            try:
                with contextlib.closing(DirectoryWatch(list({self._home, settings.parent}))) as watch:
                    names = {LOOK_AGAIN} if told else set()  # for what came while there was none
                    while not self._leaving:
                        await self._look(listener, is_changed=bool(wanted & names))
                        names, told = {name for _, name in await anext(watch.changes())}, ""
            except OSError as error:  # as in the lookout: it may pass, and meanwhile nobody else looks at the places
                if told != str(error):
                    log.warning("cannot_watch", error=str(error), otherwise="torpor reload, when it is mended")
                told = str(error)
                self._check_places(listener)
                await anyio.sleep(WATCH_AGAIN_S)

    async def _look(self, listener: Listener, *, is_changed: bool) -> None:
        self._check_places(listener)
        # With no exit code nothing that can be read is wrong: somebody has to say that it is mended.
        if self._reason.exit_code and is_changed:
            problem = self._gone() or self._problem()
            if not problem:
                self._leave(AGAIN)
                return
            log.info("still_in_safe_mode", why=problem)
            await anyio.sleep(LOOK_EVERY_S)

    def _check_places(self, listener: Listener) -> None:
        """Make sure that others still find the home and the socket here, as in a life without fault."""
        lock = self._ground.lock
        # Before the lock: a home that goes in between takes both along, and then it is the lock that tells.
        socket_gone = not listener.is_inherited and listener.is_lost()
        if not lock.unwritable and not lock.is_still_ours():
            log.critical("home_gone", home=str(self._home), why="the home or its lock was removed or replaced")
            os._exit(wire.EX_CONFIG)
        if socket_gone:
            log.error("socket_gone", path=listener.path)
            self._leave("signal")

    def _gone(self) -> str:
        """Say that the store was taken away: whoever does that may be about to put another in its place.

        A start now would make a new one, in silence, and the backup would be copied over it while it is in use.
        """
        if not self._had_store or may_be_there(self._store):
            return ""
        reload = command("torpor reload", self._home)
        return f"{self._store} was taken away: put one there, or have `{reload}` begin a new one"

    async def _try_again(self) -> None:
        await anyio.sleep(TRY_EVERY_S)
        self._leave(AGAIN)

    def _write_state(self, pid: int | None, reason: str) -> None:
        safe_mode = self._view() if pid else None
        ours = {**self._whose(), "version": torpor.__version__, "start_cause": None, "safe_mode": safe_mode}
        try:
            self._file.write({**self._known, **ours, "pid": pid, "reason": reason})
        except OSError as error:
            log.warning("state_file_not_written", error=str(error))


@dataclass(frozen=True, slots=True)
class _Said:
    params: Mapping[str, Any]


_NOTHING_KNOWN: Mapping[str, Any] = {
    "schema_version": SCHEMA_VERSION,
    "current_state": "WAKE",
    "since_ts": None,
    "last_activity_ts": None,
    "wrapper_event_seq": 0,
    "sleep_cycle_progress": None,
    "quarantine": None,
    "shadow_run": False,
    "generation": 0,
    "next_wake_ts": None,
    "recovering": {"count": 0, "next_ts": None},
    "resumes_ts": None,
    "wake_armed": None,
    "ways_back": {},
    "last_cycle": None,
    "reason": "",
}


_OBJECTS = ("sleep_cycle_progress", "quarantine", "last_cycle")


def _last_known(path: Any) -> dict[str, Any]:
    """Return what the last life told observers; of what cannot be read, or is not what belongs there, nothing."""
    try:
        found = orjson.loads(small_file.read(path))
    except (OSError, ValueError):
        found = None
    given = found if isinstance(found, dict) and not has_more_levels(found) else {}
    known = {
        name: given[name] if name in given and _fits(name, given[name], nothing) else nothing
        for name, nothing in _NOTHING_KNOWN.items()
    }
    return known if known["current_state"] in wire.STATES else dict(_NOTHING_KNOWN)


def _fits(name: str, value: Any, nothing: Any) -> bool:
    if nothing is None:
        return value is None or isinstance(value, dict if name in _OBJECTS else str)
    return type(value) is type(nothing)
