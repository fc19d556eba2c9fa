"""The commands, one row each: name, what it is for, its arguments, the function that does it.

Help, parsing and shell completion are all made from this table. A row names its function as text, so that a command
loads only what it needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from torpor import durations, wire


def _duration(text: str) -> float:
    try:
        return durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _directory(text: str) -> str:
    if not text:
        raise ValueError("an empty name is no directory")
    return text


def _state(text: str) -> str:
    return text.upper()


def _moment(text: str) -> datetime:
    """Read a time: ISO 8601, local where it names no offset, or a length of time before now."""
    try:
        before_s = durations.parse(text)
    except ValueError:
        before_s = None
    try:
        if before_s is None:
            return _written(text)
        return datetime.now(UTC) - timedelta(seconds=before_s)
    except OverflowError:
        raise ValueError(f"{text!r} is before the year 1") from None  # the parser knows ValueError only


def _written(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        message = f"{text!r} is no time: write 2026-11-21T09:00, or 2h for two hours ago"
        raise argparse.ArgumentTypeError(message) from None


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. A name with a dash is an option, and a flag where `reads` is None; one without is a position."""

    names: tuple[str, ...]
    help: str
    reads: Callable[[str], object] | None = str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    repeats: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `prints`: it takes --json. `runs`: what follows its own arguments is another command's line."""

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...] = ()
    prints: bool = True
    runs: bool = False


_HOME_HELP = "the daemon's home (TORPOR_HOME, else this platform's default)"
HOME = Argument(("--home",), _HOME_HELP, _directory, "DIR")
TIMEOUT = Argument(("--timeout",), "how long to wait for all of it, 30s by default", _duration, "T", default=30.0)
JSON = Argument(("--json",), "print JSON", None)

_EVENTS = "request_arrived (somebody needs it), heartbeat_refresh (still there), wake_signal, force_sleep"
_EVENT = Argument(("event",), _EVENTS, metavar="EVENT", choices=wire.EVENTS)
_KEY = Argument(("--key",), "apply it once, however often it is sent with this key", metavar="K")
_NOW = Argument(("--now",), "give the sleep cycle no time to end", None)
_FOLLOW = Argument(("-f", "--follow"), "go on with what happens from now on", None)
_SINCE = Argument(("--since",), "only from this time on: ISO 8601, or 2h for two hours ago", _moment, "T")
_KIND = Argument(("--kind",), "only records of this kind; may be repeated", metavar="K", repeats=True)
_STATE = Argument(("state",), "WAKE, DROWSY, SLEEP or HIBERNATION", _state, "STATE", choices=wire.STATES)
_WAIT_LIMIT = Argument(("--timeout",), "how long to wait, without a limit by default; then exit 75", _duration, "T")
_WHY = Argument(("--why",), "the reason to show, by default the command", metavar="W")
_TTL = Argument(("--ttl",), "hold no longer than this, also where the command goes on", _duration, "T")
_SHELL = Argument(("shell",), "the shell to make it for", metavar="SHELL", choices=("bash", "zsh", "fish"))

COMMANDS = (
    Command("send", "send an event; where the daemon is down, leave it in wake.d/ and wake it", "events:send",
            (_EVENT, _KEY)),
    Command("wake", "wake the daemon, and start it where it is down", "events:wake"),
    Command("sleep", "send it to sleep now", "events:sleep"),
    Command("hibernate", "let it go down as soon as nothing is busy", "life:hibernate", (_NOW,)),
    Command("start", "start the daemon", "life:start"),
    Command("stop", "stop it, until `torpor start`", "life:stop"),
    Command("restart", "stop it and start it", "life:restart"),
    Command("reload", "have it read its settings again", "life:reload"),
    Command("status", "say how it is; exit 0 up, 3 down", "look:status"),
    Command("why", "say why it is awake, and what comes next", "look:why"),
    Command("log", "print its ledger", "ledger:log", (_FOLLOW, _SINCE, _KIND)),
    Command("watch", "see it live: redrawn on a terminal, else a line a transition", "watch:watch"),
    Command("wait", "return once it is in a state", "waiting:wait", (_STATE, _WAIT_LIMIT)),
    Command("hold", "keep it awake while another command runs", "hold:hold", (_WHY, _TTL), prints=False, runs=True),
    Command("demo", "a tour: a real daemon in a home of its own, one whole life", "demo:demo", prints=False),
    Command("completion", "print the completion for a shell", "completion:completion", (_SHELL,), prints=False),
)  # fmt: skip


def arguments_of(command: Command) -> tuple[Argument, ...]:
    """Return the command's arguments with those that every command takes."""
    own = {name for argument in command.arguments for name in argument.names}
    shared = (HOME, TIMEOUT, JSON) if command.prints else (HOME, TIMEOUT)
    return (*command.arguments, *(argument for argument in shared if not own.intersection(argument.names)))
