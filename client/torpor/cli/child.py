"""Running another command as if nobody stood in between: its terminal, its signals, its stops, its exit status.

It shares our process group and terminal, so what a terminal sends reaches it anyway. What is sent to us alone we pass
on; when it stops, we stop by the same signal, so that a shell sees its job stop; when we go on, so does it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import threading
from typing import TYPE_CHECKING

from torpor.cli import streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

# As env(1), nice(1), timeout(1) and the shell.
_OWN_FAILURE, _CANNOT_EXECUTE, _NOT_FOUND, _BY_SIGNAL = 125, 126, 127, 128
_STOPS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
# A terminal sends these to its whole foreground group (SIGTTIN and SIGTTOU to a background one), and so to the command
# as well. SIGINFO is macOS's Ctrl-T.
_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGWINCH, *_STOPS}
_TERMINAL |= {signal.SIGINFO} if hasattr(signal, "SIGINFO") else set()
# Never waited for: they cannot be, or tell of a fault of this process, or are about the command itself.
_OWN = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL,
        signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}  # fmt: skip
# Python ignores these two for itself; a command expects what it would find without us.
_RESTORED = {signal.SIGPIPE, signal.SIGXFSZ}


def run(command: list[str], beside: Callable[[], None] | None, after: Callable[[], None]) -> int:
    """Run `command` with `beside` in a thread next to it, then `after`; return its exit status.

    Where a signal ended it, the same signal ends this process. 126: it cannot be executed, 127: there is none.
    """
    # Taken in turn by sigwait below. What the caller had ignored (nohup, a shell's `&`) stays ignored for both.
    passed_on = {each for each in signal.valid_signals() - _OWN if signal.getsignal(each) is not signal.SIG_IGN}
    for number in (signal.SIGCHLD, signal.SIGCONT):
        # Blocked and waited for, it is never called; but some systems throw away what nobody handles by default.
        signal.signal(number, lambda *_: None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on | {signal.SIGCHLD, signal.SIGCONT})
    try:
        pid = _spawned(command, before)
    except OSError as error:
        after()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        streams.complain(f"cannot run {command[0]}: {error.strerror}")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_EXECUTE
    except ValueError as error:  # a NUL in an argument, an empty name
        after()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        streams.complain(f"cannot run {command[0]!r}: {error}")
        return _OWN_FAILURE
    trouble = "" if beside is None else _begun(beside)
    status = _wait_for(pid, passed_on)
    after()
    if trouble:
        streams.complain(f"nothing was said while {command[0]} ran: {trouble}")
    signal.pthread_sigmask(signal.SIG_SETMASK, before | passed_on)  # what comes now was for the command
    if os.WIFSIGNALED(status):
        _die_by(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _spawned(command: list[str], mask: Iterable[int]) -> int:
    """Start the command and return its pid. Raises OSError, or ValueError for what no command line can be."""
    environment = _environment()
    try:
        return os.posix_spawnp(command[0], command, environment, setsigmask=mask, setsigdef=_RESTORED)
    except OSError as error:
        path = command[0] if "/" in command[0] else shutil.which(command[0])
        if error.errno != errno.ENOEXEC or path is None:
            raise
    # A script without its `#!` line: execvp(3), and so every shell and env(1), has sh(1) run it.
    line = ["/bin/sh", path, *command[1:]]
    return os.posix_spawn(line[0], line, environment, setsigmask=mask, setsigdef=_RESTORED)


def _environment() -> dict[str, str]:
    """Return the environment as it was found: in the C locale Python has set LC_CTYPE in its own (PEP 538).

    Linux only: elsewhere nobody tells what was there before, and a LC_CTYPE of UTF-8 is as often the user's own.
    """
    environment = dict(os.environ)
    if "LC_CTYPE" in environment:
        with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as file:
            found = [entry for entry in file.read().split(b"\0") if entry.startswith(b"LC_CTYPE=")]
            del environment["LC_CTYPE"]
            for entry in found[:1]:
                environment["LC_CTYPE"] = os.fsdecode(entry.partition(b"=")[2])
    return environment


def _begun(beside: Callable[[], None]) -> str:
    """Run `beside` in a thread; return what was in the way, where it cannot be: the command runs all the same."""
    try:
        threading.Thread(target=beside, name="torpor-beside", daemon=True).start()
    except (RuntimeError, MemoryError) as error:  # limits on processes or on memory (setrlimit(2), cgroups)
        return str(error) or "no memory for a thread"
    return ""


def _wait_for(pid: int, passed_on: set[signal.Signals]) -> int:
    """Pass signals on to the command until it ends, stop and go on with it, and return its wait status."""
    is_to_go_on = False
    while True:
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if found and os.WIFSTOPPED(status):
            is_to_go_on = _stopped_as(os.WSTOPSIG(status))
        elif found and os.WIFCONTINUED(status):
            is_to_go_on = False  # by whoever continued us: a shell continues its whole job
        elif found:
            return status
        elif is_to_go_on:
            is_to_go_on = False
            _send(pid, signal.SIGCONT)
        else:
            number, from_terminal = _next_signal(passed_on | {signal.SIGCHLD})
            if number != signal.SIGCHLD and not (from_terminal and _has_heard(pid, number)):
                _send(pid, number)


def _has_heard(pid: int, number: int) -> bool:
    """Say whether the command has got what the terminal sent us.

    Not a hang-up of the terminal whose session we lead, if the command (a shell) has made a group of its own: then
    the kernel has told the foreground and us, as the leader that the command would be without us.
    """
    leads_it = os.getsid(pid) == os.getpid()
    return number != signal.SIGHUP or not leads_it or os.getpgid(pid) == os.getpgrp()


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended in this instant
        os.kill(pid, number)


def _stopped_as(number: int) -> bool:
    """Stop by the signal that stopped the command: a shell tells its user which. Say whether we were continued.

    A stop may come to nothing (SIGTSTP does where no shell is there to continue the group): then the command stays
    stopped, and is waited for as before.
    """
    _take_continue()
    if number in _STOPS and signal.getsignal(number) is not signal.SIG_IGN:
        os.kill(os.getpid(), number)
        # It waits here, with the one that the terminal may have sent; this is the moment that it stops us.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    else:
        os.kill(os.getpid(), signal.SIGSTOP)
    return _take_continue()


def _take_continue() -> bool:
    """Say whether somebody has continued us since this was last asked."""
    if signal.SIGCONT not in signal.sigpending():
        return False
    signal.sigwait({signal.SIGCONT})
    return True


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
