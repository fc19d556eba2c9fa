"""Starts that died, and safe mode, which a daemon serves behind five of them or with what it cannot read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from torpor import presence, wire
from torpor.client import Client
from torpor.deadline import Deadline
from torpor.doctor.rows import Check, Row
from torpor.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torpor.doctor.subject import Subject

NAME = "starts.json"  # written by the daemon (`torpord.shell.starts`)
_MOST_BYTES = 1024 * 1024
_WORTH_A_WORD = 2
_OF_A_VERSION = 3
_UNTIL_SAFE_MODE = 5
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class StartsFacts:
    """The starts that died without a word since the last one that lived, the last of them behind; `good` is that one.

    `unreadable`: why the file says nothing. `up`: it is the daemon's to write now. `here`: this version.
    """

    dead: tuple[Mapping[str, Any], ...] = ()
    good: Mapping[str, Any] | None = None
    unreadable: str = ""
    up: bool = False
    here: str = ""


def look_at_starts(subject: Subject) -> StartsFacts:
    """Read the file; the start of a daemon that is up is no death."""
    try:
        body = json.loads(presence.noted(subject.path(NAME), _MOST_BYTES))
        mine = subject.status["pid"] if subject.status else None
        starts = [each for each in body["starts"] if each["end"] is None and each["pid"] != mine]
        dead = [each for each in starts if each.get("version") == starts[-1].get("version")]
        good = body["good"] if isinstance(body["good"], dict) else None
        return StartsFacts(tuple(dead), good, "", subject.up, subject.installed.version)
    except (FileNotFoundError, NotADirectoryError):
        return StartsFacts(up=subject.up)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return StartsFacts(unreadable=repr(error), up=subject.up)


def judge_starts(facts: StartsFacts) -> Row:
    """Name what most of them were about to do, and a version of which none lived behind one that did."""
    looked_at, count = f"{NAME}: starts that died before they answered", len(facts.dead)
    if facts.unreadable:
        means = "the daemon counts from now on"
        return Row("starts", looked_at, f"the file cannot be read: {facts.unreadable}", "note", means)
    if not count:
        return Row("starts", looked_at, "none")
    version = str(facts.dead[-1].get("version"))
    named = _suspect(facts.dead)
    suspect = f" (suspect: {named})" if named else ""
    found = f"torpor {version} died {count} times in a row before it answered{suspect}"
    if count < _WORTH_A_WORD:
        return Row("starts", looked_at, found, "note", "once may be anybody's doing")
    left = _UNTIL_SAFE_MODE - count
    means = "the next start serves safe mode" if left <= 0 else f"{left} more, and the next start serves safe mode"
    mend, good = None, facts.good
    if good is not None and good.get("version") == facts.here != version:
        means = f"{facts.here}, which ran well before that, is here again: its next start is a first one"
        return Row("starts", looked_at, found, "note", means, None if facts.up else "torpor start")
    if good is not None and good.get("version") != version and count >= _OF_A_VERSION:
        found += f"; {good.get('version')} ran well until {_shown(good.get('ts'))}"
        mend = way_back(str(good.get("version")), str(good.get("interpreter")))
    # A daemon that is up has the word, and clears them by living.
    return Row("starts", looked_at, found, "finding", means, mend, None if facts.up else "would")


def _suspect(dead: Sequence[Mapping[str, Any]]) -> str:
    """Return what most of them were about to do: of several, what the last of those was."""
    suspects = [str(each["suspect"]) for each in dead if each.get("suspect")]
    return max(reversed(suspects), key=Counter(suspects).__getitem__) if suspects else ""


def _shown(ts: object) -> str:
    if not isinstance(ts, int | float):
        return "an unknown time"
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="seconds")


def way_back(version: str, interpreter: str) -> str:
    """Return the command that installs a version where `interpreter` lies, as the daemon says it."""
    package = shlex.quote(f"torpor=={version}")
    if "/pipx/" in interpreter:
        return f"pipx install --force {package}"
    if "/uv/tools/" in interpreter:
        return f"uv tool install --force {package}"
    return f"{shlex.quote(interpreter)} -m pip install {package}"


def _forget_starts(subject: Subject) -> str:
    """Let the next start begin anew. The lock is tried, as the file is a daemon's while one is up."""
    lock = os.open(subject.path(wire.LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        facts = look_at_starts(subject)
        draft = subject.path(os.path.join(wire.SPOOL_TMP_NAME, f"{NAME}.doctor"))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # what is left there may be another file by a second name
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump({"schema_version": 1, "good": facts.good, "starts": []}, file)
        os.replace(draft, subject.path(NAME))
    finally:
        os.close(lock)
    aside = _put_aside(subject, _suspect(facts.dead)) if len(facts.dead) >= _UNTIL_SAFE_MODE else ""
    return f"{aside}forgot {len(facts.dead)} starts, the next one is a first one"


def _file_of(subject: Subject, suspect: object) -> str:
    """Return the name of the event that starts died over, where it still lies there; "" where it is no such thing."""
    folder, _, name = str(suspect or "").partition("/")
    ours = folder == wire.SPOOL_NAME and name not in ("", ".", "..") and "/" not in name
    return name if ours and os.path.lexists(subject.path(os.path.join(folder, name))) else ""


def _put_aside(subject: Subject, suspect: object) -> str:
    """Move the event that starts died over to where those lie that cannot be taken; nothing is deleted. Says so."""
    name = _file_of(subject, suspect)
    if not name:
        return ""
    rejected = subject.path(wire.REJECTED_NAME)
    os.makedirs(rejected, 0o700, exist_ok=True)
    number, kept = 1, os.path.join(rejected, name)
    while os.path.lexists(kept):
        number, kept = number + 1, os.path.join(rejected, f"{name}.{number}")
    with open(os.open(f"{kept}.why", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as why:
        why.write("starts died over it, one after the other; put aside by torpor doctor --fix\n")
    os.rename(subject.path(os.path.join(wire.SPOOL_NAME, name)), kept)
    return f"put {name} aside in {rejected}, "


def judge_safe_mode(safe_mode: object, *, up: bool, poison: str = "", home: str = "") -> Row:
    """Tell the daemon's own reason; what mends that is said there. `poison`: the event that starts died over."""
    looked_at = "whether the daemon serves safe mode"
    if not isinstance(safe_mode, dict):
        return Row("safe_mode", looked_at, "not in safe mode" if up else "no daemon is up")
    reason, suspect = str(safe_mode.get("reason")), safe_mode.get("suspect")
    more = f" (suspect: {suspect})" if suspect and str(suspect) not in reason else ""
    found = f"since {safe_mode.get('since_ts')}: {reason}{more}"
    means = "no event, run or sleep cycle is served, until what is wrong is mended"
    mend = "torpor reload"
    if poison:
        folders = (os.path.join(home, wire.SPOOL_NAME, poison), os.path.join(home, wire.REJECTED_NAME, ""))
        mend = f"mv {' '.join(map(shlex.quote, folders))} && {mend}"
    return Row("safe_mode", looked_at, found, "serious", means, mend, "would")


def _leave_safe_mode(subject: Subject) -> str:
    """Have it try the next start; it refuses while what it cannot read is as it was.

    Where that was mended a moment ago it goes by itself, and there may be nobody to be told.
    """
    before = subject.status["started_ts"] if subject.status else None
    aside = _put_aside(subject, _safely_said(subject).get("suspect"))
    deadline = Deadline(subject.ask_s)
    if _started_ts(subject) == before:
        with contextlib.suppress(Unreachable), Client(subject.home, timeout=subject.ask_s) as client:
            client.reload()
    while _started_ts(subject) in (None, before):
        deadline.sleep(_LOOK_EVERY_S)
    return f"{aside}had it start anew"


def _started_ts(subject: Subject) -> str | None:
    """Return when the daemon that answers was started; None while one start becomes the next."""
    try:
        with Client(subject.home, timeout=subject.ask_s) as client:
            return client.status()["started_ts"]
    except Unreachable:
        return None


def _safe_mode(subject: Subject) -> Row:
    said = _safely_said(subject)
    return judge_safe_mode(
        said or None, up=subject.up, poison=_file_of(subject, said.get("suspect")), home=subject.home
    )


def _safely_said(subject: Subject) -> Mapping[str, Any]:
    """Return what the daemon says of its safe mode; empty where it is in none."""
    status: Mapping[str, Any] = {**subject.status} if subject.status else {}
    said = status.get("safe_mode")
    return said if isinstance(said, dict) else {}


CHECKS = (
    Check("starts", lambda subject: judge_starts(look_at_starts(subject)), _forget_starts),
    Check("safe_mode", _safe_mode, _leave_safe_mode, is_alone=False),
)
