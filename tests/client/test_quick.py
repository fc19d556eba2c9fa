"""`torpor send` in the plain case: the script as it is installed, and all that it loads (its time: bench/send.py)."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import torpor
from client.fake_daemon import FakeDaemon, Visitor
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = pathlib.Path(__file__).parents[2] / "client" / "bin" / "torpor"
USUAL = b'{"jsonrpc":"2.0","id":1,"result":{"state":"DROWSY","seq":1,"changed":false,"wrapper_event_seq":1}}\n'


def _run(
    home: pathlib.Path, *args: str, options: Sequence[str] = (), **more: object
) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *options, str(SCRIPT), *args],
        env=environ, capture_output=True, text=True, timeout=30, check=False, **more,  # type: ignore[call-overload,no-any-return]
    )  # fmt: skip


def _usual(visitor: Visitor) -> None:
    visitor.request()
    visitor.send(USUAL)


def test_it_sends_and_says_so(home: pathlib.Path) -> None:
    with FakeDaemon(home, _usual, _usual) as daemon:
        done = _run(home, "send", "request_arrived", "--key", "a-1.b:c/d")
        assert (done.returncode, done.stdout, done.stderr) == (0, "sent: DROWSY\n", "")
        done = _run(pathlib.Path("/nowhere"), "send", "--home", str(home), "wake_signal")
        assert done.stdout == "sent: DROWSY\n"
    assert daemon.requests == [
        {"jsonrpc": "2.0", "id": 1, "method": "event", "params": {"event": "request_arrived", "key": "a-1.b:c/d"}},
        {"jsonrpc": "2.0", "id": 1, "method": "event", "params": {"event": "wake_signal"}},
    ]


def test_it_loads_next_to_nothing(home: pathlib.Path) -> None:
    with FakeDaemon(home, _usual):
        told = _run(home, "send", "request_arrived", options=["-X", "importtime"]).stderr
    loaded = [line.rpartition("|")[2].strip() for line in told.splitlines()]
    ours = loaded[loaded.index("site") + 1 :]
    assert ours == ["torpor", "torpor.wire", "torpor.home", "torpor.quick", "_socket"]


@pytest.mark.parametrize("key", ['a"b', "a\\b", "ä", "tab\there"])
def test_another_character_goes_the_long_way_unharmed(home: pathlib.Path, key: str) -> None:
    with FakeDaemon(home) as daemon:
        assert _run(home, "send", "wake_signal", "--key", key).stdout == "sent: WAKE\n"
    assert daemon.requests[0]["params"]["key"] == key


def test_an_answer_that_is_not_the_usual_one_goes_the_long_way(home: pathlib.Path) -> None:
    def other_order(visitor: Visitor) -> None:
        visitor.send({"result": {"seq": 1, "state": "SLEEP"}, "id": visitor.request()["id"], "jsonrpc": "2.0"})

    def drain(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "draining")

    def refuse(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "conflict")

    def hang_up(visitor: Visitor) -> None:
        visitor.request()

    with FakeDaemon(home, other_order, other_order, drain, hang_up, hang_up, other_order, refuse, refuse):
        assert _run(home, "send", "wake_signal").stdout == "sent: SLEEP\n"
        assert _run(home, "send", "wake_signal").stdout == "sent: SLEEP\n"
        done = _run(home, "send", "force_sleep")
        assert (done.returncode, done.stdout, done.stderr) == (75, "", "torpor: no: conflict\n")


def test_a_reader_that_is_gone_does_not_make_it_fail(home: pathlib.Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environ = {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}
    with FakeDaemon(home, _usual, _usual) as daemon:
        command = [sys.executable, str(SCRIPT), "send", "wake_signal"]
        done = subprocess.run(command, env=environ, stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")
        closed = subprocess.run(f"exec '{sys.executable}' '{SCRIPT}' send wake_signal >&-", shell=True, env=environ,  # noqa: S602 - the shell closes a descriptor for us
                                stderr=subprocess.PIPE, check=False)  # fmt: skip
        assert (closed.returncode, closed.stderr) == (0, b"")
        assert daemon.methods() == ["event", "event"]


def test_ctrl_c_at_a_daemon_that_hangs_is_130_and_quiet(home: pathlib.Path) -> None:
    def hang(visitor: Visitor) -> None:
        visitor.request()
        visitor.daemon.ended.wait()

    environ = {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}
    with FakeDaemon(home, hang) as daemon:
        sending = subprocess.Popen([sys.executable, str(SCRIPT), "send", "wake_signal"], env=environ, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        until(lambda: daemon.requests)
        sending.send_signal(signal.SIGINT)
        out, err = sending.communicate(timeout=20)
    assert (sending.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("args", [["send"], ["send", "nonsense"], ["send", "wake_signal", "--key"], ["send", "-x"],
                                  ["send", "wake_signal", "--home", ""], ["send", "wake_signal", "extra"],
                                  ["nonsense"], []])  # fmt: skip
def test_a_line_that_means_nothing_is_one_line_and_64(home: pathlib.Path, args: list[str]) -> None:
    done = _run(home, *args)
    assert done.returncode == 64
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert not (home / "wake.d").exists()


def test_as_a_module_it_is_the_same(home: pathlib.Path) -> None:
    with FakeDaemon(home, _usual):
        environ = {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}
        command = [sys.executable, "-m", "torpor", "send", "wake_signal"]
        assert subprocess.run(command, env=environ, capture_output=True, check=False).stdout == b"sent: DROWSY\n"


def test_nothing_is_imported_from_where_the_script_lies(home: pathlib.Path, short_dir: pathlib.Path) -> None:
    installed = short_dir / "torpor"
    installed.write_text(SCRIPT.read_text())
    (short_dir / "_socket.py").write_text("raise SystemExit('imported from the wrong place')")
    environ = {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}
    with FakeDaemon(home, _usual):
        command = [sys.executable, str(installed), "send", "wake_signal"]
        assert subprocess.run(command, env=environ, capture_output=True, check=False).stdout == b"sent: DROWSY\n"


def test_the_daemon_that_answers_is_spoken_to_as_the_wire_says() -> None:
    from torpor import messages, quick

    plain = quick._REQUEST % ("wake_signal", ',"key":"k"')
    assert json.loads(plain) == json.loads(messages.encode(1, "event", {"event": "wake_signal", "key": "k"}))
