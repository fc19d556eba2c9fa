# ruff: noqa: ASYNC240 - what these tests do to a directory is over at once
from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from torpord.host.watch import LOOK_AGAIN, DirectoryWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.platform != "linux", reason="these look at names, which kqueue does not tell"),
]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "wake.d"
    path.mkdir()
    return path


@pytest.fixture
def watch(tmp_path: Path, spool: Path) -> Iterator[DirectoryWatch]:
    made = DirectoryWatch([tmp_path, spool])
    yield made
    made.close()


async def until_told(watch: DirectoryWatch, *wanted: tuple[Path, str]) -> set[tuple[Path, str]]:
    """Gather what is told until all of `wanted` was."""
    told: set[tuple[Path, str]] = set()
    with anyio.fail_after(10):
        async for changes in watch.changes():
            told |= changes
            if told.issuperset(wanted):
                break
    return told


async def test_tells_directory_and_name_of_what_comes_and_goes(
    watch: DirectoryWatch, tmp_path: Path, spool: Path
) -> None:
    (tmp_path / "wake.signal").touch()
    assert await until_told(watch, (tmp_path, "wake.signal")) == {(tmp_path, "wake.signal")}
    (tmp_path / "draft").write_text("{}")
    (tmp_path / "draft").rename(spool / "a.json")
    await until_told(watch, (tmp_path, "draft"), (spool, "a.json"))
    (spool / "a.json").unlink()
    assert await until_told(watch, (spool, "a.json")) == {(spool, "a.json")}


async def test_a_touch_of_what_is_there_is_told(watch: DirectoryWatch, tmp_path: Path) -> None:
    (tmp_path / "wake.signal").touch()
    await until_told(watch, (tmp_path, "wake.signal"))
    os.utime(tmp_path / "wake.signal")
    await until_told(watch, (tmp_path, "wake.signal"))
    (tmp_path / "wake.signal").chmod(0o644)
    await until_told(watch, (tmp_path, "wake.signal"))


async def test_names_of_any_bytes(watch: DirectoryWatch, spool: Path) -> None:
    name = os.fsdecode(b"\xff \xc3\xa4\n")
    (spool / name).touch()
    await until_told(watch, (spool, name))


async def test_what_is_only_written_into_is_not_told(tmp_path: Path) -> None:
    with (tmp_path / "torpor.db-wal").open("wb", buffering=0) as store:
        watch = DirectoryWatch([tmp_path])
        for _ in range(100):
            store.write(b"a commit")
            os.fdatasync(store.fileno())
        (tmp_path / "end").touch()
        assert await until_told(watch, (tmp_path, "end")) == {(tmp_path, "end")}
        watch.close()


async def test_what_came_before_the_reader_is_kept_and_a_cancelled_reader_loses_nothing(
    watch: DirectoryWatch, tmp_path: Path
) -> None:
    with anyio.move_on_after(0) as scope:
        await until_told(watch, (tmp_path, "never"))
    assert scope.cancelled_caught
    (tmp_path / "a").touch()
    await until_told(watch, (tmp_path, "a"))


async def test_when_the_kernel_loses_count_everything_is_looked_at_again(
    watch: DirectoryWatch, tmp_path: Path, spool: Path
) -> None:
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100_000:
        pytest.skip(f"the queue holds {queue} events here: too many files for a test")
    for number in range(queue // 2 + 10):  # two events each
        os.close(os.open(spool / str(number), os.O_CREAT | os.O_WRONLY))
    await until_told(watch, (tmp_path, LOOK_AGAIN), (spool, LOOK_AGAIN))
    (spool / "after").touch()
    await until_told(watch, (spool, "after"))


async def test_a_directory_that_goes_and_comes_back_is_watched_again(
    watch: DirectoryWatch, tmp_path: Path, spool: Path
) -> None:
    spool.rmdir()
    await until_told(watch, (spool, LOOK_AGAIN), (tmp_path, "wake.d"))
    spool.mkdir()
    await until_told(watch, (spool, LOOK_AGAIN))
    (spool / "a.json").touch()
    await until_told(watch, (spool, "a.json"))


async def test_a_directory_that_was_replaced_is_watched_at_its_path(
    watch: DirectoryWatch, tmp_path: Path, spool: Path
) -> None:
    spool.rename(tmp_path / "old")
    spool.mkdir()
    await until_told(watch, (spool, LOOK_AGAIN), (tmp_path, "old"))
    (tmp_path / "old" / "stray").touch()
    (spool / "a.json").touch()
    assert (spool, "stray") not in await until_told(watch, (spool, "a.json"))


async def test_needs_no_thread_and_gives_its_descriptor_back(tmp_path: Path) -> None:
    threads = threading.active_count()
    fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    watch = DirectoryWatch([tmp_path])
    assert watch._source is not None
    assert not os.get_inheritable(watch._source.fd)
    (tmp_path / "a").touch()
    await until_told(watch, (tmp_path, "a"))
    assert threading.active_count() == threads
    watch.close()
    watch.close()
    assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208
    assert [changes async for changes in watch.changes()] == []


async def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    with pytest.raises(FileNotFoundError, match="none"):
        DirectoryWatch([tmp_path, tmp_path / "none"])
    with pytest.raises(NotADirectoryError):
        DirectoryWatch([tmp_path / "file"])
    assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208
