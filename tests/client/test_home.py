from __future__ import annotations

import fcntl
import json
import os
import pathlib
import sys

import pytest

from torpor import Client, home, presence
from torpor.errors import BadHome


def test_the_home_is_the_one_given_else_named_else_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/u")
    assert home.home_dir("/a/b/", {"TORPOR_HOME": "/c"}) == "/a/b"
    assert home.home_dir(pathlib.Path("x"), {}) == str(pathlib.Path.cwd() / "x")
    assert home.home_dir(None, {"TORPOR_HOME": "/c"}) == "/c"
    assert home.home_dir(None, {"TORPOR_HOME": "", "XDG_STATE_HOME": "/s"}) == "/s/torpor"
    assert home.home_dir(None, {"XDG_STATE_HOME": "relative"}) == "/home/u/.local/state/torpor"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home.home_dir(None, {"XDG_STATE_HOME": "/s"}) == "/home/u/Library/Application Support/torpor"


def test_an_empty_home_is_not_the_default() -> None:
    with pytest.raises(BadHome, match="is empty"):
        home.home_dir("", {"TORPOR_HOME": "/c"})
    with pytest.raises(BadHome, match="is empty"):
        Client("")


def test_the_socket_is_in_the_home_unless_it_is_named() -> None:
    assert home.socket_path("/h", {}) == "/h/torpor.sock"
    assert home.socket_path("/h", {"TORPOR_SOCKET": ""}) == "/h/torpor.sock"
    assert home.socket_path("/h", {"TORPOR_SOCKET": "/run/t"}) == "/run/t"


def test_the_limit_is_counted_in_bytes() -> None:
    fits = "/" + "x" * (home.path_limit() - 1)
    assert home.socket_path("/h", {"TORPOR_SOCKET": fits}) == fits
    with pytest.raises(BadHome, match=f"is {home.path_limit() + 1} bytes long"):
        home.socket_path("/h", {"TORPOR_SOCKET": fits + "x"})
    with pytest.raises(BadHome, match="bytes long"):
        home.socket_path("/h", {"TORPOR_SOCKET": "/" + "ä" * 60})
    assert (home.path_limit("linux"), home.path_limit("darwin")) == (107, 103)


def test_up_is_who_holds_the_lock(short_dir: pathlib.Path) -> None:
    path = str(short_dir)
    assert not presence.is_up(path)
    assert list(short_dir.iterdir()) == []  # looking makes nothing
    lock = os.open(short_dir / "torpor.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        assert not presence.is_up(path)
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert not presence.is_up(path)  # somebody else who only looks
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert presence.is_up(path)
    finally:
        os.close(lock)
    assert not presence.is_up(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00"])
def test_a_state_file_that_says_nothing_is_nothing(short_dir: pathlib.Path, text: str) -> None:
    assert presence.last_known(str(short_dir)) is None
    (short_dir / "lifecycle_state.json").write_text(text)
    assert presence.last_known(str(short_dir)) is None
    assert presence.state_when_down(str(short_dir)) is None


def test_how_it_went_down_is_told(short_dir: pathlib.Path) -> None:
    def told(**known: object) -> str:
        (short_dir / "lifecycle_state.json").write_text(json.dumps(known))
        return presence.told_down(str(short_dir), presence.last_known(str(short_dir)))

    assert "HIBERNATION since then" in told(current_state="HIBERNATION", since_ts="then", pid=None, reason="hibernate")
    assert presence.state_when_down(str(short_dir)) == "HIBERNATION"
    assert "stopped by `torpor stop` in WAKE" in told(current_state="WAKE", pid=None, reason="stop")
    assert "stopped by `torpor stop` in WAKE" in told(current_state="WAKE", pid=7, reason="stop")
    assert presence.state_when_down(str(short_dir)) == "WAKE"
    assert "died in SLEEP without a word" in told(current_state="SLEEP", pid=7, reason="")
    assert presence.state_when_down(str(short_dir)) is None
