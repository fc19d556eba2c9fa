"""A worker as an operating system sees it: a process in a group of its own that cannot outlive the daemon.

The group's leader is a guardian, a shell that waits for the end of a pipe whose other end, the lifeline, the daemon
alone holds open. However the daemon ends, the kernel closes it, and the guardian kills the group with itself in it.
(A parent-death signal would reach the worker, but none of its children.) What leaves the group by setsid(2), or
becomes another user's, is for the service manager's cgroup.

Nothing is decided here: when a worker ends, and what its end means, is for whoever starts it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from torpord.host import processes
from torpord.host.output_tail import OutputTail
from torpord.host.worker_pipe import LinePipe

# Signals that a program sends to its whole group are not for the guardian.
_GUARDIAN = ("/bin/sh", "-c", 'trap "" TERM INT HUP QUIT USR1 USR2 ALRM; read -r _; kill -KILL 0')
# A killed process is gone in a moment, but for one inside a call that the kernel will not break off (a dead disk).
CLOSE_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker ended (negative: by this signal), and what it and the children it waited for have used.

    The kernel counts the peak from the fork: it is never under what the daemon itself had at that moment.
    """

    returncode: int
    cpu_s: float
    peak_rss_bytes: int


class WorkerProcess:
    """A running worker, its guardian, and all that leads to them. Made by `spawn`; to be closed, whatever happens."""

    def __init__(
        self,
        worker: subprocess.Popen[bytes],
        guardian: subprocess.Popen[bytes],
        lifeline: int,
        pipe: LinePipe,
        output: OutputTail,
    ) -> None:
        self.pid = worker.pid
        self.pgid = guardian.pid
        self._worker = worker
        self._guardian = guardian
        self._lifeline = lifeline
        self._pipe = pipe
        self._output = output
        self._exit: Exit | None = None
        self._closed = False

    @classmethod
    async def spawn(cls, argv: Sequence[str], env: Mapping[str, str], cwd: str = "/") -> Self:
        """Start a worker: `argv` and the number of its end of the pipe, with this environment and no other.

        Raises OSError where it cannot be started now; then nothing of it is left.
        """
        await checkpoint()  # here and not later: a caller that is cancelled starts nothing
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs_alone:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            theirs_alone.callback(theirs.close)
            pipe = LinePipe(ours)
            undo.callback(pipe.close)
            read_end, write_end = os.pipe()
            theirs_alone.callback(os.close, write_end)
            output = OutputTail(read_end)
            undo.callback(output.close)
            guardian, lifeline = _guardian()
            undo.callback(os.close, lifeline)
            undo.callback(_killed, guardian)
            # The child joins the group before it lets go of its copy of the lifeline: the guardian cannot miss it.
            worker = subprocess.Popen(  # noqa: ASYNC220 - back as soon as the program is loaded, in some 2 ms
                [*argv, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=[theirs.fileno()],
                process_group=guardian.pid,
                cwd=cwd,
                env=env,
            )
            undo.pop_all()
        return cls(worker, guardian, lifeline, pipe, output)

    def send(self, data: bytes) -> None:
        """Send whole lines, as `LinePipe.send`."""
        self._pipe.send(data)

    async def receive(self) -> list[bytes]:
        """Return the lines that have come, as `LinePipe.receive`."""
        return await self._pipe.receive()

    def deliver(self, take: Callable[[list[bytes]], None]) -> None:
        """Give lines to `take` as they come, as `LinePipe.deliver`."""
        self._pipe.deliver(take)

    def pause(self) -> None:
        """Read no further, as `LinePipe.pause`."""
        self._pipe.pause()

    def resume(self) -> None:
        """Read on, as `LinePipe.resume`."""
        self._pipe.resume()

    def output_tail(self) -> bytes:
        """Return the last 16 KiB of what it and its children have printed."""
        return self._output.tail()

    async def ended(self) -> Exit:
        """Wait for the worker's own end, and reap it. Its group may live on until `kill` or `close`.

        A guardian that ends meanwhile (something in the group killed it) takes the group with it: nobody else would
        end it after the daemon.
        """
        if self._exit is None:
            async with anyio.create_task_group() as watching:
                watching.start_soon(self._stand_in_for_guardian)
                await processes.child_ended(self.pid)
                watching.cancel_scope.cancel()
        if self._exit is None:  # still: another caller may have been first
            self._exit = _reap(self._worker)
            self._output.drain()
        return self._exit

    def terminate(self) -> None:
        """Ask the worker to end: SIGTERM to itself alone."""
        if self._exit is None:  # until it is reaped the pid is its own
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group, at once: SIGKILL, the guardian included."""
        if not self._closed:  # until the guardian is reaped the group's number is its own
            with contextlib.suppress(
                ProcessLookupError, PermissionError
            ):  # all have ended (macOS says it the second way)
                os.killpg(self.pgid, signal.SIGKILL)

    async def close(self) -> bool:
        """End what is left of the group, reap worker and guardian, and give all descriptors back; also when cancelled.

        Worker and guardian are gone then, their children killed: they end when they next have a processor. Returns
        False where the kernel had not let go of the two after CLOSE_LIMIT_S.
        """
        if self._closed:
            return True
        self.kill()
        with anyio.move_on_after(CLOSE_LIMIT_S, shield=True) as limit:
            await self.ended()
            await processes.child_ended(self.pgid)
        if not self._closed:
            self._closed = True
            if not limit.cancelled_caught:
                _reap(self._guardian)
            self._pipe.close()
            self._output.close()
            os.close(self._lifeline)
        return not limit.cancelled_caught

    async def _stand_in_for_guardian(self) -> None:
        await processes.child_ended(self.pgid)
        self.kill()


def _guardian() -> tuple[subprocess.Popen[bytes], int]:
    """Start a guardian as the leader of a new group; returns it and the lifeline."""
    read_end, lifeline = os.pipe()
    try:
        null = subprocess.DEVNULL
        guardian = subprocess.Popen(
            _GUARDIAN, stdin=read_end, stdout=null, stderr=null, process_group=0, cwd="/", env={}
        )
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(read_end)
    return guardian, lifeline


def _killed(guardian: subprocess.Popen[bytes]) -> None:
    guardian.kill()
    guardian.wait()


def _reap(child: subprocess.Popen[bytes]) -> Exit:
    """Take the status of a child that has ended: wait4(2), which tells the use of this very one."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # or Popen would look for it, and warn
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes elsewhere
    return Exit(child.returncode, round(usage.ru_utime + usage.ru_stime, 6), usage.ru_maxrss * unit)
