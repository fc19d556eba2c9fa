"""`torpor hook claude-code`: what a hook tells on standard input, said to the daemon.

Its agent waits for it, at each use of a tool twice, and reads what it prints and how it ends: standard output may end
up in front of the model, and exit status 2 stops the work. So it ends with 0 and says nothing, whatever happens, within
a second; and its module's imports are those of `torpor.quick`.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from torpor.claude_code import Meaning

_LIMIT_S = 1.0  # for all of it: where that is over, whatever is still to be done stays undone
_MOST_BYTES = 16 * 1024 * 1024  # what a tool has read or written comes with it; more than that is not looked at
_PAUSE_S = 0.01
# While a daemon cannot be started, a tool must not wait a second for each hook: one attempt in so long is enough.
_ATTEMPT_EVERY_S = 60.0
_STARTING_S = 2.0  # as long as an attempt may be under way
_MOST_LEFT = 256  # files in `wake.d/`


def main(args: list[str]) -> "NoReturn":
    """Read the hook and say it; end the process with 0. `args`: the command line after `hook`."""
    end_s = time.monotonic() + _LIMIT_S
    try:
        _watch()
        _run(args, end_s)
    finally:
        # Not only after the errors that are known here: no mistake of ours, either, is to be the agent's trouble.
        os._exit(0)


def _watch() -> None:
    import _signal  # type: ignore[import-not-found] # noqa: PLC0415 - `signal` makes enums of it

    _signal.signal(_signal.SIGALRM, lambda *_: os._exit(0))
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGALRM})
    _signal.setitimer(_signal.ITIMER_REAL, _LIMIT_S)


def _run(args: list[str], end_s: float) -> None:
    from torpor import claude_code, hook_wire  # noqa: PLC0415 - within `main`'s finally: a broken one is silent, too

    harness, given = _read_args(args)
    if os.isatty(0):
        _explain()
        return
    if harness != claude_code.HARNESS:
        return
    payload = hook_wire.parsed(_standard_input().decode(errors="replace"))
    meaning = claude_code.read(payload) if isinstance(payload, dict) else None
    if meaning is None:
        return
    from torpor.home import home_dir, socket_path  # noqa: PLC0415 - likewise

    home = home_dir(given)
    path = socket_path(home)
    kept = _kept(home, meaning) if meaning.if_down == "keep" else []
    line = hook_wire.Line(path)
    try:
        hook_wire.tell(line, meaning)
    except hook_wire.Unheard as unheard:
        if unheard.is_down and meaning.if_down == "wake":
            _wake(home, path, meaning, end_s)
    else:
        _take_back(kept)
    finally:
        line.close()


def _read_args(args: list[str]) -> tuple[str, str | None]:
    """Return the harness, and the home where it is given. What else there may be is of a newer torpor: passed over."""
    harness, home = "", None
    rest = iter(args)
    for arg in rest:
        if arg == "--home":
            home = next(rest, "")
        elif arg.startswith("--home="):
            home = arg.partition("=")[2]
        elif arg == "--timeout":
            next(rest, None)
        elif not arg.startswith("-"):
            harness = harness or arg
    return harness, home


def _explain() -> None:
    if sys.stderr is not None and sys.stdin is not None:
        print(  # noqa: T201 - a person who wants to know what this does
            "torpor: this is run by an agent, which gives it a hook's JSON:"
            " `torpor hook claude-code --print-settings` prints what its settings need",
            file=sys.stderr,
        )


def _standard_input() -> bytes:
    """Return all of standard input. Raises ValueError where it is too much."""
    arrived = bytearray()
    while len(arrived) <= _MOST_BYTES:
        try:
            more = os.read(0, 1 << 20)
        except BlockingIOError:  # whoever opened it did not want to wait
            time.sleep(_PAUSE_S)
            continue
        if not more:
            return bytes(arrived)
        arrived += more
    raise ValueError("more than a hook has to tell")


def _kept(home: str, meaning: "Meaning") -> list[str]:
    """Leave the word for a daemon, whenever it can take it, and return the files.

    Before it is asked: with one that hangs, or with fifty hooks at once, the second is over before there is an answer.
    Both ways have the same key. It may outlive the agent's process: no pid goes with it.
    """
    from torpor import errors, spool  # noqa: PLC0415 - only here

    try:
        return [spool.drop(home, method, params) for method, params in (meaning.register(), meaning.word)]
    except errors.Error:  # a full disk, a home that is none of ours: the daemon may hear it all the same
        return []


def _take_back(files: list[str]) -> None:
    for path in files:
        try:
            os.unlink(path)
        except FileNotFoundError:  # the daemon was faster
            continue


def _wake(home: str, path: str, meaning: "Meaning", end_s: float) -> None:
    """Leave the word for a daemon and start that, but for one that was stopped, or cannot be started as it seems."""
    from torpor import hook_wire, presence, spool  # noqa: PLC0415 - only here

    if not presence.is_up(home) and presence.was_stopped(home, presence.last_known(home)):
        return
    if _waits_for_attempt(home):
        return
    dropped = [
        spool.drop(home, method, params)
        for method, params in hook_wire.with_pid((meaning.register(), meaning.word), hook_wire.harness_pid())
    ]
    while presence.is_up(home):  # on its way up or down: it takes the files, or goes
        if not os.path.exists(dropped[-1]):
            return
        time.sleep(_PAUSE_S)
    from torpor import talk, wake  # noqa: PLC0415 - only here, and not cheap
    from torpor.deadline import Deadline  # noqa: PLC0415

    wake.start(talk.Place(home, path), Deadline(end_s - time.monotonic()))


def _waits_for_attempt(home: str) -> bool:
    """Say whether something lies in `wake.d/` that a start should have taken, and is too new for another attempt."""
    from torpor import wire  # noqa: PLC0415 - loaded already

    try:
        names = [name for name in os.listdir(os.path.join(home, wire.SPOOL_NAME)) if name.endswith(".json")]
        newest_s = time.time() - max(int(name.partition("-")[0]) for name in names) / 1e9
    except (OSError, ValueError):  # no such folder, nothing in it, or names of others, which say nothing
        return False
    return len(names) >= _MOST_LEFT or _STARTING_S < newest_s < _ATTEMPT_EVERY_S
