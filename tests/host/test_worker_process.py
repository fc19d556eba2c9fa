"""How workers begin and end: with real processes, and whoever is killed, nobody is left."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from host.workers import ECHO, WAIT, command, gone, members, workers
from torpord.host import processes
from torpord.host.worker_process import WorkerProcess
from waiting import until, until_async

pytestmark = pytest.mark.asyncio

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

FAMILY = "tell([a_child().pid, a_child().pid]); lines.read()"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


async def told(worker: WorkerProcess) -> Any:
    with anyio.fail_after(20):
        (line,) = await worker.receive()
    return json.loads(line)


async def test_a_worker_gets_its_pipe_and_nothing_else() -> None:
    script = """
fds = {0, 1, 2, pipe.fileno()}
if sys.platform == "linux":  # the listing's own descriptor is gone when it is looked for
    fds = {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd)}
tell([dict(os.environ), os.getcwd(), sys.stdin.read(), fds == {0, 1, 2, pipe.fileno()}, os.getpgrp()])
lines.read()
"""
    async with workers() as start:
        worker = await start(script, LANG="C.UTF-8", GIVEN="1")
        environ, cwd, said, only_its_own, pgid = await told(worker)
        assert environ.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own, where there is no locale
        assert environ == {"LANG": "C.UTF-8", "GIVEN": "1"}
        assert (cwd, said, only_its_own, pgid) == ("/", "", True, worker.pgid)
        assert set(members(worker.pgid)) == {worker.pid, worker.pgid}


async def test_the_end_of_the_pipe_is_read_at_both_ends() -> None:
    async with workers() as start:
        worker = await start("tell('up'); lines.read(); sys.exit(7)")
        assert await told(worker) == "up"
        worker._pipe.close()
        with anyio.fail_after(20):
            assert (await worker.ended()).returncode == 7
        worker = await start("os._exit(0)")
        with anyio.fail_after(20):
            assert await worker.receive() == []
            assert await worker.receive() == []
            assert (await worker.ended()).returncode == 0
        worker.send(b"to nobody\n")
        worker.terminate()  # nor is there anybody to be told


@pytest.mark.parametrize(
    ("script", "returncode"),
    [("sys.exit(75)", 75), ("os.kill(os.getpid(), signal.SIGKILL)", -9), ("raise ValueError('why')", 1)],
)
async def test_the_exit_status_is_told_as_often_as_it_is_asked_for(script: str, returncode: int) -> None:
    async with workers() as start:
        worker = await start(script)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(worker.ended)
            assert (await worker.ended()).returncode == returncode
        assert (b"ValueError: why" in worker.output_tail()) == (returncode == 1)


async def test_what_it_used_is_told_with_its_childrens_part() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    script = f"x = bytearray(80_000_000)\nsubprocess.run([sys.executable, '-I', '-c', {burn!r}])"
    async with workers() as start:
        worker = await start(script)
        with anyio.fail_after(30):
            done = await worker.ended()
        assert 0.2 <= done.cpu_s < 5
        # Until a child is another program it is as large as who forked it.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        assert 80_000_000 < done.peak_rss_bytes < 400_000_000 + own


async def test_terminate_asks_the_worker_alone() -> None:
    script = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); tell(a_child().pid); lines.read()"
    async with workers() as start:
        worker = await start(script)
        child = await told(worker)
        worker.terminate()
        with anyio.fail_after(20):
            assert (await worker.ended()).returncode == 3
        assert set(members(worker.pgid)) == {child, worker.pgid}
        worker.kill()
        await gone(worker)


async def test_a_killed_worker_leaves_nothing_after_close() -> None:
    async with workers() as start:
        worker = await start(FAMILY)
        children = await told(worker)
        os.kill(worker.pid, signal.SIGKILL)
        with anyio.fail_after(20):
            assert (await worker.ended()).returncode == -9
            assert set(members(worker.pgid)) == {*children, worker.pgid}
            assert await worker.close()
        await gone(worker)
        worker.kill()  # nobody is there, and no other group with the same number is harmed
        assert await worker.close()


async def test_a_killed_guardian_takes_its_group_with_it() -> None:
    async with workers() as start:
        worker = await start(FAMILY)
        await told(worker)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.ended)
            await anyio.wait_all_tasks_blocked()
            os.kill(worker.pgid, signal.SIGKILL)
        assert (await worker.ended()).returncode == -9
        await gone(worker)


async def test_a_guardian_that_was_killed_unseen_is_no_reason_to_leave_anybody() -> None:
    async with workers() as start:
        worker = await start(FAMILY)
        await told(worker)
        os.kill(worker.pgid, signal.SIGKILL)
        await until_async(lambda: worker.pgid not in members(worker.pgid))
        assert len(members(worker.pgid)) >= 3
        assert await worker.close()
        await gone(worker)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"])
async def test_a_signal_to_the_whole_group_is_not_for_the_guardian(name: str) -> None:
    number = getattr(signal, name)
    async with workers() as start:
        worker = await start(f"signal.signal({int(number)}, lambda *_: tell('heard')); tell('up'); lines.read()")
        assert await told(worker) == "up"
        os.killpg(worker.pgid, number)
        assert await told(worker) == "heard"
        assert worker.pgid in members(worker.pgid)


@contextlib.contextmanager
def parent(script: str) -> Any:
    """Run a daemon in little with this worker; gives it and what it tells."""
    program = [sys.executable, str(Path(__file__).with_name("worker_parent.py")), *command(script)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        assert process.stdout
        who = json.loads(process.stdout.readline())
        try:
            yield process, who
        finally:
            process.kill()
            os.kill(who["hook"], signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(who["pgid"], signal.SIGKILL)


@pytest.mark.parametrize("stopped", [False, True])
async def test_nobody_outlives_a_killed_daemon(*, stopped: bool) -> None:
    with parent(FAMILY) as (process, who):
        assert len(members(who["pgid"])) >= 4
        if stopped:  # the kernel continues a stopped group that has lost its parent
            os.killpg(who["pgid"], signal.SIGSTOP)
            group = [psutil.Process(pid) for pid in members(who["pgid"])]
            until(lambda: all(each.status() == psutil.STATUS_STOPPED for each in group))
        process.kill()
        process.wait()
        assert psutil.pid_exists(who["hook"])  # which has all that could be inherited
        until(lambda: not members(who["pgid"]), what="the group ends with the daemon")


async def test_a_worker_that_cannot_be_started_leaves_nothing() -> None:
    before = descriptors() if sys.platform == "linux" else 0
    children = psutil.Process().children()
    for argv, cwd, error in [
        (["/nowhere/worker"], "/", FileNotFoundError),
        (["/etc/passwd"], "/", PermissionError),
        (["/bin/sh"], "/nowhere", FileNotFoundError),
    ]:
        with pytest.raises(error):
            await WorkerProcess.spawn(argv, {}, cwd)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await WorkerProcess.spawn(command(WAIT), {})
    assert psutil.Process().children() == children
    assert before == (descriptors() if sys.platform == "linux" else 0)


@linux
@pytest.mark.parametrize("number", range(3, 14))
async def test_without_descriptors_it_is_not_half_started(number: int) -> None:
    import resource

    await anyio.lowlevel.checkpoint()
    before, children = descriptors(), psutil.Process().children()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before - 1 + number - 3, hard))
    worker = None
    try:
        with contextlib.suppress(OSError):
            worker = await WorkerProcess.spawn(command(WAIT), {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if worker is not None:
        assert await worker.close()
    assert psutil.Process().children() == children
    assert descriptors() == before


@linux
async def test_descriptors_and_processes_are_given_back() -> None:
    before, children = descriptors(), psutil.Process().children()
    for script in (ECHO, WAIT, "os._exit(0)", "print('x' * 100_000)", FAMILY):
        worker = await WorkerProcess.spawn(command(script), {})
        worker.send(b"once\n")
        with anyio.fail_after(20):
            await worker.receive()
            assert await worker.close()
    assert psutil.Process().children() == children
    assert descriptors() == before
    del worker
    gc.collect()  # what was not given back warns now, and a warning is an error


async def test_it_is_closed_also_by_who_is_cancelled() -> None:
    async with workers() as start:
        worker = await start(FAMILY)
        await told(worker)
        with anyio.CancelScope() as scope:
            scope.cancel()
            assert await worker.close()
        await gone(worker)


async def test_other_children_keep_their_exit_status() -> None:
    """asyncio reaps what it starts by itself: neither may take the other's."""
    async with workers() as start:

        async def other(number: int, seen: list[int]) -> None:
            done = await anyio.run_process(["sh", "-c", f"exit {number}"], check=False)
            seen.append(done.returncode)

        async def worker(number: int, seen: list[int]) -> None:
            seen.append((await (await start(f"sys.exit({number})")).ended()).returncode)

        others: list[int] = []
        ours: list[int] = []
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(1, 9):
                    tasks.start_soon(other, number, others)
                    tasks.start_soon(worker, number, ours)
        assert sorted(others) == sorted(ours) == list(range(1, 9))


@linux
async def test_without_pidfd_its_end_is_seen_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.pidfd_open", none_left)
    monkeypatch.setattr(processes, "_POLL_S", 0.01)
    async with workers() as start:
        worker = await start("lines.readline(); sys.exit(5)")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.ended)
            await anyio.wait_all_tasks_blocked()
            worker.send(b"go\n")
        assert (await worker.ended()).returncode == 5
