"""Whether the daemon is up, who holds its lock, and whether it really answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torpor import presence
from torpor.doctor.rows import Check, Row
from torpor.doctor.subject import holder, is_running

if TYPE_CHECKING:
    from torpor.doctor.subject import Said, Subject


@dataclass(frozen=True, slots=True)
class LockFacts:
    """The lock: held or not, the note in it, and the pid that the state file and the daemon itself say."""

    held: bool
    note: dict[str, Any]
    lives: bool
    state_pid: object = None
    daemon_pid: object = None


def look_at_lock(subject: Subject) -> LockFacts:
    """Ask the kernel, then read what is written for people."""
    note = holder(subject.home)
    state_pid = subject.known.get("pid") if subject.known else None
    daemon_pid = subject.status["pid"] if subject.status else None
    lives = is_running(note.get("pid"))
    # Who is gone by now may have let go in peace since the first look.
    held = subject.up and (lives or presence.is_up(subject.home))
    return LockFacts(held, note, lives, state_pid, daemon_pid)


def judge_lock(facts: LockFacts) -> Row:
    """Compare the notes with the kernel's lock, which decides: where they differ, somebody else is in the home."""
    looked_at, note = "the home's lock", facts.note
    if not facts.held:
        last = f"; pid {note['pid']} held it last" if note.get("pid") else ""
        return Row("lock", looked_at, f"free{last}")
    told = f"pid {note['pid']}" if note.get("pid") else "a process that left no name"
    more = ", ".join(f"{name} {note[name]}" for name in ("version", "supervisor") if note.get(name))
    found = f"held by {told}{f' ({more})' if more else ''}"
    if note.get("pid") and not facts.lives:
        means = "another process has the lock, and what it does there torpor does not know"
        return Row("lock", looked_at, f"{found}, which is gone", "finding", means, "torpor restart")
    others = {pid for pid in (facts.state_pid, facts.daemon_pid) if pid is not None and pid != note.get("pid")}
    if note.get("pid") and others:
        who = " and ".join(str(pid) for pid in sorted(others, key=str))
        means = "a second installation, or a copy of this home, speaks for it"
        return Row(
            "lock", looked_at, f"{found}, while pid {who} speaks for the home", "finding", means, "torpor restart"
        )
    return Row("lock", looked_at, found)


@dataclass(frozen=True, slots=True)
class SocketFacts:
    """What the daemon answered; None where none is up, and then `down` says how it went.

    `is_stopped`: its process is, by SIGSTOP or a debugger.
    """

    path: str
    said: Said | None
    down: str
    pid: object
    is_stopped: bool = False


def look_at_socket(subject: Subject) -> SocketFacts:
    """Take what was really asked; who is down is not asked."""
    down = "" if subject.up else presence.told_down(subject.home, subject.known)
    pid = holder(subject.home).get("pid")
    return SocketFacts(subject.socket, subject.said, down, pid, _is_stopped(pid))


def _is_stopped(pid: object) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
    except OSError:
        return False  # gone, or this system has no /proc


def judge_socket(facts: SocketFacts) -> Row:
    """Who holds the lock must answer."""
    looked_at, said = "an answer of the daemon", facts.said
    if said is None:
        return Row("socket", looked_at, f"not asked, that would wake it: {facts.down}", "note")
    if said.status is not None:
        status = said.status
        answers = f"answers in {said.took_s * 1000:.0f} ms"
        return Row(
            "socket", looked_at, f"{answers}: {status['state']}, torpord {status['version']}, pid {status['pid']}"
        )
    if said.hung and facts.is_stopped:
        found = f"a daemon holds the lock and is stopped (SIGSTOP, or a debugger), pid {facts.pid}"
        means = "nobody is served, and it hears no other signal until it goes on"
        return Row("socket", looked_at, found, "serious", means, f"kill -CONT {facts.pid}")
    if said.hung:
        mend = f"kill -ABRT {facts.pid}" if is_running(facts.pid) else "torpor restart"
        means = "it hangs: nobody is served; ended so, it writes where it stood into its log"
        return Row(
            "socket", looked_at, f"a daemon holds the lock and does not answer: {said.problem}", "serious", means, mend
        )
    means = "a daemon holds the lock, and no client gets through to it"
    return Row("socket", looked_at, f"{facts.path}: {said.problem}", "serious", means, "torpor restart")


CHECKS = (
    Check("lock", lambda subject: judge_lock(look_at_lock(subject))),
    Check("socket", lambda subject: judge_socket(look_at_socket(subject))),
)
