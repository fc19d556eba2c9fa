"""Running another command as if nobody stood in between: its terminal, its signals, its exit status."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from typing import TYPE_CHECKING

from torpor.cli import streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# As env(1), nice(1), timeout(1) and the shell.
_OWN_FAILURE, _CANNOT_EXECUTE, _NOT_FOUND, _BY_SIGNAL = 125, 126, 127, 128
# A terminal sends these to its whole foreground group, and so to the command as well.
_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}
_PASSED_ON = _TERMINAL | {signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM}
# Python ignores these two for itself; a command expects what it would find without us.
_RESTORED = {signal.SIGPIPE, signal.SIGXFSZ}


def run(command: list[str], beside: Callable[[], None] | None, after: Callable[[], None]) -> int:
    """Run `command` with `beside` in a thread next to it, then `after`; return its exit status.

    Where a signal ended it, the same signal ends this process. 126: it cannot be executed, 127: there is none.
    """
    # Taken in turn by sigwait below. What the caller had ignored (nohup, a shell's `&`) stays ignored for both.
    passed_on = {each for each in _PASSED_ON if signal.getsignal(each) is not signal.SIG_IGN}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on | {signal.SIGCHLD})
    try:
        pid = os.posix_spawnp(command[0], command, os.environ, setsigmask=before, setsigdef=_RESTORED)
    except OSError as error:
        after()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        streams.complain(f"cannot run {command[0]}: {error.strerror}")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_EXECUTE
    except ValueError as error:  # a NUL in an argument, an empty name
        after()
        streams.complain(f"cannot run {command[0]!r}: {error}")
        return _OWN_FAILURE
    if beside is not None:
        threading.Thread(target=beside, name="torpor-hold", daemon=True).start()
    status = _wait_for(pid, passed_on)
    after()
    signal.pthread_sigmask(signal.SIG_SETMASK, before | passed_on)  # what comes now was for the command
    if os.WIFSIGNALED(status):
        _die_by(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _wait_for(pid: int, passed_on: set[signal.Signals]) -> int:
    """Pass signals on to the command until it ends, and return its wait status."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        number, from_terminal = _next_signal(passed_on | {signal.SIGCHLD})
        if number != signal.SIGCHLD and not from_terminal:
            with contextlib.suppress(ProcessLookupError):  # it ended in this instant
                os.kill(pid, number)


def _next_signal(awaited: set[signal.Signals]) -> tuple[int, bool]:
    """Return the next signal, and whether the terminal sent it, and with it one to the command."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(awaited)
        # si_code, sigaction(2): what kill(2) and its kin send has 0 or less, what the kernel sends has more.
        return info.si_signo, info.si_signo in _TERMINAL and info.si_code > 0
    number = signal.sigwait(awaited)  # macOS cannot tell who sent it: most often it is the terminal
    return number, number in _TERMINAL


def _die_by(number: int) -> NoReturn:
    """End as the command ended, so that a shell sees what it would have seen (and stops its loop at Ctrl-C)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError):  # SIGKILL cannot be handled, and need not be
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os._exit(_BY_SIGNAL + number)  # it did not end us: ignored by whoever started us, or one that stops only
