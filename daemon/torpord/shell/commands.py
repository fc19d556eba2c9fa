"""A command of somebody's, run to its end: in a session of its own, with a limit, told something on standard input.

While it runs it cannot outlive the daemon. In its group is a guardian, as a worker has one (`host/worker_process.py`):
a shell that waits for the end of a pipe whose other end, the lifeline, the daemon alone holds open. However the daemon
ends, the kernel closes it, and the guardian kills the group. When the command has ended by itself, the guardian is told
so and goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path

import anyio
from anyio.abc import Process

KEPT_OUTPUT_BYTES = 2048
LAST_WORDS_S = 0.5

# Starts the guardian and becomes the command, so its number is the command's from the first moment on. The lifeline
# comes as standard error (a shell need not know descriptors of two digits), which the command gets as its output. The
# guardian is nobody's child here: a command may wait for all of its own. What is sent to the whole group is not for it.
_WITH_GUARDIAN = (
    "/bin/sh",
    "-c",
    '( (trap "" TERM INT HUP QUIT USR1 USR2 ALRM; read -r _ || kill -KILL 0) <&2 >/dev/null 2>&1 & ); exec "$@" 2>&1',
    "sh",
)
_ALL_IS_WELL = b"\n"


async def run_command(
    command: str | Sequence[str], told: bytes, env: Mapping[str, str], limit_s: float, *, reap_group: bool
) -> str:
    """Run a command (a text for the shell, or arguments) in this environment, and return its problem; "" for none.

    `reap_group`: what it leaves behind is ended with it, and what it said is part of its problem. Without: what it
    leaves behind is what it was run for, and goes on. That one has no pipe of ours, as its first word after our end
    would kill it; so what it says is heard by nobody. Out of time, or cancelled, both are ended with all they started.
    """
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    try:
        process, ear, lifeline = await _started(argv, env, reap_group=reap_group)
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        return f"it cannot be started: {getattr(error, 'strerror', None) or error}"
    output = bytearray()
    try:
        with anyio.move_on_after(limit_s) as limit:
            await _until_ended(process, ear, told, output)
    finally:
        ear.close()
        if reap_group or process.returncode is None:
            # The whole group: what a hook left behind would go on without anybody who knows of it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):  # the guardian ended with the group
            os.write(lifeline, _ALL_IS_WELL)
        os.close(lifeline)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    if limit.cancelled_caught:
        return f"it took over {limit_s:g} s and was ended"
    if process.returncode:
        said = output.decode(errors="replace").strip()
        return f"exit status {process.returncode}" + (f": {said}" if said else "")
    return ""


async def _started(argv: Sequence[str], env: Mapping[str, str], *, reap_group: bool) -> tuple[Process, FileIO, int]:
    """Start it; returns it with our end of its standard input, and the lifeline. Raises OSError, ValueError."""
    program = _found(argv, env)
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs_alone:
        # A pipe of ours and not the loop's: that would stay open for ever where nobody reads what is left in it.
        theirs, number = os.pipe()
        theirs_alone.callback(os.close, theirs)
        ours = undo.enter_context(FileIO(number, "wb"))
        os.set_blocking(number, False)
        guarded_by, lifeline = os.pipe()
        theirs_alone.callback(os.close, guarded_by)
        undo.callback(os.close, lifeline)
        process = await anyio.open_process(
            [*_WITH_GUARDIAN, program, *argv[1:]],
            stdin=theirs,
            stdout=subprocess.PIPE if reap_group else subprocess.DEVNULL,
            stderr=guarded_by,
            cwd="/",
            env=env,
            start_new_session=True,
        )
        undo.pop_all()
    return process, ours, lifeline


def _found(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return where the program of a command is. Raises OSError: the shell would say it with a number, to nobody."""
    name = argv[0] if argv else ""
    places = ["/"] if "/" in name else os.get_exec_path(env)
    files = [str(Path("/", place, name)) for place in places if name]
    # Of os.path, as Path.is_file raises where a folder may not be entered: the next one may have it.
    files = [file for file in files if os.path.isfile(file)]  # noqa: PTH113
    for file in files:
        if os.access(file, os.X_OK):
            return file
    number = errno.EACCES if files else errno.ENOENT
    raise OSError(number, os.strerror(number))


async def _until_ended(process: Process, ear: FileIO, told: bytes, output: bytearray) -> None:
    heard, said_all = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as talk:
        talk.start_soon(_tell, ear, told, heard)
        talk.start_soon(_read, process, output, said_all)
        await process.wait()
        # What it left behind may keep either end open for ever: a moment for what it said itself, and to be told.
        with anyio.move_on_after(LAST_WORDS_S):
            await heard.wait()
            await said_all.wait()
        talk.cancel_scope.cancel()


async def _tell(ear: FileIO, text: bytes, heard: anyio.Event) -> None:
    with contextlib.suppress(BrokenPipeError):  # it need not listen
        while text:
            await anyio.wait_writable(ear)
            text = text[ear.write(text) or 0 :]
    ear.close()
    heard.set()


async def _read(process: Process, output: bytearray, said_all: anyio.Event) -> None:
    if process.stdout is not None:
        async for chunk in process.stdout:
            output += chunk
            del output[:-KEPT_OUTPUT_BYTES]
    said_all.set()
