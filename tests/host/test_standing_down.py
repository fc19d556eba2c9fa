"""What a daemon that is to stay down tells its manager. Under a real systemd: tests/service/test_stop.py."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from torpord.host import standing_down, timers
from torpord.host.unit_name import NONE, Manager

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

USERS = Manager("systemd-user", "torpord-work")
SYSTEMS = Manager("systemd-system", "torpord@ann")
SYSTEMCTL = """#!/bin/sh
env > "$(dirname "$0")/environ"
echo "$@" > "$(dirname "$0")/told"
%s
"""


def systemctl(folder: pathlib.Path, end: str) -> dict[str, str]:
    """Put one in the place of systemd's, and return the environment that leads to it."""
    path = folder / "systemctl"
    path.write_text(SYSTEMCTL % end)
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.defpath}", "XDG_RUNTIME_DIR": "/run/user/1500", "SECRET": "x"}


@pytest.mark.asyncio
async def test_a_users_manager_is_told_to_stop_all_that_starts_it(tmp_path: pathlib.Path) -> None:
    assert await standing_down.close_the_door(USERS, systemctl(tmp_path, "exit 5")) == "", (
        "hand-made, without a path unit"
    )
    assert await standing_down.close_the_door(USERS, systemctl(tmp_path, "exit 0")) == ""
    said = (tmp_path / "told").read_text().split()
    assert said == ["--user", "--quiet", "--no-block", "stop", "torpord-work.socket", "torpord-work.path"]
    names = {line.partition("=")[0] for line in (tmp_path / "environ").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "XDG_RUNTIME_DIR", "LC_ALL"}


@pytest.mark.asyncio
async def test_one_that_does_not_hear_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = systemctl(tmp_path, "echo Failed to connect to bus >&2; exit 1")
    assert await standing_down.close_the_door(USERS, environ) == "systemctl failed (Failed to connect to bus)"
    monkeypatch.setattr(timers, "COMMAND_LIMIT_S", 0.2)
    assert "it took over 0.2 s" in await standing_down.close_the_door(
        USERS, systemctl(tmp_path, "exec tail -f /dev/null")
    )
    assert "cannot be started" in await standing_down.close_the_door(USERS, {"PATH": str(tmp_path / "nowhere")})


@pytest.fixture
def keeper(short_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], list[bytes]]]:
    """A keeper with one answer; returns what it was told."""
    path, told = str(short_dir / "keeper"), list[bytes]()
    monkeypatch.setattr(standing_down, "keeper_path", lambda unit: f"{path}{unit.removeprefix('torpord@ann')}")
    threads: list[threading.Thread] = []

    def answer(words: bytes) -> list[bytes]:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with listener, listener.accept()[0] as visitor:
                told.append(visitor.recv(100))
                visitor.sendall(words)

        threads.append(threading.Thread(target=serve))
        threads[0].start()
        return told

    yield answer
    for thread in threads:
        thread.join()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (b"LoadState=not-found\nok\n", ""),
        (b"bad: no such word\n", "would not stop the units (bad: no such word)"),
        (b"", "would not stop the units (no answer)"),
    ],
)
async def test_the_systems_manager_hears_of_it_by_the_keeper(
    keeper: Callable[[bytes], list[bytes]], words: bytes, problem: str
) -> None:
    told = keeper(words)
    said = await standing_down.close_the_door(SYSTEMS, {})
    assert said.endswith(problem)
    assert bool(said) == bool(problem)
    assert told == [b"stop\n"]


@pytest.mark.asyncio
async def test_without_a_keeper_or_a_name_that_is_said() -> None:
    nobody = Manager("systemd-system", "torpord@no-such-user")
    said = await standing_down.close_the_door(nobody, {})
    assert said == "/run/torpord-keeper/no-such-user cannot be asked (No such file or directory)"
    assert "units are not known" in await standing_down.close_the_door(NONE, {})
    launchd = Manager("launchd", "org.torpor.torpord")
    assert "by `torpor stop` alone" in await standing_down.close_the_door(launchd, {})
