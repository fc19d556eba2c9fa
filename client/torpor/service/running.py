"""The one place from which programs of the service manager are started."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NO_SUCH_PROGRAM = 127
_NO_END = 124  # as timeout(1) has it


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended: its exit status, and what it said."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said about a failure, in one line."""
        return " ".join((self.err or self.out).split()) or f"exit status {self.status}"


def run(argv: Sequence[str], environ: Mapping[str, str], limit_s: float = 15.0) -> Ran:
    """Run a program in `/` and wait for its end. One that is not there is 127, one that does not end is killed: 124."""
    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except (FileNotFoundError, PermissionError) as error:
        return Ran(_NO_SUCH_PROGRAM, "", f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Ran(_NO_END, "", f"{argv[0]} did not end within {limit_s:g} s")
    return Ran(done.returncode, done.stdout, done.stderr)
