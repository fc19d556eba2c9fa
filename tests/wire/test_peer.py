"""Who may speak: the daemon's own user, and root, by the kernel's word."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon_process import RunningDaemon

NOBODY = 65534


@contextmanager
def _as_user(uid: int) -> Iterator[None]:
    """Be another user for a moment: a socket keeps who connected it."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_refused_and_closed_even_where_the_file_modes_let_it_in(home: Path, short_dir: Path) -> None:
    short_dir.chmod(0o711)
    path = short_dir / "open.sock"
    daemon = RunningDaemon.start(home, env={"TORPOR_SOCKET": str(path)})
    path.chmod(0o666)
    with _as_user(NOBODY):
        line = daemon.connect()
    said = line.read_line()
    assert (said["id"], said["error"]["code"], said["error"]["data"]["name"]) == (None, -32000, "not_permitted")
    assert str(NOBODY) in said["error"]["message"]
    assert line.at_end()

    with _as_user(NOBODY):
        line = daemon.connect()
    line.request("event", event="request_arrived")
    line.request("stop")
    assert line.read_line()["error"]["data"]["name"] == "not_permitted"
    assert line.at_end()
    assert daemon.call("status")["wrapper_event_seq"] == 0
    refused = [each for each in daemon.log_lines() if each.get("name") == "not_permitted"]
    assert refused[0]["cause"]["uid"] == NOBODY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_file_modes_keep_others_away(daemon: RunningDaemon) -> None:
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    daemon.home.parent.chmod(0o711)
    with _as_user(NOBODY), pytest.raises(PermissionError):
        daemon.connect()


@pytest.mark.skipif(sys.platform != "linux", reason="it is prctl(2) that gives a process another name")
def test_what_a_program_calls_itself_is_kept_and_shown_on_one_line(daemon: RunningDaemon) -> None:
    called = (
        "import ctypes, socket, sys\n"
        "ctypes.CDLL(None).prctl(15, b'\\x1b[31m\\n\\x07\\xffX', 0, 0, 0)\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect(sys.argv[1])\n"
        "sock.sendall(sys.argv[2].encode())\n"
        "sock.recv(65536)\n"
    )
    request = '{"jsonrpc":"2.0","id":1,"method":"agent.register","params":{"agent_id":"a"}}\n'
    subprocess.run([sys.executable, "-c", called, str(daemon.socket), request], check=True)
    (record,) = daemon.call("log", kinds=["agent_registered"])["records"]
    source = daemon.call("agent.get", agent_id="a")["agent"]["source"]
    assert source == record["cause"]["program"] == "\\x1b[31m\\n\\x07\ufffdX"
    assert source.isprintable()
