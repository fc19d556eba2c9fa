"""The named points of the code where everything may end: what comes before is durable, what comes after is not.

A point does nothing. The tests start a daemon with `hook` set, and make it die, fail or wait at each of them; the names
are the ones `daemon/ARCHITECTURE.md` uses when it says what is true at that point.
"""

from __future__ import annotations

from collections.abc import Callable

# name: what has happened when it is reached
POINTS = {
    "writer.taken": "a batch was taken from the inbox; nothing is decided",
    "writer.decided": "the batch is decided; nothing is written",
    "store.begun": "the transaction is open; nothing is written",
    "store.written": "all is written; nothing is committed",
    "store.committed": "the batch is durable; nobody knows",
    "writer.released": "the replies are on their way; no effect has begun",
    "worker.begun": "a step is begun, and that is durable; its code has not run",
    "worker.returned": "a step's code has returned; nobody was told",
    "worker.acknowledged": "a step's end is durable; its worker has just heard",
    "call.intended": "a call's intent is durable; it is not made",
    "call.made": "a call is made; its outcome was told to nobody",
    "call.recorded": "a call's outcome is durable; the step has not got it",
    "spool.applied": "a file's effect is durable; the file is still there",
    "exit.decided": "HIBERNATION is durable; wake files and the backlog are not looked at",
    "exit.looked": "there was no work; the socket's path is still there",
    "exit.unlinked": "the point of no return: the path is gone, or accepting has ended",
    "exit.refused": "who came too late has been told so",
    "exit.drained": "every connection is answered and closed",
    "exit.recorded": "the end is in the ledger; the state file is not written",
    "exit.told": "the state file is written; the lock is still held",
}

hook: Callable[[str], None] | None = None


def reached(name: str) -> None:
    """Pass a named point."""
    if hook is not None:
        hook(name)
