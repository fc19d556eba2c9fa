"""The hooks of the settings: commands that run after a transition is durable, one after the other, in their order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping

import anyio
import orjson
from anyio.abc import Process

from torpord.config import Command
from torpord.core.effects import RunHook
from torpord.core.events import HookProblem
from torpord.writer import Writer

LIMIT_S = 30.0
# The exit waits for on_hibernate, and a client may be waiting for the exit.
LAST_LIMIT_S = 10.0
KEPT_OUTPUT_BYTES = 2048
LAST_OUTPUT_S = 0.5


class Hooks:
    """Runs them. A hook that fails or takes too long is recorded, and stops nothing."""

    def __init__(self, commands: Callable[[], Mapping[str, tuple[Command, ...]]], extra: Mapping[str, str]) -> None:
        self._commands = commands
        self._extra = extra
        self._queue: deque[RunHook] = deque()
        self._news = anyio.Event()
        self._idle = anyio.Event()
        self._idle.set()
        self.writer: Writer | None = None

    def want(self, effect: RunHook) -> None:
        """Put a hook in line; one that is not in the settings is nobody's."""
        if self._commands().get(effect.hook):
            self._queue.append(effect)
            self._idle = anyio.Event() if self._idle.is_set() else self._idle
            self._news.set()

    async def settle(self) -> None:
        """Wait until every hook that was asked for has ended."""
        await self._idle.wait()

    async def run(self) -> None:
        """Run what is in line, until cancelled."""
        while True:
            while self._queue:
                effect = self._queue.popleft()
                for command in self._commands().get(effect.hook, ()):
                    await self._run(effect, command)
            self._idle.set()
            self._news = anyio.Event()
            await self._news.wait()

    async def _run(self, effect: RunHook, command: Command) -> None:
        shown = command if isinstance(command, str) else " ".join(command)
        problem = await self._problem(effect, command)
        if problem and self.writer is not None:
            cause = {"source": "hook", "name": effect.hook}
            self.writer.owe(HookProblem(cause, effect.hook, shown[:1024], problem))

    async def _problem(self, effect: RunHook, command: Command) -> str:
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        limit_s = LAST_LIMIT_S if effect.hook == "on_hibernate" else LIMIT_S
        try:
            process = await anyio.open_process(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, **self._extra},
                start_new_session=True,
            )
        except OSError as error:
            return f"it cannot be started: {error.strerror}"
        output, said_all = bytearray(), anyio.Event()
        try:
            with anyio.move_on_after(limit_s) as limit:
                async with anyio.create_task_group() as reading:
                    reading.start_soon(_read, process, output, said_all)
                    await _tell(process, orjson.dumps(effect.transition) + b"\n")
                    await process.wait()
                    # What it left behind may keep its output open for ever: a moment for what it said itself.
                    with anyio.move_on_after(LAST_OUTPUT_S):
                        await said_all.wait()
                    reading.cancel_scope.cancel()
        finally:
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


async def _tell(process: Process, text: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    with contextlib.suppress(anyio.BrokenResourceError, ConnectionError):  # it need not read
        await process.stdin.send(text)
    await process.stdin.aclose()


async def _read(process: Process, output: bytearray, said_all: anyio.Event) -> None:
    assert process.stdout is not None  # noqa: S101 - likewise
    async for chunk in process.stdout:
        output += chunk
        del output[:-KEPT_OUTPUT_BYTES]
    said_all.set()
