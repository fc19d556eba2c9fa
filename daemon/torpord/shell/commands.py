"""A command of somebody's, run to its end: in a session of its own, with a limit, told something on standard input."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

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
        process = await anyio.open_process(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if reap_group else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        return f"it cannot be started: {getattr(error, 'strerror', None) or error}"
    output = bytearray()
    try:
        with anyio.move_on_after(limit_s) as limit:
            await _until_ended(process, told, output)
    finally:
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


async def _until_ended(process: Process, told: bytes, output: bytearray) -> None:
    heard, said_all = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as talk:
        talk.start_soon(_tell, process, told, heard)
        talk.start_soon(_read, process, output, said_all)
        await process.wait()
        # What it left behind may keep either end open for ever: a moment for what it said itself, and to be told.
        with anyio.move_on_after(LAST_WORDS_S):
            await heard.wait()
            await said_all.wait()
        talk.cancel_scope.cancel()


async def _tell(process: Process, text: bytes, heard: anyio.Event) -> None:
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    with contextlib.suppress(anyio.BrokenResourceError, ConnectionError):  # it need not read
        await process.stdin.send(text)
    await process.stdin.aclose()
    heard.set()


async def _read(process: Process, output: bytearray, said_all: anyio.Event) -> None:
    if process.stdout is not None:
        async for chunk in process.stdout:
            output += chunk
            del output[:-KEPT_OUTPUT_BYTES]
    said_all.set()
