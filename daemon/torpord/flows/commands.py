"""A flow made of commands, from the settings: the same thing as one in Python, underneath."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from torpord.core.limits import MAX_DATA_BYTES
from torpord.flows.api import Flow, State
from torpord.flows.outcomes import Complete, Failed, Parallel, Retry
from torpord.flows.run import Run
from torpord.flows.subprocesses import Command, Ended

# sysexits(3): EX_TEMPFAIL, "try again later". Later is this, as nobody says when.
TEMPORARY = 75
RETRY_AFTER_S = 30.0
# A command by which people know it again, in one line.
_SHOWN_CHARS = 80
# An error's message is kept to 2,000 characters, from its begin; all of the output is the daemon's to keep.
_TOLD_CHARS = 1500
_LINE_CHARS = 300

Outcome = str | Complete | Failed | Retry | Parallel


def build(spec: Mapping[str, Any]) -> Flow:
    """Return the flow of `spec["steps"]`, each a command or a parallel. It is not checked yet."""
    flow = Flow(spec["name"])
    steps = spec["steps"]
    for index, step in enumerate(steps):
        behind = steps[index + 1]["name"] if index + 1 < len(steps) else None
        follows = step.get("next") or behind
        retries, timeout_s, first = step.get("retries") or 0, step.get("timeout_s"), index == 0
        work: _Fork | _Step
        if step.get("parallel") is not None:
            fork = Parallel(tuple(step["parallel"]), step["join"])
            work, leads = _Fork(fork), (fork,)
        else:
            work, leads = _Step(step, follows), (follows or Complete,)  # type: ignore[assignment]
        flow.add(State(step["name"], work, work, True, first, retries, timeout_s, leads))  # noqa: FBT003 - is_async
    return flow


class _Fork:
    """A step that only begins branches."""

    def __init__(self, parallel: Parallel) -> None:
        self._parallel = parallel
        self.__doc__ = ""

    async def __call__(self, _run: Run) -> Parallel:
        return self._parallel


class _Step:
    """A step that is a command: exit 0 goes on, 75 tries again later, anything else has failed."""

    def __init__(self, step: Mapping[str, Any], follows: str | None) -> None:
        command = step["command"]
        self._argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        self._shown = _in_one_line(command if isinstance(command, str) else shlex.join(command))
        self._cwd, self._env = step.get("cwd"), step.get("env") or {}
        self._outcome = follows or Complete()
        self.__doc__ = self._shown

    async def __call__(self, run: Run) -> Outcome:
        files = _Files(run)
        try:
            files.write(run.data)
            marks = {"TORPOR_RUN_ID": run.run_id, "TORPOR_STEP": run.state, "TORPOR_KEY": run.key}
            env = {**self._env, "TORPOR_ATTEMPT": str(run.attempt), **files.env}
            try:
                ended = await Command(self._argv, self._cwd or str(run.work_dir), env, marks).run()
            except (OSError, ValueError) as error:
                return self._failed(f"it cannot be started: {self._unstartable(error)}")
            return self._outcome_of(run, ended, files)
        finally:
            files.remove()

    def _unstartable(self, error: OSError | ValueError) -> str:
        if isinstance(error, OSError) and error.filename is not None and str(error.filename) == self._cwd:
            return f"its cwd {self._cwd}: {error.strerror}"
        return f"{self._argv[0]!r}: {error.strerror if isinstance(error, OSError) else error}"

    def _outcome_of(self, run: Run, ended: Ended, files: _Files) -> Outcome:
        if ended.status == TEMPORARY:
            # A Retry has no text. Its output is where whoever wonders looks.
            print(f"{run.state}: exit status {TEMPORARY}: again in {RETRY_AFTER_S:g} s")  # noqa: T201 - likewise
            return Retry(after=RETRY_AFTER_S)
        if ended.status:
            how = f"exit status {ended.status}" if ended.status > 0 else f"ended by {_signal_name(-ended.status)}"
            return self._failed(how + _told(ended.tail))
        try:
            run.data.update(files.read())
        except ValueError as error:
            return self._failed(str(error))
        return self._outcome

    def _failed(self, why: str) -> Failed:
        return Failed(f"{why}\ncommand: {self._shown}")


class _Files:
    """The files by which a command is told the data, and tells what to add to it."""

    def __init__(self, run: Run) -> None:
        name = run.key[:32]
        self._data = Path(run.work_dir, f"{name}.data.json")
        self._output = Path(run.work_dir, f"{name}.output.json")
        self.env = {"TORPOR_DATA": str(self._data), "TORPOR_OUTPUT": str(self._output)}

    def write(self, data: Mapping[str, Any]) -> None:
        self.remove()  # what an attempt that was killed left
        self._data.touch(mode=0o600)
        self._data.write_bytes(orjson.dumps(data))

    def remove(self) -> None:
        for path in (self._data, self._output):
            try:
                path.unlink(missing_ok=True)
            except (IsADirectoryError, PermissionError):  # a folder, as Linux and as macOS say it
                shutil.rmtree(path)

    def read(self) -> dict[str, Any]:
        """Return what the command wrote; {} if nothing. Raises ValueError for what is not an object of JSON."""
        try:
            # Not blocking: it may have made a pipe of it.
            fd = os.open(self._output, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ValueError(f"its TORPOR_OUTPUT cannot be read: {error.strerror}") from error
        try:
            text = _text_of(fd)
        finally:
            os.close(fd)
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"its TORPOR_OUTPUT is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ValueError(f"its TORPOR_OUTPUT is not a JSON object but a {type(value).__name__}")  # noqa: TRY004 - of its text
        return value


def _text_of(fd: int) -> bytes:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("its TORPOR_OUTPUT is not a plain file")
    if found.st_size > MAX_DATA_BYTES:
        raise ValueError(
            f"its TORPOR_OUTPUT has {found.st_size} bytes, over the limit of {MAX_DATA_BYTES}:"
            " write it to a file of your own and give its path"
        )
    with open(fd, "rb", closefd=False) as file:
        return file.read(MAX_DATA_BYTES)


def _in_one_line(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"


def _told(tail: str) -> str:
    """Say how the output ended: the last line first, for it tells most and lists show one line; then what led to it."""
    said, _, last = tail[-_TOLD_CHARS:].rpartition("\n")
    if not last:
        return ""
    before = f"\nits output ended:\n{said}\n{last}" if said else ""
    return f": {last[-_LINE_CHARS:].strip()}{before}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
