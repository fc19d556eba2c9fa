"""What was left lying: rejected files, waiting events, processes of runs, temporary files, a long log, a quarantine."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torpor import presence, wire
from torpor.doctor.places import is_down, size
from torpor.doctor.rows import Check, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torpor.doctor.subject import Subject

_MANY = 100
_SHOWN = 5
_DAY_S = 86_400.0
_MOST_LOG_BYTES = 8 * 1024 * 1024
_WHY_BYTES = 300
_RUN_FOLDER = "run-"  # a worker's own, while its run goes on


@dataclass(frozen=True, slots=True)
class RejectedFacts:
    """How many files were put aside, and the newest of them, each with the reason."""

    folder: str
    count: int
    newest: tuple[tuple[str, str], ...]


def look_at_rejected(subject: Subject) -> RejectedFacts:
    """Read wake.rejected/; a reason lies beside its file."""
    folder = subject.path(wire.REJECTED_NAME)
    names = [name for name in _names(folder) if not name.endswith(".why")]
    dated = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # somebody clears them away meanwhile
            dated.append((os.lstat(os.path.join(folder, name)).st_mtime, name))
    newest = [name for _, name in sorted(dated, reverse=True)[:_SHOWN]]
    return RejectedFacts(folder, len(names), tuple((name, _why(os.path.join(folder, name))) for name in newest))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _why(path: str) -> str:
    try:
        return " ".join(presence.noted(f"{path}.why", _WHY_BYTES).decode(errors="replace").split())
    except OSError:
        return "no reason lies beside it"


def judge_rejected(facts: RejectedFacts) -> Row:
    """They are events that somebody meant: shown, and never deleted by the doctor."""
    looked_at = "events that were put aside"
    if not facts.count:
        return Row("rejected", looked_at, "none")
    shown = "; ".join(f"{name}: {why}" for name, why in facts.newest)
    found = f"{facts.count} in {facts.folder}, the newest: {shown}"
    means = "whoever left them was not understood"
    quoted = shlex.quote(facts.folder)
    if facts.count > _MANY:
        return Row("rejected", looked_at, found, "finding", f"{means}, and goes on", f"rm -r {quoted}")
    return Row("rejected", looked_at, found, "note", means, f"ls -lt {quoted}")


@dataclass(frozen=True, slots=True)
class WaitingFacts:
    """Events that wait for a daemon, and what keeps one that is up from going down."""

    up: bool
    count: int
    signal: bool
    forbidden: tuple[str, ...]


def look_at_waiting(subject: Subject) -> WaitingFacts:
    """Count what lies there; a daemon that is up tells what it cannot take away."""
    why = subject.said.why if subject.said else None
    reasons: list[Any] = list(why["not_yet_because"]) if why else []
    stuck = list(subject.examined["stuck"].values()) if subject.examined else []
    # What is stuck forbids the exit, and is one of its reasons, too, once it would like to go.
    forbidden = tuple(
        dict.fromkeys([*stuck, *(str(each.get("why")) for each in reasons if each.get("kind") == "forbidden")])
    )
    signal = os.path.lexists(subject.path(wire.WAKE_SIGNAL_NAME))
    return WaitingFacts(subject.up, len(_names(subject.path(wire.SPOOL_NAME))), signal, forbidden)


def judge_waiting(facts: WaitingFacts) -> Row:
    """With a service manager files wake by themselves; without one they wait for the next start."""
    looked_at = "wake.d/ and wake.signal, and what forbids the exit"
    if facts.forbidden:
        return Row("waiting", looked_at, "; ".join(facts.forbidden), "finding", "torpord stays up, in SLEEP")
    found = f"{facts.count} events" + (" and wake.signal" if facts.signal else "")
    if facts.up or not (facts.count or facts.signal):
        return Row("waiting", looked_at, found)
    return Row("waiting", looked_at, found, "note", "they are taken by the next start", "torpor wake")


def look_at_cycle(subject: Subject) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the quarantine and the last sleep cycle: of the daemon, else of its state file."""
    status, known = subject.status, subject.known or {}
    if status is not None:
        return status["sleep"].get("quarantine"), status["sleep"].get("last_cycle")
    quarantine, last = known.get("quarantine"), known.get("last_cycle")
    return (quarantine if isinstance(quarantine, dict) else None, last if isinstance(last, dict) else None)


