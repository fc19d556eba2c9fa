from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import psutil
import pytest

from torpord.host import lock
from torpord.host.faults import SetupError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

# Another program that takes the kernel's lock as any daemon would, and holds it until its input ends.
HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
os.write(1, b"held")
os.read(0, 1)
"""


@contextlib.contextmanager
def another_holds(home: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-c", HOLDER, str(home / "torpor.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.read(4) == b"held"
            yield process
        finally:
            process.kill()


async def refusal(home: pathlib.Path, patience_s: float = 0.1) -> SetupError:
    with pytest.raises(SetupError) as caught:
        await lock.HomeLock.take(home, {}, patience_s)
    assert str(home) in str(caught.value)
    return caught.value


@pytest.mark.asyncio
async def test_the_note_names_the_holder_and_the_file_stays(tmp_path: pathlib.Path) -> None:
    held = await lock.HomeLock.take(tmp_path, {"pid": os.getpid(), "version": "a long text that is replaced by less"})
    path = tmp_path / "torpor.lock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    held.update({"pid": 7})
    assert json.loads(path.read_text()) == {"pid": 7}
    held.release()
    held.release()
    assert path.exists()


@pytest.mark.asyncio
async def test_a_second_daemon_is_told_who_holds_it(tmp_path: pathlib.Path) -> None:
    with another_holds(tmp_path) as process:
        note = {"pid": process.pid, "version": "0.1.0", "supervisor": "systemd"}
        (tmp_path / "torpor.lock").write_text(json.dumps(note))
        fault = await refusal(tmp_path)
        assert fault.exit_code == 75
        assert f"torpord pid {process.pid} (version 0.1.0, supervisor systemd)" in str(fault)
        assert json.loads((tmp_path / "torpor.lock").read_text()) == note


@pytest.mark.asyncio
@pytest.mark.parametrize("note", ["", "{", "[1]", "\xff\x00"])
async def test_a_note_that_says_nothing_decides_nothing(tmp_path: pathlib.Path, note: str) -> None:
    (tmp_path / "torpor.lock").write_text(note)
    with another_holds(tmp_path):
        assert "left no name" in str(await refusal(tmp_path))
    (await lock.HomeLock.take(tmp_path, {})).release()


@pytest.mark.asyncio
async def test_two_in_one_process_exclude_each_other_too(tmp_path: pathlib.Path) -> None:
    held = await lock.HomeLock.take(tmp_path, {})
    assert (await refusal(tmp_path)).exit_code == 75
    held.release()
    (await lock.HomeLock.take(tmp_path, {})).release()


@pytest.mark.asyncio
async def test_waits_for_one_who_holds_it_for_an_instant(tmp_path: pathlib.Path) -> None:
    with another_holds(tmp_path) as process:
        async with anyio.create_task_group() as tasks:

            async def take() -> None:
                (await lock.HomeLock.take(tmp_path, {}, patience_s=20)).release()

            tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()  # it has tried and waits
            assert process.stdin
            process.stdin.close()


@pytest.mark.asyncio
async def test_a_killed_holder_holds_no_more(tmp_path: pathlib.Path) -> None:
    with another_holds(tmp_path) as process:
        process.kill()
        process.wait()
        (await lock.HomeLock.take(tmp_path, {}, patience_s=0)).release()


@pytest.mark.asyncio
async def test_a_file_that_was_replaced_is_not_the_lock(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torpor.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        path.unlink()
        assert not lock._locked(fd, path)
        path.touch()
        assert not lock._locked(fd, path)
        # and who holds the old file keeps nobody out of the new one
        (await lock.HomeLock.take(tmp_path, {}, patience_s=0)).release()
    finally:
        os.close(fd)


@pytest.mark.asyncio
async def test_refuses_what_is_no_file_of_its_own(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torpor.lock"
    (tmp_path / "target").touch()
    path.symlink_to(tmp_path / "target")
    assert (await refusal(tmp_path)).exit_code == 78
    path.unlink()
    path.mkdir()
    assert (await refusal(tmp_path)).exit_code == 78
    path.rmdir()
    os.mkfifo(path)
    assert (await refusal(tmp_path)).exit_code == 78


@contextlib.contextmanager
def a_child_that_inherits_all_it_may() -> Iterator[None]:
    command = [sys.executable, "-I", "-c", "import os; os.write(1, b'up'); os.read(0, 1)"]
    with subprocess.Popen(command, close_fds=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.read(2) == b"up"
        yield
        child.kill()


@pytest.mark.asyncio
async def test_children_do_not_inherit_it(tmp_path: pathlib.Path) -> None:
    held = await lock.HomeLock.take(tmp_path, {})
    with a_child_that_inherits_all_it_may():
        held.release()
        (await lock.HomeLock.take(tmp_path, {}, patience_s=0)).release()


@pytest.mark.asyncio
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 - evaluated at import
async def test_a_full_disk_does_not_keep_it_from_holding(tmp_path: pathlib.Path) -> None:
    held = lock.HomeLock(tmp_path / "torpor.lock", os.open("/dev/full", os.O_RDWR))
    held.update({"pid": 1})
    held.release()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the home's file system refuse what writes, as it were mounted read-only or full."""
    real = os.open

    def mount(number: int) -> None:
        def refuse(path: pathlib.Path, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_RDWR:
                raise OSError(number, os.strerror(number), str(path))
            return real(path, flags, mode)

        monkeypatch.setattr(lock.os, "open", refuse)

    return mount


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
async def test_where_nothing_can_be_written_it_is_held_all_the_same(
    tmp_path: pathlib.Path, read_only: Callable[[int], None], number: int
) -> None:
    path = tmp_path / "torpor.lock"
    path.write_text("whose it was")
    read_only(number)
    assert (await refusal(tmp_path)).exit_code == (77 if number == errno.EACCES else 78)
    held = await lock.HomeLock.take(tmp_path, {"pid": 7}, or_read_only=True)
    assert (held.unwritable, held.is_still_ours()) == (os.strerror(number), True)
    with pytest.raises(SetupError) as caught:
        await lock.HomeLock.take(tmp_path, {}, 0, or_read_only=True)
    assert caught.value.exit_code == 75
    held.update({"pid": 8})
    held.release()
    assert path.read_text() == "whose it was"


@pytest.mark.asyncio
async def test_where_none_can_be_made_there_is_none(tmp_path: pathlib.Path, read_only: Callable[[int], None]) -> None:
    read_only(errno.EROFS)
    held = await lock.HomeLock.take(tmp_path, {"pid": 7}, or_read_only=True)
    assert (held.unwritable, held.is_still_ours()) == ("Read-only file system", False)
    held.update({"pid": 8})
    held.release()
    assert not held.path.exists()


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["open", "fstat", "lstat"])
async def test_a_lock_that_cannot_be_looked_at_now_is_not_to_be_removed(
    call: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = psutil.Process().num_fds()

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "torpor.lock")

    with monkeypatch.context() as failing:
        failing.setattr(os, call, fails)
        fault = await refusal(tmp_path)
    assert fault.exit_code == 75
    assert "rm " not in str(fault)
    assert psutil.Process().num_fds() == before
    (await lock.HomeLock.take(tmp_path, {})).release()
