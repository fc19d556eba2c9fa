"""How a life begins: in this order, so that what goes wrong is told to whoever waits, and closes the door to nobody.

The socket that the service manager holds is taken first, then the home and its lock, then the crash ledger; settings
and store come behind them. What of those two cannot be read ends a daemon with a socket of its own, whose caller is
told at once (its settings are read before anything is touched). With an inherited socket the exit would have the
manager start it again and again while everybody waits: there it serves safe mode instead. So it does, whoever holds
the socket, behind starts that died one after the other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
import structlog

import torpor
from torpor import wire
from torpor.errors import Error
from torpor.home import socket_path
from torpord import config
from torpord.core.value import value
from torpord.host import home as homes
from torpord.host import listen, processes
from torpord.host.clock import SystemClock
from torpord.host.faults import SetupError
from torpord.host.lock import HomeLock
from torpord.host.notify import Notifier
from torpord.host.unit_name import Manager, found
from torpord.shell.starts import Starts
from torpord.shell.statefile import unfinished_stop

log = structlog.get_logger("torpord")

AGAIN = "again"
"""The reason of an end behind which the process becomes the next start: `become_again`."""
# So many deaths in a row before anybody was answered: the next start serves safe mode.
MOST_DEATHS = 5
# From READY on, by the awake clock: who has come so far without an answer to give lives, too.
LIVES_AFTER_S = 10.0
# What the service manager says to its child, and is taken out of the environment when it is heard.
_HANDED_OVER = (*listen.HANDED_OVER, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@value
class Options:
    """How the process was started.

    `settings_named`: somebody named the file, so it must be there. `spawned`: by a client. `new_store`: an unreadable
    store may be put aside. `safe`: serve safe mode.
    """

    home: Path
    settings: Path
    settings_named: bool = False
    spawned: bool = False
    new_store: bool = False
    safe: bool = False


@value
class Ground:
    """What a start stands on, whatever it becomes.

    `listener`: the inherited one, or None. `settings`: those of a daemon with a socket of its own, read first of all.
    `manager`: who holds the inherited socket.
    """

    options: Options
    settings: config.Settings | None
    path: str
    lock: HomeLock
    listener: listen.Listener | None
    notifier: Notifier
    supervisor: str
    manager: Manager
    starts: Starts
    handed_over: Mapping[str, str]

    def door(self) -> listen.Listener:
        """Return the listener to serve: the inherited one, else one of our own. Raises SetupError."""
        return self.listener or listen.own(self.path)

    def hand_on(self) -> None:
        """Leave the environment and the inherited socket as the service manager handed them over."""
        os.environ.update(self.handed_over)
        if self.listener is not None:
            os.set_inheritable(self.listener.sock.fileno(), True)  # noqa: FBT003 - the system's own signature


async def live(options: Options, life: Callable[[Ground], Awaitable[str]]) -> str:
    """Live one life, or serve safe mode: returns why it ended. Raises SetupError where neither can begin."""
    try:
        path = socket_path(str(options.home))
    except Error as error:
        raise SetupError(wire.EX_CONFIG, str(error)) from error
    handed_over = {name: os.environ[name] for name in _HANDED_OVER if name in os.environ}
    listener = listen.inherited(os.environ, os.getpid())
    manager = found("" if listener is None else handed_over.get("LISTEN_FDNAMES", ""), os.environ)
    # Without anybody who waits at the door, bad ones are refused before anything is touched.
    settings = read_settings(options) if listener is None and not options.safe else None
    homes.prepare(options.home)
    notifier = Notifier.from_environment(os.environ, on_failure=_notify_failed)
    if notifier.is_heard and listener is None:
        why = "the service manager handed over none: its socket unit is stopped, or not there"
        log.warning("own_socket", path=path, why=why)
    supervisor = _supervisor(listener, notifier)
    boot_id, version = processes.boot_id(), torpor.__version__
    note = {"pid": os.getpid(), "boot_id": boot_id, "version": version, "supervisor": supervisor}
    lock = await HomeLock.take(options.home, note, or_read_only=listener is not None)
    try:
        fault = _furnished(options.home, lock) or _astray(options.home, listener)
        if fault is not None and listener is None:
            raise fault
        now_s = SystemClock().now().wall_s
        starts = Starts.begin(options.home, version, sys.executable, boot_id, os.getpid(), now_s)
        left = homes.sweep(options.home, now_s)
        if left:
            log.info("tmp_swept", files=left[:20], count=len(left))
        ground = Ground(options, settings, path, lock, listener, notifier, supervisor, manager, starts, handed_over)
        if listener is not None and unfinished_stop(options.home) and await _finished(ground):
            return "stop"
        reason = await _live(ground, life, fault)
        if reason == "stop" and listener is not None:
            await _close_the_door(manager)
        return reason
    finally:
        lock.release()


def read_settings(options: Options) -> config.Settings:
    """Read the settings of a start. Raises SetupError."""
    return config.load(options.settings, required=options.settings_named)


async def _live(ground: Ground, life: Callable[[Ground], Awaitable[str]], fault: SetupError | None) -> str:
    starts = ground.starts
    verdict = starts.verdict()
    if verdict is not None:
        log.error("starts_died", why=str(verdict))
    if ground.options.safe or starts.deaths >= MOST_DEATHS:
        starts.phase("safe")
        text = f"it was started with --safe; {verdict}" if verdict else "it was started with --safe"
        return await _safe(ground, text if ground.options.safe else str(verdict), starts.suspect)
    try:
        if fault is not None:
            raise fault
        reason = await life(ground)
    except SetupError as error:
        starts.failed(str(error))
        if ground.listener is None:
            raise
        return await _safe(ground, str(error), exit_code=error.exit_code)
    starts.ended()
    return reason


def _furnished(home: Path, lock: HomeLock) -> SetupError | None:
    """Make the folders in the home, or return what keeps it from being written; 75 where that may pass by itself."""
    if lock.unwritable:
        where = f"{lock.path} cannot be opened for writing ({lock.unwritable})"
        return SetupError(wire.EX_TEMPFAIL, f"the home takes no changes: {where}: mend its file system, or its mode")
    try:
        homes.furnish(home)
    except SetupError as error:
        return error
    return None


def _astray(home: Path, listener: listen.Listener | None) -> SetupError | None:
    """Return what is wrong where the home is empty, and the inherited socket is not where it was opened.

    The home was moved, or removed, with the socket in it. Who comes by that means another home than a new one in the
    old place: nothing of theirs is to be taken in here.
    """
    if listener is None or listener.inode is not None or homes.may_be_there(home / wire.STORE_NAME):
        return None
    found = f"nobody finds {listener.path}, the socket that the service manager holds, and there is no store beside it"
    install = homes.command("torpor service install", home)
    mend = f"was the home moved? `torpor service install --home` with where it lies now, else `{install}`"
    return SetupError(wire.EX_CONFIG, f"{found}: {mend}")


async def _finished(ground: Ground) -> bool:
    """Bring to its end what the last daemon was told: it died on its way out, and was started again for that."""
    log.warning("stop_finished", why="the last daemon was told to stop, and died before the service manager knew of it")
    if not await _close_the_door(ground.manager):
        return False  # who waits at the door would have it started again and again
    ground.notifier.ready("stopped")
    ground.notifier.stopping("stopped")
    ground.starts.ended()
    return True


async def _close_the_door(manager: Manager) -> bool:
    """Have the service manager stop what would start this daemon again, which was told to stay down.

    It stops the service with its socket, so SIGTERM comes to a process that has nothing left to do but end with 0.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        from torpord.host import standing_down  # noqa: PLC0415 - once a life, and not in each
    except (ImportError, OSError) as error:  # taken away under this daemon: it ends as it was told all the same
        problem = f"the manager cannot be told: {error}"
    else:
        problem = await standing_down.close_the_door(manager, os.environ)
    if problem:
        log.warning("still_startable", problem=problem, then="the next connection or file starts torpord again")
    return not problem


