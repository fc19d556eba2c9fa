"""What is left in the home while the daemon is at work on what was left before."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from shell.virtual_time import run
from torpor import wire
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.shell.spool import Spool


@pytest.mark.parametrize(("then", "taken"), [(State.SLEEP, 2), (State.WAKE, 1)])
def test_a_signal_touched_behind_a_sleep_in_the_same_batch_is_another(then: State, taken: int, tmp_path: Path) -> None:
    """Who was told that it sleeps, and touches then, wants it awake; touched while it is awake it has what it wants."""
    signal = tmp_path / wire.WAKE_SIGNAL_NAME
    signal.touch()
    world = SimpleNamespace(lifecycle=SimpleNamespace(state=State.SLEEP))
    states = [then, State.WAKE]

    async def apply(_event: Any) -> None:
        world.lifecycle.state = states.pop(0)
        if len(states) == 1:
            os.utime(signal, (2e9, 2e9))

    desk: Any = SimpleNamespace(writer=SimpleNamespace(apply=apply), world=world)

    async def main() -> None:
        with anyio.fail_after(10):
            await Spool(tmp_path, desk).take()

    run(main)
    assert 2 - len(states) == taken
    assert world.lifecycle.state is State.WAKE
    assert not signal.exists()


class ItsDesk:
    """A desk that takes everything."""

    trial = None

    def __init__(self) -> None:
        self.world = SimpleNamespace(lifecycle=SimpleNamespace(state=State.WAKE))
        self.writer = SimpleNamespace(apply=self._apply, submit=self._submit, owe=lambda _: None)
        self.taken = 0

    def now(self) -> Now:
        return Now(0.0, 0.0, 0.0)

    async def _apply(self, _event: Any) -> None:
        self.taken += 1

    def _submit(self, changes: Sequence[Any]) -> Any:
        self.taken += len(changes)
        done = anyio.Event()
        done.set()
        return SimpleNamespace(done=done, outcomes=[{}] * len(changes))


def a_spool(home: Path) -> tuple[Any, Spool]:
    desk: Any = ItsDesk()
    (home / wire.SPOOL_NAME).mkdir()
    return desk, Spool(home, desk)


@pytest.mark.parametrize("then", ["it is read", "its owner takes it back"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_what_waits_to_be_read_is_in_the_way_until_it_is_read_or_gone(
    number: int, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, spool = a_spool(tmp_path)
    path = tmp_path / wire.SPOOL_NAME / os.fsdecode(b"\xff.json")  # a name that is no text: what is told of it is
    path.write_text('{"method": "event", "params": {"event": "heartbeat_refresh"}}')
    opened = os.open

    def fails(name: Any, *how: Any, **more: Any) -> int:
        if name == path:
            raise OSError(number, os.strerror(number), str(name))
        return opened(name, *how, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fails)
        run(spool.take)
    assert spool.stuck == {r"\xff.json": rf"\xff.json cannot be read now ({os.strerror(number)}): it is tried again"}
    assert spool.postponed
    if then == "it is read":
        run(spool.take)
    else:
        path.unlink()
    assert spool.stuck == {}
    assert desk.taken == (then == "it is read")


def test_a_file_that_is_named_like_the_signal_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, spool = a_spool(tmp_path)
    both = [tmp_path / wire.WAKE_SIGNAL_NAME, tmp_path / wire.SPOOL_NAME / wire.WAKE_SIGNAL_NAME]
    for path in both:
        path.touch()

    def fails(path: Path, *_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fails)
        patched.setattr(Path, "rename", fails)
        run(spool.take)
        assert sorted(spool.stuck) == ["./wake.signal", "wake.signal"]
    assert spool.stuck == {}
    assert not any(path.exists() for path in both)
    assert desk.taken == 1
