"""What `torpor start` and `torpor stop` tell the service manager, and which units' names they believe."""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import write_state
from torpor import presence
from torpor.cli import service_manager
from torpor.cli.service_manager import Units
from torpor.service.running import Ran

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Mapping, Sequence

    from client.conftest import Torpor

ME = getpass.getuser()
USERS = {"manager": "systemd-user", "unit": "torpord-work"}
SYSTEMS = {"manager": "systemd-system", "unit": f"torpord@{ME}"}


def installed(home: pathlib.Path, **fields: Any) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "service.json").write_text(json.dumps(fields))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Note which commands would be run, and for which runtime directory; all succeed."""
    noted: list[tuple[str, str]] = []

    def run(argv: Sequence[str], environ: Mapping[str, str], _limit_s: float) -> Ran:
        noted.append((" ".join(argv), environ.get("XDG_RUNTIME_DIR", "")))
        return Ran(0, "", "")

    monkeypatch.setattr(service_manager.running, "run", run)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return noted


def test_the_daemons_word_is_newer_than_the_installs(home: pathlib.Path) -> None:
    assert service_manager.units(str(home)) is None
    installed(home, **SYSTEMS)
    assert service_manager.units(str(home)) == Units("systemd-system", f"torpord@{ME}")
    write_state(home, **USERS)
    assert service_manager.units(str(home)) == Units("systemd-user", "torpord-work")
    write_state(home, manager="none", unit="")
    assert service_manager.units(str(home)) == Units("systemd-system", f"torpord@{ME}")
    (home / "lifecycle_state.json").unlink()
    assert service_manager.units(str(home)) == Units("systemd-system", f"torpord@{ME}")


@pytest.mark.parametrize(("supervisor", "manager"), [("systemd", "systemd-user"), ("launchd", "launchd")])
def test_an_older_state_file_names_no_units(home: pathlib.Path, supervisor: str, manager: str) -> None:
    write_state(home, supervisor=supervisor)
    assert service_manager.units(str(home)) == Units(manager, "")
    write_state(home, supervisor="none")
    assert service_manager.units(str(home)) is None


@pytest.mark.parametrize("unit", ["--now", "ssh", "torpord@somebody-else", "torpord@*", "torpord work", 7, None])
def test_no_name_is_believed_but_ones_own(home: pathlib.Path, commands: list[tuple[str, str]], unit: object) -> None:
    write_state(home, manager="systemd-system", unit=unit)
    found = service_manager.units(str(home))
    assert found == Units("systemd-system", "")
    service_manager.stop_units(str(home), found)
    assert commands == [(f"systemctl stop torpord@{ME}.socket torpord@{ME}.path", "")]


def test_a_users_manager_is_found_without_a_session(home: pathlib.Path, commands: list[tuple[str, str]]) -> None:
    write_state(home, **USERS, reason="stop")
    found = service_manager.units(str(home))
    assert found is not None
    service_manager.start_units(str(home), found)
    told = "systemctl --user start torpord-work.socket torpord-work.path"
    assert commands == [(told, f"/run/user/{os.geteuid()}")]


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_roots_daemon_of_an_older_version_is_the_systems(home: pathlib.Path, commands: list[tuple[str, str]]) -> None:
    write_state(home, supervisor="systemd")
    service_manager.stop_units(str(home), Units("systemd-user", ""))
    assert commands == [("systemctl stop torpord.socket torpord.path", "")]


@pytest.fixture
def keeper(short_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[bytes]]:
    """A keeper of the system's manager with one answer, for somebody who is not root; returns what it was told."""
    monkeypatch.setattr(service_manager, "_KEEPERS", str(short_dir))
    monkeypatch.setattr(service_manager.os, "geteuid", lambda: 1500)
    told: list[bytes] = []

    def listen(words: bytes) -> list[bytes]:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(short_dir / ME))
        listener.listen()

        def serve() -> None:
            with listener, listener.accept()[0] as visitor:
                told.append(visitor.recv(100))
                visitor.sendall(words)

        threading.Thread(target=serve, daemon=True).start()
        return told

    return listen


