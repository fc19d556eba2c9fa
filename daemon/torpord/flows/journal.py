"""Where the engine writes what happens: the daemon's store at the other end of a pipe, or a list in memory.

The engine decides what a step did, the journal's other side what is done about it: whether it is taken, what comes
next, whether a failure is tried again. Messages and answers are those of the pipe (`flows/pipe.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

Message = dict[str, Any]


class Journal(Protocol):
    """One run's journal."""

    def ask(self, message: Message, answered: Callable[[Message], None]) -> None:
        """Write down `message`; `answered` is called with the answer: it is durable (`ack`), a `value`, or `no`."""

    def tell(self, message: Message) -> None:
        """Pass on what need not be durable."""


async def answer(journal: Journal, message: Message) -> Message:
    """Ask, and wait for the answer."""
    future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def answered(reply: Message) -> None:
        if not future.done():  # whoever asked may have been cancelled meanwhile
            future.set_result(reply)

    journal.ask(message, answered)
    return await future
