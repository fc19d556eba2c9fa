"""Starting a daemon: detached, clean, one however many ask, and its end told."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from torpor import Client, presence, wake
from torpor.deadline import Deadline
from torpor.errors import BadHome, NotPermitted, Timeout, Unreachable
from torpor.talk import Place
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.conftest import Ask

STUB = pathlib.Path(__file__).with_name("stub_daemon.py")


def _starts(home: pathlib.Path) -> list[dict[str, Any]]:
    path = home / "starts"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _is_gone(pid: int) -> bool:
    """Whether the process has ended and been collected: a zombie is not gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def stub(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Choose what is started in place of torpord; ended after the test."""

    def choose(mode: str) -> None:
        monkeypatch.setattr(wake, "COMMAND", (sys.executable, "-P", str(STUB), mode))

    choose("serve")
    yield choose
    pids = [start["pid"] for start in _starts(home)]
    for pid in pids:
        if not _is_gone(pid):
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(_is_gone(pid) for pid in pids), what="the stubs are collected: no zombies")


def test_a_started_daemon_has_nothing_of_the_one_who_started_it(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("TZ", "UTC")
    assert ask(home, "event", "wake_signal")["state"] == "WAKE"
    (start,) = _starts(home)
    assert start["leads_session"]
    assert start["cwd"] == "/"
    assert start["stdin"] == os.devnull
    assert start["umask"] == 0o022
    assert start["fds"] == 3
    left = set(start["environ"]) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"}  # the interpreter's own (PEP 538)
    assert left <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR"}
    assert {"PATH", "TZ"} <= left
    assert oct((home / "torpord.log").stat().st_mode) == oct(0o100600)


def test_the_socket_named_by_the_caller_is_the_daemons_too(
    home: pathlib.Path, stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORPOR_SOCKET", str(home / "torpor.sock"))
    with Client(home) as client:
        client.event("wake_signal")
    (start,) = _starts(home)
    assert "TORPOR_SOCKET" not in start["environ"]  # the default, said in other words
    assert wake._environment(Place(str(home), "/elsewhere"))["TORPOR_SOCKET"] == "/elsewhere"


def test_fifty_at_once_start_one(home: pathlib.Path, stub: Callable[[str], None]) -> None:
    program = (
        "import sys, torpor, torpor.wake\n"
        f"torpor.wake.COMMAND = {wake.COMMAND!r}\n"
        "print(torpor.Client(sys.argv[1]).event('wake_signal')['state'])\n"
    )
    callers = [
        subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True)
        for _ in range(50)
    ]
    said = [caller.communicate(timeout=60)[0].strip() for caller in callers]
    assert said == ["WAKE"] * 50
    assert len(_starts(home)) == 1


@pytest.mark.parametrize(("mode", "kind"), [("78", BadHome), ("65", Unreachable), ("1", Unreachable),
                                            ("77", NotPermitted)])  # fmt: skip
def test_how_it_ended_is_told_in_its_own_words(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None], mode: str, kind: type[Exception]
) -> None:
    (home / "torpord.log").write_text("of an earlier life\n")
    stub(mode)
    with pytest.raises(kind, match=f"status {mode} while starting: .*no such key 'drowsy'") as told:
        ask(home, "event", "wake_signal")
    assert "earlier life" not in str(told.value)
    assert len(_starts(home)) == 1


def test_one_that_is_killed_is_told_too(home: pathlib.Path, ask: Ask, stub: Callable[[str], None]) -> None:
    stub("killed")
    with pytest.raises(Unreachable, match=r"by signal 9 while starting: it wrote nothing to .*torpord\.log"):
        ask(home, "event", "wake_signal")


def test_75_means_that_there_is_another_to_connect_to(
    home: pathlib.Path, stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub("75")
    judge = wake._judge

    def then_serve(status: int, log_path: str, begin: int) -> str:
        stub("serve")
        return judge(status, log_path, begin)

    monkeypatch.setattr(wake, "_judge", then_serve)
    with Client(home) as client:
        assert client.event("wake_signal")["state"] == "WAKE"
    assert len(_starts(home)) == 2


def test_where_each_ends_with_75_the_last_ones_words_are_told(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None]
) -> None:
    stub("75")
    with pytest.raises(Timeout, match=r"the last one ended, and said: .*no such key 'drowsy'"):
        ask(home, "event", "wake_signal", timeout=3)
    assert 2 <= len(_starts(home)) < 30  # with a pause behind each


def test_one_that_takes_too_long_goes_on_starting(home: pathlib.Path, ask: Ask, stub: Callable[[str], None]) -> None:
    stub("hang")
    with pytest.raises(Timeout, match="torpord is being started"):
        ask(home, "event", "wake_signal", timeout=0.5)
    (start,) = until(lambda: _starts(home))
    assert not _is_gone(start["pid"])


def test_nobody_is_started_beside_one_that_has_the_lock(home: pathlib.Path, stub: Callable[[str], None]) -> None:
    with Client(home) as client:
        client.event("wake_signal")
    place = Place(str(home), str(home / "torpor.sock"))
    (home / "torpor.sock").unlink()
    assert presence.is_up(str(home))
    wake.start(place, Deadline(5))
    assert len(_starts(home)) == 1


@pytest.mark.parametrize("name", ["torpord.log", "torpor.spawn.lock"])
@pytest.mark.parametrize(
    ("lay", "said"),
    [
        (lambda path: path.symlink_to("/dev/null"), "is a symlink, which is not followed here: remove it"),
        (lambda path: path.mkdir(), r"is no file \(.+\): remove what lies there"),
        (lambda path: os.mknod(path, stat.S_IFSOCK), r"is no file \(.+\): remove what lies there"),
    ],
    ids=["a symlink", "a folder", "a socket"],
)
def test_what_lies_in_the_place_of_its_files_is_named_with_the_mend(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None], name: str, lay: Callable[[pathlib.Path], None], said: str
) -> None:
    stub("1")
    lay(home / name)
    with pytest.raises(Unreachable, match=rf"cannot start torpord in {home}: {home}/{name} {said}$"):
        ask(home, "event", "wake_signal")


def test_what_has_no_path_is_told_without(
    home: pathlib.Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, stub: Callable[[str], None]
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    monkeypatch.setattr(wake, "_spawn", fails)
    with pytest.raises(Unreachable, match=rf"cannot start torpord in {home}: {os.strerror(errno.ELOOP)}$"):
        ask(home, "event", "wake_signal")


def test_a_pipe_in_the_place_of_the_log_is_not_waited_at(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None]
) -> None:
    stub("1")
    os.mkfifo(home / "torpord.log")
    with pytest.raises(Unreachable, match=f"{home}/torpord.log is no file"):
        ask(home, "event", "wake_signal")


def test_a_home_that_is_not_there_is_made_private(short_dir: pathlib.Path, stub: Callable[[str], None]) -> None:
    stub("1")
    deep = short_dir / "a" / "b"
    with pytest.raises(Unreachable), Client(deep) as client:
        client.event("wake_signal")
    assert oct(deep.stat().st_mode) == oct(0o40700)
    assert len(_starts(deep)) == 1


def test_no_daemon_is_started_in_a_home_that_is_not_ones_own(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None]
) -> None:
    home.chmod(0o755)
    with pytest.raises(BadHome, match=f"has mode 0755, .*chmod 700 {home}"):
        ask(home, "event", "wake_signal")
    link = home.parent / "link"
    link.symlink_to(home)
    with pytest.raises(BadHome, match="is a symlink"):
        ask(link, "event", "wake_signal")
    file = home.parent / "file"
    file.touch()
    with pytest.raises(BadHome, match="is not a directory"):
        wake.start(Place(str(file), str(file / "torpor.sock")), Deadline(1))
    assert not _starts(home)


def test_a_log_that_has_become_large_is_put_aside(
    home: pathlib.Path, ask: Ask, stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "_MOST_LOG_BYTES", 1000)
    (home / "torpord.log").write_text("old\n" * 500)
    (home / "torpord.log.1").write_text("older\n")
    ask(home, "event", "wake_signal")
    assert (home / "torpord.log.1").read_text() == "old\n" * 500
    assert (home / "torpord.log").stat().st_size < 1000
