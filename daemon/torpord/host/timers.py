"""A timer of the service manager that starts this daemon when it is down: one a daemon, for its next planned wake.

With systemd it is a transient NAME.timer beside NAME.service. No file of that name is ever installed: a unit that has
one takes no transient settings. A user's daemon makes it by itself, over the manager's own socket, with no D-Bus. In
the system's manager nobody but root may, so a socket of root's (torpord-keeper@USER.socket) takes the time from the
user, and nothing else.

No exit status is trusted. systemd-run, given a time that has passed, makes nothing and says that all is well; so what
counts is the time that the manager shows afterwards.
"""

from __future__ import annotations

import contextlib
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

from torpord.host.unit_name import Manager, keeper_path

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_LIMIT_S = 5.0
# One word to the keeper, and its answer: it asks systemd three times, and waits for itself where others ask, too.
KEEPER_LIMIT_S = 5.0
KEEPER_TRIES = 3
KEEPER_PAUSE_S = 0.2
_MOST_ANSWER_BYTES = 4096
_MOST_PROBLEM_CHARS = 300
# systemctl stop, of a unit that is not there.
_NOT_LOADED = 5
_PROPERTIES = "LoadState,ActiveState,NextElapseUSecRealtime"


class Timer(Protocol):
    """The timer of one daemon. Each call returns what went wrong, "" where the manager shows what was asked for."""

    async def set(self, at_s: int) -> str:
        """Let the daemon be started at this time (seconds of the epoch), and at no other."""
        ...

    async def clear(self) -> str:
        """Let no time start it."""
        ...

    async def is_kept(self) -> bool:
        """Whether the timer cannot be changed now, or not for good: the manager may be stopping this service."""
        ...


def timer_of(manager: Manager, home: Path, environ: Mapping[str, str]) -> Timer:
    """Return the timer of a manager; it is no use where that does not take any (`takes_timers`)."""
    match manager.kind:
        case "systemd-user":
            return UserTimer(manager.unit, environ)
        case "systemd-system":
            return KeeperTimer(keeper_path(manager.unit))
        case "launchd":
            from torpord.host.launchd_timer import LaunchdTimer  # noqa: PLC0415 - on macOS alone

            return LaunchdTimer(manager.unit, home)
        case "none":
            return NoTimer()


class NoTimer:
    """Stands in where no manager takes one: none is there to be cleared."""

    async def set(self, at_s: int) -> str:  # noqa: ARG002 - the protocol's signature
        """Set nothing, and say so."""
        return "no service manager takes a timer"

    async def clear(self) -> str:
        """Have nothing to do."""
        return ""

    async def is_kept(self) -> bool:
        """Say no: there is none."""
        return False


class UserTimer:
    """A transient timer in the user's own manager."""

    def __init__(self, unit: str, environ: Mapping[str, str]) -> None:
        self._unit = unit
        # Times are shown in the zone and the language of whoever asks. The rest of ours is nobody's business.
        self._environ = {
            **{name: environ[name] for name in ("PATH", "XDG_RUNTIME_DIR") if name in environ},
            "TZ": "UTC",
            "LC_ALL": "C",
        }

    async def set(self, at_s: int) -> str:
        """Replace the timer: its time cannot be changed, and its name is taken as long as it is there."""
        return (
            await self._stop()
            or await self._command(
                "systemd-run",
                "--user",
                "--quiet",
                # One that failed would keep its name otherwise.
                "--collect",
                # The timer's name is made of it: Unit= is no property that systemd-run takes for a timer.
                f"--unit={self._unit}.service",
                "--description=torpor: planned wake",
                "--timer-property=AccuracySec=1s",
                # Who stops the door stops this one, too: nobody else would know of it.
                f"--timer-property=PartOf={self._unit}.socket",
                f"--on-calendar=@{at_s}",
            )
            or await self._seen(at_s)
        )

    async def clear(self) -> str:
        """Stop the timer: a transient one is gone then."""
        return await self._stop() or await self._seen(None)

    async def is_kept(self) -> bool:
        """Ask whether a job of the manager's is waiting for this service: one for the timer would wait behind it.

        Its end would come when nobody is left to make the next one; and who stops the socket means the timer, too.
        """
        ran = await run_command(
            ["systemctl", "--user", "show", f"{self._unit}.service", "-p", "Job", "--value"], self._environ
        )
        return ran.out.strip() not in ("", "0")

    async def _stop(self) -> str:
        # With --quiet nobody is told that it was not there, which is as good.
        return await self._command("systemctl", "--user", "--quiet", "stop", f"{self._unit}.timer", fine=_NOT_LOADED)

    async def _seen(self, at_s: int | None) -> str:
        ran = await run_command(
            ["systemctl", "--user", "show", f"{self._unit}.timer", "-p", _PROPERTIES], self._environ
        )
        return ran.problem() or unlike(ran.out, at_s)

    async def _command(self, *argv: str, fine: int = 0) -> str:
        return (await run_command(argv, self._environ)).problem(fine)


