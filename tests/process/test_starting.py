"""What keeps a daemon from starting: each with its exit status, what it is about and the mend; nothing is touched."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.timers import settings


def refused(home: Path, *args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Start what must not start; returns its exit status and its last line."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TORPOR_")}
    command = [sys.executable, "-m", "torpord", "run", "--home", str(home), *args]
    done = subprocess.run(command, env=clean | (env or {}), capture_output=True, text=True, timeout=20, check=False)
    lines = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr
    return done.returncode, lines[-1] if lines else ""


def test_a_second_daemon_gives_up_soon_and_names_the_first(home: Path) -> None:
    first = RunningDaemon.start(home)
    begin_s = time.monotonic()
    code, said = refused(home)
    took_s = time.monotonic() - begin_s
    assert code == 75, said
    assert f"pid {first.pid}" in said
    assert "torpor stop" in said
    assert took_s > 0.9, took_s  # it tries for a second
    assert first.call("status")["generation"] == 1
    assert first.socket.exists()


def test_a_lock_that_was_taken_away_guards_nothing_so_its_daemon_ends_before_there_are_two(home: Path) -> None:
    first = RunningDaemon.start(home)
    first.call("event", event="request_arrived", key="before")
    (home / "torpor.lock").unlink()
    assert first.wait_gone() == 78
    assert any(line.get("event") == "home_gone" for line in first.log_lines())
    following = first.again()
    assert following.call("event", event="request_arrived", key="before")["replayed"] is True


def symlink(home: Path) -> None:
    home.with_name("real").mkdir(mode=0o700)
    home.symlink_to(home.with_name("real"))


def of_another(home: Path) -> None:
    home.mkdir(mode=0o700)
    os.chown(home, 12345, 12345)


def open_to_the_group(home: Path) -> None:
    home.mkdir()
    home.chmod(0o750)


def open_to_the_world(home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)


def a_file(home: Path) -> None:
    home.write_text("mine")


HOMES = [
    (symlink, 78, "symlink"),
    (of_another, 77, "uid 12345"),
    (open_to_the_group, 78, "chmod 700"),
    (open_to_the_world, 78, "chmod 700"),
    (a_file, 78, "not a directory"),
]


@pytest.mark.parametrize(("harm", "status", "word"), HOMES)
def test_an_unfit_home_is_refused_and_left_as_it_is(harm, status: int, word: str, short_dir: Path) -> None:  # noqa: ANN001 - of the list above
    if harm is of_another and os.geteuid() != 0:
        pytest.skip("giving a directory away takes root")
    home = short_dir / "home"
    harm(home)
    before = home.lstat()
    code, said = refused(home)
    assert code == status, said
    assert said.startswith("torpord: ")
    assert str(home) in said
    assert word in said
    after = home.lstat()
    assert (after.st_mode, after.st_uid, after.st_ino) == (before.st_mode, before.st_uid, before.st_ino)
    if home.is_dir():
        assert list(home.iterdir()) == []


def test_a_socket_path_that_is_too_long_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    code, said = refused(home)
    length = len(os.fsencode(home / "torpor.sock"))
    assert code == 78, said
    for word in (str(home / "torpor.sock"), str(length), "107" if sys.platform == "linux" else "103", "TORPOR_SOCKET"):
        assert word in said
    assert not home.exists()


def test_a_home_too_long_is_mended_by_a_socket_elsewhere(tmp_path: Path, short_dir: Path) -> None:
    home = tmp_path / ("long" * 30)
    daemon = RunningDaemon.start(home, env={"TORPOR_SOCKET": str(short_dir / "s")})
    try:
        assert daemon.call("status")["home"] == str(home)
        assert daemon.stop() == 0
    finally:
        daemon.end()


def test_the_leftover_of_a_killed_daemon_is_replaced(home: Path) -> None:
    daemon = RunningDaemon.start(home)
    daemon.kill()
    assert daemon.socket.is_socket()
    following = daemon.again()
    assert following.call("status")["generation"] == 2


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        sock.listen(1)
        yield sock


@pytest.mark.parametrize("backlog", ["free", "full"])
def test_a_live_socket_of_somebody_else_is_not_touched(backlog: str, home: Path) -> None:
    home.mkdir(mode=0o700)
    path = home / "torpor.sock"
    with listening(path) as sock, contextlib.ExitStack() as waiting:
        inode = path.stat().st_ino
        if backlog == "full":
            for _ in range(16):
                one = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                one.settimeout(0)
                one.connect_ex(str(path))
        code, said = refused(home)
        assert code == 75, said
        assert str(path) in said
        assert path.stat().st_ino == inode
        sock.settimeout(1)
        sock.accept()[0].close()


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_what_is_no_socket_at_the_path_is_not_touched(kind: str, home: Path) -> None:
    home.mkdir(mode=0o700)
    path = home / "torpor.sock"
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/null")
    before = path.lstat().st_ino
    code, said = refused(home)
    assert code == 78, said
    assert str(path) in said
    assert path.lstat().st_ino == before


BAD_SETTINGS = [
    ("[lifecycle]\ndrowsy_afterr = '5m'\n", ("drowsy_afterr", "'5m'", "line 2", "drowsy_after")),
    ("[lifecycle]\n\n\ndrowsy_after = 'soon'\n", ("drowsy_after", "'soon'", "line 4")),
    ("[lifecycle]\nshadow_run = 'yes'\n", ("shadow_run", "'yes'", "line 2", "true or false")),
    ("[lifecycle]\ndrowsy_after = '2h'\nsleep_after = '1h'\n", ("sleep_after", "line 3")),
    ("[lifecicle]\ndrowsy_after = '5m'\n", ("lifecicle", "line 1", "lifecycle")),
    ("[sleep]\nwhen = { power = 'solar' }\n", ("when.power", "'solar'", "line 2", "mains")),
    ("[hooks]\non_wake = 'true'\n", ("on_wake", "'true'", "line 2")),
    ("[lifecycle\n", ("line 1",)),
    ("\xff", ("torpor.toml",)),
]


@pytest.mark.parametrize(("text", "words"), BAD_SETTINGS)
@pytest.mark.parametrize("command", ["run", "check"])
def test_bad_settings_name_key_value_and_line(command: str, text: str, words: tuple[str, ...], home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "torpor.toml").write_bytes(text.encode("latin-1"))
    if command == "run":
        code, said = refused(home)
    else:
        done = check(home)
        code, said = done.returncode, done.stderr.strip()
    assert code == 78, said
    for word in (str(home / "torpor.toml"), *words):
        assert word in said
    assert [path.name for path in home.iterdir()] == ["torpor.toml"]


def check(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torpord", "check", "--home", str(home), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_check_says_what_a_start_would_find_and_makes_nothing(home: Path) -> None:
    done = check(home)
    assert done.returncode == 0
    assert "not there yet" in done.stdout
    assert not home.exists()
    daemon = RunningDaemon.start(home, settings())
    assert check(home).returncode == 0  # also while one runs
    assert daemon.call("status")["generation"] == 1


def test_check_refuses_an_unfit_home(home: Path) -> None:
    open_to_the_world(home)
    done = check(home)
    assert done.returncode == 78
    assert "chmod 700" in done.stderr
    home.chmod(0o700)


def test_usage_errors_are_64(home: Path) -> None:
    assert refused(home, "--nonsense")[0] == 64
    assert not home.exists()


@pytest.mark.parametrize("option", ["--home", "--config"])
def test_an_empty_path_is_no_default(option: str, home: Path) -> None:
    code, said = refused(home, f"{option}=")
    assert code == 64
    assert option in said
    assert "empty" in said
    assert not home.exists()


def test_settings_that_were_named_must_be_there(home: Path) -> None:
    path = home.with_name("typo.toml")
    code, said = refused(home, "--config", str(path))
    assert code == 78
    assert str(path) in said
    assert not home.exists()
    assert check(home, "--config", str(path)).returncode == 78
    path.write_text(settings())
    assert check(home, "--config", str(path)).returncode == 0


def test_bad_settings_at_a_reload_change_nothing_and_say_so(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    (home / "torpor.toml").write_text("[lifecycle]\ndrowsy_after = 'soon'\n")
    reply = daemon.ask("reload")
    assert reply["error"]["data"]["name"] == "conflict"
    assert "'soon'" in reply["error"]["message"]
    (home / "torpor.toml").write_text(settings(drowsy_after="10m"))
    assert daemon.call("reload")["changed"] == ["lifecycle.drowsy_after"]


@pytest.mark.parametrize("name", ["starts.json", "lifecycle_state.json", "wake.at"])
def test_a_pipe_in_the_place_of_a_file_keeps_no_start_waiting(name: str, home: Path) -> None:
    home.mkdir(mode=0o700)
    os.mkfifo(home / name)
    with RunningDaemon.start(home) as daemon:
        assert daemon.call("status")["state"] == "WAKE"
        assert daemon.stop() == 0


def test_a_pipe_in_the_place_of_the_settings_is_named(home: Path) -> None:
    home.mkdir(mode=0o700)
    os.mkfifo(home / "torpor.toml")
    daemon = RunningDaemon.start(home, wait=False)
    assert daemon.wait_gone() == 78
    assert "torpor.toml cannot be read" in daemon.log_lines()[-1]["text"]
