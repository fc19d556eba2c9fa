"""A daemon that goes down while doctor looks: it has gone in peace, and is no finding."""

from __future__ import annotations

import fcntl
import json
import pathlib
import subprocess
import sys
from dataclasses import dataclass
from typing import cast

from torpor.doctor import answering
from torpor.doctor.subject import Subject


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first look found: a daemon that is up."""

    home: str
    up: bool = True
    known: None = None
    status: None = None


def test_who_let_go_between_two_looks_is_no_stranger(tmp_path: pathlib.Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    with (tmp_path / "torpor.lock").open("w") as lock:
        json.dump({"pid": ended.pid}, lock)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        subject = cast("Subject", Seen(str(tmp_path)))
        row = answering.judge_lock(answering.look_at_lock(subject))
        assert (row.severity, row.found) == ("finding", f"held by pid {ended.pid}, which is gone")
        fcntl.flock(lock, fcntl.LOCK_UN)
        row = answering.judge_lock(answering.look_at_lock(subject))
        assert (row.severity, row.found) == ("ok", f"free; pid {ended.pid} held it last")
