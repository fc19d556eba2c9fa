"""A shell in a real terminal: tmux, with the test at the keyboard and before the screen."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHELL = "bash"
# Two screens that are equal this often in a row are a screen on which nothing moves any more.
_STILL = 5
# The pid of a job in the background.
_PID = re.compile(r"^(\[\d+\]) \d+$", re.MULTILINE)


def need_tmux() -> None:
    """Skip the test where there is no tmux, or no shell with jobs to run in it."""
    for program in ("tmux", SHELL, "less"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: .ci/run installs it")


class Pane:
    """A shell of 80 by 24 characters. `begin`: lines it runs first, with nothing to be seen of them."""

    def __init__(self, folder: pathlib.Path, environ: Mapping[str, str], begin: str) -> None:
        self._socket = folder / "tmux"
        settings, first = folder / "tmux.conf", folder / "rc"
        settings.write_text("set -g status off\nset -g default-terminal screen\nset -g escape-time 0\n")
        first.write_text(f"PS1='$ '\nunset PROMPT_COMMAND HISTFILE\nulimit -c 0\n{begin}\n")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TMUX", "TORPOR", "LESS"))}
        subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", str(settings), "new-session", "-d", "-x", "80", "-y", "24",
             SHELL, "--noprofile", "--rcfile", str(first), "-i"],
            env={**clean, **environ}, check=True, timeout=20, cwd=folder,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it, what is stopped or in the background as well: none of it is to speak after the test."""
        session = int(self._tmux("display-message", "-p", "#{pane_pid}"))
        self._tmux("kill-server")
        until(lambda: not _killed(session), what="the end of the shell and its jobs")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout

    def press(self, keys: str) -> None:
        """Press keys, by tmux's names for them, parted by blanks."""
        self._tmux("send-keys", *keys.split())

    def type(self, line: str) -> None:
        """Type a line."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def resize(self, columns: int, rows: int) -> None:
        """Make the window another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """Return what is to be seen, but for pids, and the cursor's place."""
        seen = _PID.sub(r"\1", self._tmux("capture-pane", "-p").rstrip())
        return f"{seen}\n@{self._tmux('display-message', '-p', '#{cursor_x},#{cursor_y}').strip()}"

    def settled(self, words: Sequence[str], before: str = "") -> str:
        """Return the screen once `words` are on it in their order, it is another than before, and nothing moves."""
        seen = [""] * _STILL
        awaited = re.compile(".*".join(map(re.escape, words)), re.DOTALL)

        def still() -> str:
            seen[:] = [*seen[1:], self.screen()]
            return seen[0] if awaited.search(seen[0]) and {seen[0]} == set(seen) - {before} else ""

        return until(still, what=f"a screen with {words!r}, not\n{self.screen()}")


def _killed(session: int) -> int:
    """Kill what is in the session, and return how many there were."""
    count = 0
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):  # it has ended meanwhile
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                os.kill(pid, signal.SIGKILL)
                count += 1
    return count