class KeeperTimer:
    """The user's timer in the system's manager: made by root, at the word of whoever may connect to the keeper."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def set(self, at_s: int) -> str:
        """Have it made in place of the one that is there."""
        return await self._ask(f"arm {at_s}", at_s)

    async def clear(self) -> str:
        """Have it stopped."""
        return await self._ask("disarm", None)

    async def is_kept(self) -> bool:
        """Say yes: the keeper tells nothing of jobs."""
        return True

    async def _ask(self, line: str, at_s: int | None) -> str:
        answer = ""
        try:
            for tries in range(KEEPER_TRIES):
                if tries:
                    await anyio.sleep(KEEPER_PAUSE_S)
                with anyio.fail_after(KEEPER_LIMIT_S):
                    answer = await ask_keeper(self._path, line)
                if answer:
                    break  # else too many were at it, and this one was sent away
        except TimeoutError:
            return f"{self._path} gave no answer within {KEEPER_LIMIT_S:g} s"
        except OSError as error:
            return f"{self._path} cannot be asked ({error.strerror or error})"
        last = answer.splitlines()[-1:]
        if last != ["ok"]:
            return f"{self._path} said {_short(' '.join(last)) or 'nothing'}"
        return unlike(answer, at_s)


async def ask_keeper(path: str, line: str) -> str:
    """Say one line, and return all that comes back until the end. Raises OSError."""
    answer = b""
    # Either is the end of the answer; of one that is not whole, the last line is not `ok`.
    with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        async with await anyio.connect_unix(path) as keeper:
            await keeper.send(line.encode() + b"\n")
            while len(answer) < _MOST_ANSWER_BYTES:
                answer += await keeper.receive()
    return answer.decode(errors="replace")


class Ran:
    """How a command of systemd's ended, and what it said on both streams."""

    __slots__ = ("name", "out", "status")

    def __init__(self, name: str, status: int, out: str) -> None:
        self.name = name
        self.status = status
        self.out = out

    def problem(self, fine: int = 0) -> str:
        """Say what went wrong, "" where it ended with 0 or as is `fine`."""
        if self.status in (0, fine):
            return ""
        return f"{self.name} failed ({_short(self.out) or f'exit status {self.status}'})"


async def run_command(argv: list[str] | tuple[str, ...], environ: Mapping[str, str]) -> Ran:
    """Run a command of systemd's for at most `COMMAND_LIMIT_S`; one that does not end is killed."""
    try:
        with anyio.fail_after(COMMAND_LIMIT_S):
            done = await anyio.run_process(
                argv,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                check=False,
                env=environ,
                cwd="/",
                start_new_session=True,
            )
    except TimeoutError:
        return Ran(argv[0], -1, f"it took over {COMMAND_LIMIT_S:g} s and was ended")
    except OSError as error:
        return Ran(argv[0], -1, f"it cannot be started: {error.strerror or error}")
    return Ran(argv[0], done.returncode, done.stdout.decode(errors="replace"))


def unlike(shown: str, at_s: int | None) -> str:
    """Compare what `systemctl show` said with the time that is wanted: "" where they agree, else in words."""
    said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if said.keys() < {"LoadState", "ActiveState"}:
        return f"systemd did not say what became of the timer ({_short(shown)})"
    waits = said["ActiveState"] == "active"
    if at_s is None:
        return "the timer is still there" if waits else ""
    if not waits:
        return f"systemd made no timer ({said['LoadState']}, {said['ActiveState']}): has its time passed?"
    found = said.get("NextElapseUSecRealtime", "")
    if _epoch(found) != at_s:
        return f"systemd's timer is set for {found or 'no time'}"
    return ""


def _epoch(shown: str) -> int | None:
    """Read a time as systemd shows it with TZ=UTC: `Sat 2026-11-21 15:36:25 UTC`."""
    try:
        _, day, time, zone = shown.split()
        return int(datetime.fromisoformat(f"{day}T{time}+00:00").timestamp()) if zone == "UTC" else None
    except ValueError:
        return None


def _short(text: str) -> str:
    return " ".join(text.split())[:_MOST_PROBLEM_CHARS]