def judge_cycle(quarantine: dict[str, Any] | None, last: dict[str, Any] | None) -> Row:
    """Without sleep cycles the store is not looked after."""
    looked_at, last = "the sleep cycle", last or {}
    run = str(last.get("run_id") or "last")
    if quarantine is not None:
        found = f"step {quarantine.get('step')} failed {quarantine.get('failures')} times"
        kept = str(quarantine.get("run_id") or run)  # a sleep may have two flows: the last cycle is the other's, then
        found, run = (f"{found}: {last.get('error')}" if kept == run else found), kept
        means = f"no maintenance until {quarantine.get('until_ts')}"
        return Row("quarantine", looked_at, found, "finding", means, f"torpor runs retry {shlex.quote(run)}")
    if last.get("outcome") == "failed":
        found = f"the last one failed in {last.get('step')}: {last.get('error')}"
        means = "it is tried again by itself"
        return Row("quarantine", looked_at, found, "note", means, f"torpor runs show {shlex.quote(run)}")
    return Row("quarantine", looked_at, "no cycle yet" if not last else f"completed at {last.get('ended_ts')}")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that a run of this home has started, and no daemon is above it."""

    pid: int
    run_id: str
    name: str


def look_at_processes(subject: Subject, proc: str = "/proc") -> list[Process] | None:
    """Look for runs' processes in `proc` by what torpor set in their environment; None where there is no such folder.

    Others' processes cannot be read, and could not be a run's.
    """
    pids = [int(name) for name in _names(proc) if name.isdecimal()]
    if not pids:
        return None
    parents = {pid: _parent(proc, pid) for pid in pids}
    daemon = subject.status["pid"] if subject.status else None
    found = []
    for pid in pids:
        run_id = _run_of(proc, pid, os.path.realpath(subject.home))
        if run_id and not (subject.up and (daemon is None or _is_under(pid, daemon, parents))):
            found.append(Process(pid, run_id, _name(proc, pid)))
    return found


def _run_of(proc: str, pid: int, home: str) -> str:
    try:
        with open(f"{proc}/{pid}/environ", "rb") as file:
            fields = dict(field.partition(b"=")[::2] for field in file.read().split(b"\0"))
    except OSError:
        return ""  # another user's, or gone
    where = os.fsdecode(fields.get(b"TORPOR_HOME", b""))
    return os.fsdecode(fields.get(b"TORPOR_RUN_ID", b"")) if where and os.path.realpath(where) == home else ""


def _parent(proc: str, pid: int) -> int:
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            # The name may hold anything, brackets too: what counts comes after the last one.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _is_under(pid: int, daemon: int, parents: dict[int, int]) -> bool:
    seen: set[int] = set()
    while pid and pid not in seen:
        if pid == daemon:
            return True
        seen.add(pid)
        pid = parents.get(pid, 0)
    return False


def _name(proc: str, pid: int) -> str:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            words = file.read(200).replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone by now"
    return "".join(each if each.isprintable() else "?" for each in words).strip()


def judge_processes(found: list[Process] | None, own: Sequence[Mapping[str, Any]] = ()) -> Row:
    """Tell whose they are; `own`: the children that the daemon knows.

    What a run left behind on purpose goes on by design, and `--fix` ends nothing.
    """
    looked_at = "processes of runs that no daemon is above"
    if found is None:
        return Row("processes", looked_at, "not looked at: this system has no /proc", "note")
    if not found:
        children = "; ".join(f"{each.get('what')}, pid {each.get('pid')}" for each in own[:_SHOWN])
        return Row("processes", looked_at, f"none; the daemon's own: {children}" if children else "none")
    shown = "; ".join(f"pid {each.pid} of run {each.run_id}: {each.name}" for each in found[:_SHOWN])
    mend = f"kill {' '.join(str(each.pid) for each in found)}"
    means = "nobody waits for them; they may hold memory and locks"
    return Row("processes", looked_at, f"{len(found)}: {shown}", "finding", means, mend)


@dataclass(frozen=True, slots=True)
class OldFacts:
    """What in tmp/ is older than a day: nobody writes a file for so long, but a run may go on for days."""

    folder: str
    names: tuple[str, ...]
    size_bytes: int


def look_at_old(subject: Subject) -> OldFacts:
    """Look through tmp/. Folders of runs count only while no daemon is up."""
    folder = subject.path(wire.SPOOL_TMP_NAME)
    names, taken = [], 0
    # A link leads to where the files are not torpor's.
    for name in [] if os.path.islink(folder) else sorted(_names(folder)):
        try:
            found = os.lstat(os.path.join(folder, name))
        except FileNotFoundError:
            continue  # its writer is at it
        is_run = stat.S_ISDIR(found.st_mode) and name.startswith(_RUN_FOLDER) and not subject.up
        if subject.wall_s - found.st_mtime > _DAY_S and (stat.S_ISREG(found.st_mode) or is_run):
            names.append(name)
            taken += found.st_size
    return OldFacts(folder, tuple(names), taken)


def judge_old(facts: OldFacts) -> Row:
    """Drafts of writers that died."""
    looked_at = "tmp/, what is older than a day"
    if not facts.names:
        return Row("leftovers", looked_at, "nothing")
    found = f"{len(facts.names)}, {size(facts.size_bytes)}: {', '.join(facts.names[:_SHOWN])}"
    mend = f"rm -r {' '.join(shlex.quote(os.path.join(facts.folder, name)) for name in facts.names)}"
    return Row("leftovers", looked_at, found, "note", "nobody comes back for it", mend, "would")


def _mend_old(subject: Subject) -> str:
    facts = look_at_old(subject)
    for name in facts.names:
        path = os.path.join(facts.folder, name)
        if not os.path.isdir(path):
            with contextlib.suppress(FileNotFoundError):  # its writer came back for it
                os.unlink(path)
        elif is_down(subject.home):
            shutil.rmtree(path)
    return f"removed {len(facts.names)} from {facts.folder}"


def judge_log(path: str, size_bytes: int) -> Row:
    """Judge the log of a daemon that a client started; a service manager keeps its own."""
    looked_at = "the log of a daemon without a service manager"
    if size_bytes > _MOST_LOG_BYTES:
        found = f"{path}, {size(size_bytes)}"
        return Row("log", looked_at, found, "finding", "it is turned over at a start alone", "torpor restart")
    return Row("log", looked_at, f"{path}, {size(size_bytes)}" if size_bytes else "none, or nothing in it")


def _log(subject: Subject) -> Row:
    path = subject.path(wire.LOG_NAME)
    try:
        return judge_log(path, os.stat(path).st_size)
    except (FileNotFoundError, NotADirectoryError):
        return judge_log(path, 0)


def _processes(subject: Subject) -> Row:
    own = subject.examined["children"] if subject.examined else []
    return judge_processes(look_at_processes(subject), own)


CHECKS = (
    Check("quarantine", lambda subject: judge_cycle(*look_at_cycle(subject))),
    Check("waiting", lambda subject: judge_waiting(look_at_waiting(subject))),
    Check("rejected", lambda subject: judge_rejected(look_at_rejected(subject))),
    Check("processes", _processes),
    Check("leftovers", lambda subject: judge_old(look_at_old(subject)), _mend_old),
    Check("log", _log),
)