async def _safe(ground: Ground, text: str, suspect: str | None = None, exit_code: int = 0) -> str:
    from torpord.shell import safe_mode  # noqa: PLC0415 - rare

    return await safe_mode.serve(ground, safe_mode.Reason(text, exit_code, suspect))


class Trial:
    """The first seconds of a start: what it is about to do is noted until it is known to live."""

    def __init__(self, starts: Starts, over: Callable[[], None]) -> None:
        self._starts = starts
        self._over = over
        self._lives = anyio.Event()

    def about_to(self, suspect: str) -> None:
        """Note a risky thing before it is done."""
        self._starts.about_to(suspect)

    def lived(self) -> None:
        """Hear that it lives, and do so once."""
        if not self._lives.is_set():
            self._lives.set()
            self._starts.lived(SystemClock().now().wall_s)
            self._over()

    async def run(self) -> None:
        """Wait until it lives: for the first answer, or the time that counts as one."""
        with anyio.move_on_after(LIVES_AFTER_S):
            await self._lives.wait()
        self.lived()


def become_again() -> None:
    """Become the next start, in this very process: behind an end for the reason `AGAIN`.

    On macOS nothing is done, and the caller ends: launchd hands its socket over once a process, and starts the next one
    for whoever waits there. (Not run on the machines this is developed on.)
    """
    if sys.platform != "darwin":
        arguments = [each for each in sys.orig_argv[1:] if each != "--safe"]
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - ourselves


def _supervisor(listener: listen.Listener | None, notifier: Notifier) -> str:
    if sys.platform == "darwin":
        return "launchd" if listener else "none"
    return "systemd" if listener or notifier.is_heard else "none"


def _notify_failed(error: OSError) -> None:
    log.warning("service_manager_not_told", error=str(error))
