"""A daemon that has no descriptor left, or may not look: it says so, loses nothing, and goes on when that is mended."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.timers import resettle, settings
from process.trap import Trap
from process.wake_files import drop, drop_text, left
from waiting import until

linux = pytest.mark.skipif(sys.platform != "linux", reason="takes another process's limit away with prlimit")
SOON = {"torpord.shell.lookout:RETRY_S": 0.2, "torpord.core.descent:RECHECK_S": 0.3}


@contextmanager
def no_descriptors(daemon: RunningDaemon) -> Iterator[None]:
    """Leave the daemon those it has: from here on there is no further one."""
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)


def names_it(client: LineClient, word: str) -> None:
    until(lambda: any(word in each["why"] for each in client.call("why")["not_yet_because"]), what=f"{word} in why")


def rooted_without_privilege() -> list[str]:
    """Return what takes root's right to look everywhere; nobody else has it."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may look everywhere, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def lines_of(daemon: RunningDaemon, event: str) -> Sequence[object]:
    return [line for line in daemon.log_lines() if line.get("event") == event]


@linux
def test_without_descriptors_files_wait_and_the_daemon_lives(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants=SOON)
    text = settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s")
    daemon = RunningDaemon.start(home, text + "shadow_run = true\n", launcher=trap.launcher)
    with daemon.connect() as client:
        client.call("status")
        with no_descriptors(daemon):
            drop(home, "one.json")
            names_it(client, "wake.d")
        until(lambda: left(home) == [], what="the file to be taken")
        assert client.call("status")["wrapper_event_seq"] == 1
        assert not list((home / "wake.rejected").iterdir())
    assert len(lines_of(daemon, "cannot_look")) == 1
    assert daemon.stop() == 0


def test_a_folder_that_may_not_be_looked_at_is_named_and_looked_at_again(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants=SOON)
    launcher = [*rooted_without_privilege(), *trap.launcher]
    daemon = RunningDaemon.start(home, settings(), launcher=launcher)
    with daemon.connect() as client:
        client.call("hold.acquire", who="test", why="until the folder is shut")
        resettle(daemon, settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s"))
        (home / "wake.d").chmod(0)
        (home / "wake.signal").touch()
        until(lambda: not (home / "wake.signal").exists(), what="the signal beside it to be taken")
    with daemon.connect() as client:
        names_it(client, "wake.d")
        (home / "wake.d").chmod(0o700)
    assert daemon.wait_gone() == 0  # nothing forbids it any more
    assert len(lines_of(daemon, "cannot_look")) == 1


def test_where_nothing_can_be_put_aside_the_file_is_named(home: Path) -> None:
    daemon = RunningDaemon.start(
        home, settings(), launcher=[*rooted_without_privilege(), sys.executable, "-m", "torpord"]
    )
    (home / "wake.rejected").chmod(0)
    drop_text(home, "bad.json", "no JSON")
    until(lambda: lines_of(daemon, "file_stuck"), what="the file to be named")
    drop(home, "good.json")
    until(lambda: left(home) == ["bad.json"], what="the good one to be taken")
    (home / "wake.rejected").chmod(0o700)
    assert daemon.stop() == 0


@linux
def test_without_descriptors_nobody_is_called_dead_and_status_answers(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as client:
        client.call("hold.acquire", who="test", why="a process that lives", pid=os.getpid())
        with no_descriptors(daemon):
            refused = client.ask("hold.acquire", who="test", why="it lives all the same", pid=os.getpid())
            assert refused["error"]["data"]["name"] == "too_many"
            assert "descriptors" in refused["error"]["message"]
            assert client.call("status")["rss_bytes"] > 1_000_000
            body = {"who": "test", "why": "left in a file", "pid": os.getpid()}
            drop(home, "hold.json", "hold.acquire", **body)
            until(lambda: lines_of(daemon, "cannot_look"), what="the file to be seen")
        until(lambda: len(client.call("hold.list")["holds"]) == 2, what="the hold in the file")
