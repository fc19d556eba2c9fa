from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from torpord.host import processes
from torpord.host.clock import SystemClock
from torpord.host.resources import usage
from torpord.shell import starting
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@contextlib.contextmanager
def child(*before: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a shell that has done `before` and waits."""
    script = "; ".join([*before, "printf up", "read _"])
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.read(2) == b"up"
            yield process
        finally:
            process.kill()


def test_one_process_has_one_identity_while_it_lives() -> None:
    with child() as process:
        first = processes.identify(process.pid)
        assert first is not None
        assert first == processes.identify(process.pid)
        assert processes.is_alive(first)
        assert processes.program(process.pid) in ("sh", "dash", "bash")
        process.kill()
        until(lambda: not processes.is_alive(first), what="a zombie counts as ended")
        process.wait()
        assert processes.identify(process.pid) is None
        assert processes.program(process.pid) == ""


def test_when_a_process_began_is_told_by_the_wall_clock() -> None:
    clock = SystemClock()
    before_s = clock.now().wall_s
    with child() as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        now = clock.now()
        assert before_s - 0.1 <= processes.began_wall_s(identity, now) <= now.wall_s + 0.1


def test_a_pid_given_to_another_is_not_the_same_process() -> None:
    mine = processes.identify(os.getpid())
    assert mine is not None
    assert not processes.is_alive(processes.ProcessIdentity(mine.pid, mine.start + "0"))


@linux
@pytest.mark.parametrize("name", ["a) Z 1 (", "Z", ") ) ) )", "x\ny"])
def test_a_name_with_brackets_says_nothing_about_the_state(name: str) -> None:
    with child(f"printf '{name}' > /proc/$$/comm") as process:
        plain = processes.identify(process.pid)
        assert plain is not None
        assert plain.start.isdecimal()
        assert processes.is_alive(plain)


@pytest.mark.asyncio
async def test_the_end_of_a_killed_child_is_told() -> None:
    with child() as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                tasks.start_soon(processes.ended, identity)
                await anyio.wait_all_tasks_blocked()
                process.kill()
        await processes.ended(identity)  # and at once where it has happened, before and after its parent looked
        process.wait()
        await processes.ended(identity)


@pytest.mark.asyncio
async def test_a_successor_with_the_same_pid_is_not_waited_for() -> None:
    with child() as process, anyio.fail_after(5):
        await processes.ended(processes.ProcessIdentity(process.pid, "1"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


@linux
@pytest.mark.asyncio
async def test_however_many_wait_for_one_process_it_takes_one_descriptor() -> None:
    told: list[int] = []

    async def wait(number: int, identity: processes.ProcessIdentity, scope: anyio.CancelScope) -> None:
        with scope:
            await processes.ended(identity)
            told.append(number)

    with child() as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        before = descriptors()
        scopes = [anyio.CancelScope() for _ in range(50)]
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                for number, scope in enumerate(scopes):
                    tasks.start_soon(wait, number, identity, scope)
                await anyio.wait_all_tasks_blocked()
                assert descriptors() == before + 1
                for scope in scopes[:10]:  # the first of them is whom the others wait for
                    scope.cancel()
                    await anyio.wait_all_tasks_blocked()
                    assert descriptors() == before + 1
                assert told == []
                process.kill()
        assert sorted(told) == list(range(10, 50))
        assert descriptors() == before
    assert not processes._waited_for


@linux
@pytest.mark.asyncio
async def test_who_cannot_wait_leaves_it_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others find out for themselves that there is no descriptor, and may try again."""

    def none_left(_pid: int) -> int:
        raise OSError(errno.EMFILE, "no descriptor")

    with child() as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        monkeypatch.setattr("os.pidfd_open", none_left)
        with anyio.fail_after(5):
            for _ in range(2):
                with pytest.raises(OSError, match="no descriptor"):
                    await processes.ended(identity)
        assert not processes._waited_for


@linux
@pytest.mark.asyncio
async def test_waiting_that_is_cancelled_gives_its_descriptor_back() -> None:
    with child() as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        fds = descriptors()
        with anyio.move_on_after(0) as scope:
            await processes.ended(identity)
        assert scope.cancelled_caught
        assert descriptors() == fds


@linux
@pytest.mark.asyncio
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL])
async def test_without_pidfd_it_looks_every_now_and_then(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def forbidden(_pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.pidfd_open", forbidden)
    monkeypatch.setattr(processes, "_POLL_S", 0.01)
    with child() as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                tasks.start_soon(processes.ended, identity)
                await anyio.wait_all_tasks_blocked()
                process.kill()


@linux
@pytest.mark.asyncio
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_what_will_pass_is_told(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Who waits can try again; looking needs a descriptor as well."""

    def none_left(_pid: int) -> int:
        raise OSError(number, os.strerror(number))

    mine = processes.identify(os.getpid())
    assert mine is not None
    monkeypatch.setattr("os.pidfd_open", none_left)
    with anyio.fail_after(5), pytest.raises(OSError, match=os.strerror(number)):
        await processes.ended(mine)


@linux
@pytest.mark.asyncio
async def test_the_end_of_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's id is in /proc like a process's, and no descriptor can be had for it."""
    monkeypatch.setattr(processes, "_POLL_S", 0.01)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        identity = processes.identify(thread.native_id)
        assert identity is not None
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                tasks.start_soon(processes.ended, identity)
                await anyio.wait_all_tasks_blocked()
                over.set()
    finally:
        over.set()
        thread.join()


@linux
@pytest.mark.asyncio
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
async def test_what_cannot_be_looked_at_is_not_called_dead(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_look(path: pathlib.Path, **_options: str) -> str:
        raise OSError(number, os.strerror(number), str(path))

    mine = processes.identify(os.getpid())
    assert mine is not None
    fds = descriptors()
    monkeypatch.setattr(pathlib.Path, "read_text", no_look)
    assert processes.program(mine.pid) == ""
    with pytest.raises(OSError, match=os.strerror(number)):
        processes.identify(mine.pid)
    with pytest.raises(OSError, match=os.strerror(number)):
        await processes.ended(mine)
    assert starting.lives(mine.pid, mine.start)
    assert usage()["rss_bytes"] > 1_000_000
    monkeypatch.undo()
    assert descriptors() == fds
    assert not starting.lives(mine.pid, mine.start + "0")


def test_the_peer_is_the_kernels_word() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert processes.peer(here) == processes.Peer(os.getpid(), os.geteuid(), os.getegid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")
def test_the_peer_is_who_connected() -> None:
    os.seteuid(65534)
    try:
        here, there = socket.socketpair(socket.AF_UNIX)
    finally:
        os.seteuid(0)
    with here, there:
        assert processes.peer(here).uid == 65534


def test_this_boot_has_a_name() -> None:
    assert processes.boot_id()
    assert processes.boot_id() == processes.boot_id()
