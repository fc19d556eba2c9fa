"""The hooks of the settings: commands that run after a transition is durable, one after the other, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import anyio
import orjson

from torpord.config import Command
from torpord.core.effects import RunHook
from torpord.core.events import HookProblem
from torpord.shell.surroundings import environment
from torpord.writer import Writer

LIMIT_S = 30.0
# The exit waits for on_hibernate, and a client may be waiting for the exit.
LAST_LIMIT_S = 10.0


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
        try:
            from torpord.shell.commands import run_command  # noqa: PLC0415 - a daemon without hooks does without
        except (ImportError, OSError) as error:  # no descriptor is left to read it with, say
            return f"it cannot be started: {error}"
        limit_s = LAST_LIMIT_S if effect.hook == "on_hibernate" else LIMIT_S
        told = orjson.dumps(effect.transition) + b"\n"
        return await run_command(command, told, environment(self._extra), limit_s, reap_group=True)
