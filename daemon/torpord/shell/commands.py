"""A command of somebody's, run to its end: in a session of its own, with a limit, told something on standard input."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from io import FileIO

import anyio
from anyio.abc import Process

KEPT_OUTPUT_BYTES = 2048
LAST_WORDS_S = 0.5


async def run_command(
    command: str | Sequence[str], told: bytes, env: Mapping[str, str], limit_s: float, *, reap_group: bool
) -> str:
    """Run a command (a text for the shell, or arguments) in this environment, and return its problem; "" for none.

    `reap_group`: what it leaves behind is ended with it, and what it said is part of its problem. Without: what it
    leaves behind is what it was run for, and goes on. That one has no pipe of ours, as its first word after our end
    would kill it; so what it says is heard by nobody. Out of time, or cancelled, both are ended with all they started.
    """
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    if not argv:
        return "it cannot be started: it names no program"
    try:
        process, ear = await _started(argv, env, reap_group=reap_group)
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
        with anyio.CancelScope(shield=True):
            await process.aclose()
    if limit.cancelled_caught:
        return f"it took over {limit_s:g} s and was ended"
    if process.returncode:
        said = output.decode(errors="replace").strip()
        return f"exit status {process.returncode}" + (f": {said}" if said else "")
    return ""


async def _started(argv: Sequence[str], env: Mapping[str, str], *, reap_group: bool) -> tuple[Process, FileIO]:
    """Start it; returns it with our end of its standard input. Raises OSError, ValueError."""
    # A pipe of ours and not the loop's: that would stay open for ever where nobody reads what is left in it.
    theirs, number = os.pipe()
    ours = FileIO(number, "wb")
    try:
        os.set_blocking(number, False)
        process = await anyio.open_process(
            argv,
            stdin=theirs,
            stdout=subprocess.PIPE if reap_group else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=env,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(theirs)
    return process, ours


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