@pytest.mark.parametrize(
    ("words", "said"),
    [(b"ActiveState=active\nok\n", ""), (b"bad: no such word\n", "would not stop (bad: no such word)"),
     (b"", "would not stop (no answer)")],
)  # fmt: skip
def test_the_systems_manager_is_told_by_its_keeper(
    home: pathlib.Path,
    commands: list[tuple[str, str]],
    keeper: Callable[[bytes], list[bytes]],
    capsys: pytest.CaptureFixture[str],
    words: bytes,
    said: str,
) -> None:
    told = keeper(words)
    write_state(home, **SYSTEMS)
    service_manager.stop_units(str(home), Units("systemd-system", f"torpord@{ME}"))
    assert (told, commands) == ([b"stop\n"], [])
    err = capsys.readouterr().err
    assert said in err
    assert bool(said) == bool(err)
    assert not said or "the next connection or file will start torpord again" in err


def test_what_the_keeper_started_is_waited_for(
    home: pathlib.Path, keeper: Callable[[bytes], list[bytes]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(service_manager, "_OPEN_LIMIT_S", 0.1)
    write_state(home, **SYSTEMS)
    assert keeper(b"ok\n") == []
    service_manager.start_units(str(home), Units("systemd-system", f"torpord@{ME}"))
    assert f"nobody listens on {home}/torpor.sock: starting torpord without them" in capsys.readouterr().err


def test_without_a_keeper_systemctl_may_yet_be_heard(
    home: pathlib.Path, commands: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_manager.os, "geteuid", lambda: 1500)
    monkeypatch.setattr(service_manager, "_KEEPERS", str(home))
    write_state(home, **SYSTEMS)
    service_manager.stop_units(str(home), Units("systemd-system", f"torpord@{ME}"))
    assert commands == [(f"systemctl stop torpord@{ME}.socket torpord@{ME}.path", "")]


def test_a_stop_is_taken_back_before_the_units_are_started(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(home, **USERS, reason="stop")
    (home / "stopped").touch()
    there: list[bool] = []
    monkeypatch.setattr(service_manager, "start_units", lambda *_: there.append((home / "stopped").exists()))
    assert torpor("start")[0] == 69  # it is tried
    assert there == [False]


def test_one_that_cannot_be_taken_back_is_told_and_the_daemon_started(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, reason="stop")
    (home / "stopped").mkdir()
    status, _, err = torpor("start")
    assert status == 69
    assert f"{home}/stopped cannot be removed" in err


def test_the_file_alone_says_it(home: pathlib.Path, torpor: Torpor) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "stopped").touch()
    assert presence.was_stopped(str(home), None)
    assert torpor("wake")[0] == 3
    assert f"down: stopped by `torpor stop`: `torpor start --home {home}` starts it again" in torpor("wake")[2]
    assert torpor("stop")[:2] == (0, "stopped already\n")
    left = f"left in wake.d: torpor is stopped, run `torpor start --home {home}`\n"
    assert torpor("send", "wake_signal")[1] == left
    # A daemon that died at its start left the words of an earlier life beside it.
    write_state(home, reason="hibernate", pid=7)
    assert presence.state_when_down(str(home)) == "WAKE"
    presence.forget_stop(str(home))
    presence.forget_stop(str(home))
    assert not presence.was_stopped(str(home), presence.last_known(str(home)))


def test_who_was_stopped_with_an_open_door_has_it_shut(
    home: pathlib.Path, torpor: Torpor, commands: list[tuple[str, str]]
) -> None:
    write_state(home, **USERS, reason="stop")
    assert torpor("stop")[:2] == (0, "stopped already, in WAKE\n")
    assert [told for told, _ in commands] == ["systemctl --user stop torpord-work.socket torpord-work.path"]
