"""`torpor hold -- CMD`: CMD runs as if nobody stood in between, and is held while it runs."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import torpor
from client.fake_daemon import FakeDaemon, Visitor, write_state
from client.terminal import Terminal
from torpor.cli import hold
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT = str(pathlib.Path(torpor.__file__).parents[1])


def _command(home: pathlib.Path, *line: str) -> list[str]:
    return [sys.executable, "-m", "torpor", "hold", "--home", str(home), *line]


def _begin(home: pathlib.Path, *line: str, **more: Any) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": CLIENT}
    return subprocess.Popen(
        _command(home, *line), env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
    )


def _run(home: pathlib.Path, *line: str) -> tuple[int, str, str]:
    process = _begin(home, *line)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize("status", [0, 1, 64, 125, 255])
def test_its_exit_status_is_the_commands(home: pathlib.Path, status: int) -> None:
    with FakeDaemon(home):
        assert _run(home, "--", "sh", "-c", f"echo said; exit {status}") == (status, "said\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_a_command_that_a_signal_ended_ends_it_by_the_same(home: pathlib.Path, number: int) -> None:
    with FakeDaemon(home):
        assert _run(home, "--", "sh", "-c", f"kill -{int(number)} $$")[0] == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_sent_to_it_reaches_the_command(home: pathlib.Path, number: signal.Signals) -> None:
    trap = f"trap 'echo got it; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
    with FakeDaemon(home):
        process = _begin(home, "--", "sh", "-c", trap)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (5, "got it\n", "")


def test_the_terminals_interrupt_reaches_the_command_once(home: pathlib.Path) -> None:
    counts = (
        "n=0; trap 'n=$((n+1)); echo interrupted $n' INT; echo ready; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.2"
    )
    with FakeDaemon(home), Terminal(_command(home, "--", "sh", "-c", counts)) as terminal:
        terminal.until(b"ready")
        terminal.press(b"\x03")
        assert terminal.status() == 0
    assert terminal.said.count(b"interrupted") == 1
    assert b"Traceback" not in terminal.said


def test_what_the_caller_ignores_stays_ignored(home: pathlib.Path) -> None:
    shows = "import signal; print(*(signal.getsignal(s).name for s in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)))"
    shell = "trap '' HUP INT; exec \"$@\""
    environ = {**os.environ, "PYTHONPATH": CLIENT}
    with FakeDaemon(home):
        command = ["sh", "-c", shell, "sh", *_command(home, "--", sys.executable, "-c", shows)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("SIG_IGN SIG_IGN SIG_DFL\n", "")


def test_the_command_finds_no_trace_of_it(home: pathlib.Path) -> None:
    shows = (
        "import json, os, signal; print(json.dumps({'fds': sorted(os.listdir('/proc/self/fd')), "
        "'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "
        "'group': os.getpgrp() == os.getpgid(os.getppid())}))"
    )
    with FakeDaemon(home):
        status, out, _ = _run(home, "--", sys.executable, "-c", shows)
    assert status == 0
    assert json.loads(out) == {"fds": ["0", "1", "2", "3"], "blocked": 0, "group": True}  # 3: the listing itself
    with FakeDaemon(home):  # SIGPIPE is not left ignored
        assert _run(home, "--", "sh", "-c", "kill -PIPE $$; echo alive")[0] == -signal.SIGPIPE


@pytest.mark.parametrize(("command", "status"), [("/no/such/thing", 127), ("no-such-thing-at-all", 127),
                                                 ("/etc/passwd", 126), ("/", 126)])  # fmt: skip
def test_a_command_that_cannot_run_is_told_as_env_does(home: pathlib.Path, command: str, status: int) -> None:
    with FakeDaemon(home):
        found, out, err = _run(home, "--", command)
    assert (found, out) == (status, "")
    assert err.startswith(f"torpor: cannot run {command}: ")


@pytest.mark.parametrize(
    "line",
    [[], ["--"], ["--nonsense", "--", "true"], ["true"], ["--ttl", "5x", "--", "true"], ["--home", "", "--", "true"]],
)
def test_its_own_failures_are_125(home: pathlib.Path, line: list[str]) -> None:
    status, out, err = _run(home, *line)
    assert (status, out) == (125, "")
    assert len(err.splitlines()) == 1


def test_without_a_daemon_the_command_runs_all_the_same(home: pathlib.Path) -> None:
    write_state(home, reason="stop")
    status, out, err = _run(home, "--", "sh", "-c", "echo said; exit 3")
    assert (status, out) == (3, "said\n")
    assert err.startswith("torpor: no hold for sh, running it all the same: down: stopped")
    assert len(err.splitlines()) == 1
    status, out, err = _run(pathlib.Path("/tmp/" + "x" * 200), "--", "echo", "said")
    assert (status, out) == (0, "said\n")
    assert "bytes long" in err


def _ended(done: list[str]) -> Callable[[Visitor], None]:
    def scene(visitor: Visitor) -> None:
        visitor.answer(visitor.request())
        try:
            visitor.request()
        except EOFError:
            done.append("closed")
            raise

    return scene


def test_it_is_held_as_long_as_the_command_runs(home: pathlib.Path) -> None:
    done: list[str] = []
    with FakeDaemon(home, _ended(done)) as daemon:
        process = _begin(home, "--why", "testing", "--", "sh", "-c", "read x; exit 0", stdin=subprocess.PIPE)
        until(lambda: daemon.requests)
        assert not done
        process.communicate("\n", timeout=20)
        until(lambda: done == ["closed"])
    params = daemon.requests[0]["params"]
    assert params["why"] == "testing"
    assert "ttl_s" not in params
    assert "pid" not in params


def test_a_hold_with_a_limit_is_released_by_name(home: pathlib.Path) -> None:
    with FakeDaemon(home) as daemon:
        assert _run(home, "--ttl", "1h", "--", "true")[0] == 0
    assert daemon.methods() == ["hold.acquire", "hold.release"]
    assert daemon.requests[0]["params"]["ttl_s"] == 3600
    assert daemon.requests[0]["params"]["why"] == "true"
    assert daemon.requests[1]["params"]["hold_id"] == "h1"


def test_a_hold_that_ended_with_its_daemon_is_taken_again_from_the_next(home: pathlib.Path) -> None:
    first = FakeDaemon(home)
    with first:
        process = _begin(home, "--", "sh", "-c", "read x; exit 4", stdin=subprocess.PIPE)
        until(lambda: first.requests)
    with FakeDaemon(home) as second:
        until(lambda: second.requests)
        _, err = process.communicate("\n", timeout=20)
    assert second.methods() == ["hold.acquire"]
    assert (process.returncode, err) == (4, "")


def test_the_reason_is_made_fit_for_the_wire() -> None:
    assert hold.printable("make\t-j4\n all", 200) == "make -j4  all"
    assert hold.printable("\x00\n", 200) == "no reason given"
    assert hold.printable("x" * 300, 200) == "x" * 199 + "…"
