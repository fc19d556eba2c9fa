"""`torpor agent wrap NAME -- CMD`: CMD runs as if nobody stood in between, and its agent is busy while it does."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import torpor
from client.fake_daemon import FakeDaemon, Visitor, write_state
from client.terminal import Terminal
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT = str(pathlib.Path(torpor.__file__).parents[1])
REGISTER, BEAT, MOVE = "agent.register", "agent.heartbeat", "agent.transition"
WHOLE = [REGISTER, BEAT, BEAT, MOVE]


def _command(home: pathlib.Path, *line: str) -> list[str]:
    return [sys.executable, "-P", "-m", "torpor", "agent", "wrap", "--home", str(home), *line]


def _begin(home: pathlib.Path, *line: str, **more: Any) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": CLIENT}
    return subprocess.Popen(
        _command(home, *line), env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
    )


def _run(home: pathlib.Path, *line: str) -> tuple[int, str, str]:
    process = _begin(home, *line)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def _daemon(*statuses: str, beat_s: float = 40.0, refusals: dict[str, list[dict[str, Any]]] | None = None) -> Any:
    """Return a scene: bare heartbeats get `statuses` in turn, methods their refusals' data, all else is granted."""
    told, refused = list(statuses), refusals or {}

    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            if refused.get(request["method"]):
                visitor.refuse(request["id"], **refused[request["method"]].pop(0))
                continue
            is_bare = request["method"] == BEAT and "doing" not in request["params"]
            status = told.pop(0) if told and is_bare else "busy"
            word = {"agent_id": "a", "status": status, "changed": True, "slots": [], "due": 0, "seq": 1}
            visitor.answer(request, {**word, "heartbeat_s": beat_s})

    return scene


def _always(scene: Callable[[Visitor], None]) -> list[Callable[[Visitor], None]]:
    return [scene] * 100


def _doings(daemon: FakeDaemon) -> list[str | None]:
    """Return what each word says, without the register: busy, None (only that it is there), idle, offline."""
    words = [request["params"] for request in daemon.requests if request["method"] != REGISTER]
    return [params.get("to", params.get("doing")) for params in words]


@pytest.mark.parametrize("status", [0, 1, 64, 125, 255])
def test_its_exit_status_is_the_commands(home: pathlib.Path, status: int) -> None:
    with FakeDaemon(home, *_always(_daemon())) as daemon:
        assert _run(home, "editor", "--", "sh", "-c", f"echo said; exit {status}") == (status, "said\n", "")
    assert daemon.methods() == WHOLE
    assert _doings(daemon) == ["busy", "idle", "offline"]
    assert {request["params"]["agent_id"] for request in daemon.requests} == {"editor"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_a_command_that_a_signal_ended_ends_it_by_the_same(home: pathlib.Path, number: int) -> None:
    with FakeDaemon(home, *_always(_daemon())) as daemon:
        assert _run(home, "editor", "--", "sh", "-c", f"kill -{int(number)} $$")[0] == -number
    assert _doings(daemon) == ["busy", "idle", "offline"]


PASSED_ON = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT,
             signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGURG, signal.SIGABRT,
             signal.SIGXCPU, signal.SIGWINCH, signal.SIGTSTP]  # fmt: skip


@pytest.mark.parametrize("number", PASSED_ON)
def test_a_signal_sent_to_it_reaches_the_command(home: pathlib.Path, number: signal.Signals) -> None:
    waits = (  # not in signal.pause(): what comes just before it would be seen behind it
        "import signal, sys, time; signal.signal(int(sys.argv[1]), lambda n, _: (print('got', n), sys.exit(5)));"
        "print('ready', flush=True); [time.sleep(0.02) for _ in range(3000)]"
    )
    with FakeDaemon(home, *_always(_daemon())):
        process = _begin(home, "editor", "--", sys.executable, "-c", waits, str(int(number)))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (5, f"got {int(number)}\n", "")


def test_what_the_caller_ignores_stays_ignored(home: pathlib.Path) -> None:
    shows = "import signal; print(*(signal.getsignal(s).name for s in (signal.SIGHUP, signal.SIGTSTP, signal.SIGTERM)))"
    shell = "trap '' HUP TSTP; exec \"$@\""
    environ = {**os.environ, "PYTHONPATH": CLIENT}
    with FakeDaemon(home, *_always(_daemon())):
        command = ["sh", "-c", shell, "sh", *_command(home, "editor", "--", sys.executable, "-c", shows)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("SIG_IGN SIG_IGN SIG_DFL\n", "")


def test_the_command_finds_no_trace_of_it(home: pathlib.Path) -> None:
    shows = (
        "import json, os, signal; print(json.dumps({'fds': sorted(os.listdir('/proc/self/fd')), "
        "'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "
        "'handled': [s for s in signal.valid_signals() if s not in (2, 13, 25) and signal.getsignal(s)], "
        "'group': os.getpgrp() == os.getpgid(os.getppid()), "
        "'environ': sorted(set(os.environ) - {'LC_CTYPE'})}))"
    )
    alone = subprocess.run([sys.executable, "-c", shows], env={**os.environ, "PYTHONPATH": CLIENT}, text=True,
                           capture_output=True, check=True)  # fmt: skip
    with FakeDaemon(home, *_always(_daemon())):
        status, out, _ = _run(home, "editor", "--", sys.executable, "-c", shows)
    assert status == 0
    assert json.loads(out) == json.loads(alone.stdout)


def test_a_stop_of_the_command_is_a_stop_of_it_and_so_is_going_on(home: pathlib.Path) -> None:
    with FakeDaemon(home, *_always(_daemon())):
        process = _begin(home, "editor", "--", "sh", "-c", "kill -STOP $$; echo goes on; exit 4")
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert (os.WIFSTOPPED(status), os.WSTOPSIG(status)) == (True, signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=20) == ("goes on\n", "")
    assert process.returncode == 4


def test_a_command_killed_while_it_is_stopped_is_told_once_it_goes_on(home: pathlib.Path) -> None:
    with FakeDaemon(home, *_always(_daemon())):
        process = _begin(home, "editor", "--", "sh", "-c", "echo $$; kill -STOP $$")
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.waitpid(process.pid, os.WUNTRACED)
        os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL


def test_a_stop_that_comes_to_nothing_for_it_is_waited_out(home: pathlib.Path) -> None:
    """In a group that no shell looks after, the kernel throws SIGTSTP away; SIGSTOP is another's doing."""
    with FakeDaemon(home, *_always(_daemon())):
        line = "trap 'echo again; exit 6' USR1; kill -TSTP $$; echo not stopped; while :; do sleep 0.05; done"
        process = _begin(home, "editor", "--", "sh", "-c", line, start_new_session=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "not stopped\n"
        process.send_signal(signal.SIGUSR1)
        assert process.communicate(timeout=20)[0] == "again\n"
    assert process.returncode == 6


def test_the_terminal_is_the_commands(home: pathlib.Path) -> None:
    reads = "import getpass, os; print('tty', os.isatty(0), os.getpgrp() == os.tcgetpgrp(0)); print(getpass.getpass())"
    command = _command(home, "editor", "--", sys.executable, "-c", reads)
    with FakeDaemon(home, *_always(_daemon())), Terminal(command) as terminal:
        terminal.until(b"Password: ")
        terminal.press(b"secret\n")
        assert terminal.status() == 0
    assert b"tty True True" in terminal.said
    assert terminal.said.count(b"secret") == 1


@pytest.mark.parametrize(("command", "status"), [("/no/such/thing", 127), ("no-such-thing-at-all", 127),
                                                 ("/etc/passwd", 126), ("/", 126)])  # fmt: skip
def test_a_command_that_cannot_run_is_told_as_env_does(home: pathlib.Path, command: str, status: int) -> None:
    with FakeDaemon(home, *_always(_daemon())) as daemon:
        found, out, err = _run(home, "editor", "--", command)
    assert (found, out) == (status, "")
    assert err.startswith(f"torpor: cannot run {command}: ")
    assert daemon.requests == []


def test_a_script_without_its_first_line_is_run_by_sh_as_a_shell_does(home: pathlib.Path) -> None:
    script = home / "script"
    script.write_text("echo $1; exit 7\n")
    script.chmod(0o755)
    with FakeDaemon(home, *_always(_daemon())):
        assert _run(home, "editor", "--", str(script), "said") == (7, "said\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="nobody tells there what was set before Python was")
@pytest.mark.parametrize("found", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}])
def test_what_python_sets_in_its_own_environment_is_not_the_commands(home: pathlib.Path, found: dict[str, str]) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": CLIENT, **found}
    with FakeDaemon(home, *_always(_daemon())):
        done = subprocess.run(_command(home, "editor", "--", "env"), env=environ, capture_output=True, text=True,
                              check=True)  # fmt: skip
    shown = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {name: value for name, value in shown.items() if name.startswith("LC_")} == found


def test_the_command_runs_also_where_there_is_no_thread_to_be_had(home: pathlib.Path, short_dir: pathlib.Path) -> None:
    (short_dir / "sitecustomize.py").write_text(
        "import threading\n"
        'def none(*_, **__): raise RuntimeError("can\'t start new thread")\n'
        "threading._start_new_thread = threading._start_joinable_thread = none\n"
    )
    environ = {**os.environ, "PYTHONPATH": f"{short_dir}:{CLIENT}"}
    command = _command(home, "editor", "--", "sh", "-c", "echo said; exit 7")
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (7, "said\n")
    assert done.stderr == "torpor: nothing was said while sh ran: can't start new thread\n"


def test_a_terminal_that_goes_away_is_told_to_a_shell_with_a_group_of_its_own(home: pathlib.Path) -> None:
    marker = home / "hung-up"
    waits = (
        "import os, pathlib, signal, sys, time; os.setpgid(0, 0);"
        "signal.signal(signal.SIGHUP, lambda *_: (pathlib.Path(sys.argv[1]).touch(), os._exit(0)));"
        "os.write(1, b'ready'); [time.sleep(0.02) for _ in range(3000)]"
    )
    command = _command(home, "editor", "--", sys.executable, "-c", waits, str(marker))
    with FakeDaemon(home, *_always(_daemon())), Terminal(command) as terminal:
        terminal.until(b"ready")
        terminal.hang_up()
        until(marker.exists)


@pytest.mark.parametrize(
    "line",
    [[], ["editor"], ["editor", "--"], ["--", "true"], ["--nonsense", "editor", "--", "true"], ["", "--", "true"],
     ["x" * 129, "--", "true"], ["a\nb", "--", "true"], ["a\x1b[2J", "--", "true"], ["x" * 10_000, "--", "true"]],
)  # fmt: skip
def test_its_own_failures_are_125_and_nothing_has_run(home: pathlib.Path, line: list[str]) -> None:
    marker = home / "ran"
    with FakeDaemon(home, *_always(_daemon())) as daemon:
        status, out, err = _run(home, *[str(marker) if word == "true" else word for word in line])
    assert (status, out) == (125, "")
    assert len(err.splitlines()) == 1
    assert len(err) < 300
    assert daemon.requests == []


# What is said meanwhile.


def test_it_is_there_as_often_as_the_daemon_wants_and_busy_said_once(home: pathlib.Path) -> None:
    with FakeDaemon(home, *_always(_daemon(beat_s=0.05))) as daemon:
        process = _begin(home, "editor", "--", "sh", "-c", "read x", stdin=subprocess.PIPE)
        until(lambda: len(daemon.requests) > 5)
        process.communicate("\n", timeout=20)
        assert daemon.requests[0]["params"]["pid"] == process.pid
    said = _doings(daemon)
    assert said[0] == "busy"
    assert set(said[1:-2]) == {None}
    assert said[-2:] == ["idle", "offline"]


def test_after_a_quotas_pause_it_is_busy_again_but_not_within(home: pathlib.Path) -> None:
    scene = _daemon("busy", "exhausted", "exhausted", "idle", "busy", beat_s=0.02)
    with FakeDaemon(home, *_always(scene)) as daemon:
        process = _begin(home, "editor", "--", "sh", "-c", "read x", stdin=subprocess.PIPE)
        until(lambda: len(daemon.requests) > 9)
        process.communicate("\n", timeout=20)
    assert _doings(daemon)[:7] == ["busy", None, None, None, None, "busy", None]


def test_an_idle_that_somebody_else_said_is_left_as_it_is(home: pathlib.Path) -> None:
    with FakeDaemon(home, *_always(_daemon("idle", "idle", "idle", beat_s=0.02))) as daemon:
        process = _begin(home, "editor", "--", "sh", "-c", "read x", stdin=subprocess.PIPE)
        until(lambda: len(daemon.requests) > 5)
        process.communicate("\n", timeout=20)
    assert _doings(daemon).count("busy") == 1


def test_an_agent_whose_quota_is_used_up_is_there_all_the_same(home: pathlib.Path) -> None:
    exhausted = {BEAT: [{"name": "conflict", "status": "exhausted", "needs": ["idle"]}]}
    with FakeDaemon(home, *_always(_daemon("idle", beat_s=0.02, refusals=exhausted))) as daemon:
        process = _begin(home, "editor", "--", "sh", "-c", "read x", stdin=subprocess.PIPE)
        until(lambda: len(daemon.requests) > 5)
        _, err = process.communicate("\n", timeout=20)
    assert err == ""
    assert _doings(daemon)[:3] == ["busy", None, "busy"]


def test_a_pid_that_means_nothing_to_the_daemon_is_left_out(home: pathlib.Path) -> None:
    refused = {REGISTER: [{"name": "invalid_params", "field": "pid"}]}
    with FakeDaemon(home, *_always(_daemon(refusals=refused))) as daemon:
        assert _run(home, "editor", "--", "true") == (0, "", "")
    assert daemon.methods() == [REGISTER, *WHOLE]
    assert ["pid" in request["params"] for request in daemon.requests[:2]] == [True, False]


def test_one_that_was_forgotten_is_made_known_again(home: pathlib.Path) -> None:
    with FakeDaemon(home, *_always(_daemon(beat_s=0.02, refusals={BEAT: []}))) as daemon:
        process = _begin(home, "editor", "--", "sh", "-c", "read x", stdin=subprocess.PIPE)
        until(lambda: len(daemon.requests) > 3)
    refused = {BEAT: [{"name": "not_found", "agent_id": "editor"}]}
    with FakeDaemon(home, *_always(_daemon(beat_s=0.02, refusals=refused))) as after:
        until(lambda: len(after.requests) > 4)
        _, err = process.communicate("\n", timeout=20)
    assert (process.returncode, err) == (0, "")
    assert after.methods()[:3] in ([BEAT, REGISTER, BEAT], [REGISTER, BEAT, REGISTER])


# Where torpor is not to be reached.


def test_after_a_stop_the_command_runs_and_says_so_at_its_end_only(home: pathlib.Path) -> None:
    write_state(home, reason="stop")
    status, out, err = _run(home, "editor", "--", "sh", "-c", "echo said; echo mine >&2; exit 3")
    assert (status, out) == (3, "said\n")
    first, last = err.splitlines()
    assert first == "mine"
    assert last.startswith("torpor: agent editor was not known all the time: down: stopped by `torpor stop`")


def test_a_daemon_that_is_back_after_a_stop_is_told(home: pathlib.Path) -> None:
    write_state(home, reason="stop")
    process = _begin(home, "editor", "--", "sh", "-c", "echo ready; read x", stdin=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with FakeDaemon(home, *_always(_daemon())) as daemon:
        until(lambda: daemon.methods()[:2] == [REGISTER, BEAT])
        _, err = process.communicate("\n", timeout=20)
    assert err == ""
    assert _doings(daemon) == ["busy", "idle", "offline"]


@pytest.mark.parametrize("place", ["/tmp/" + "x" * 200, "/etc/passwd", "/proc/none"])
def test_a_home_that_cannot_be_is_no_reason_not_to_run(place: str) -> None:
    status, out, err = _run(pathlib.Path(place), "editor", "--", "sh", "-c", "echo said; exit 7")
    assert (status, out) == (7, "said\n")
    assert err.startswith("torpor: agent editor was not known all the time: ")
    assert len(err.splitlines()) == 1


def test_a_daemon_that_hangs_holds_up_the_end_for_two_seconds_at_most(home: pathlib.Path) -> None:
    def mute(visitor: Visitor) -> None:
        visitor.request()
        visitor.daemon.ended.wait()

    with FakeDaemon(home, *_always(mute)):
        begun = time.monotonic()
        process = _begin(home, "editor", "--", "sh", "-c", "exit 7")
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - begun < 5
    assert process.returncode == 7
    assert "no answer" in err
    assert len(err.splitlines()) == 1


def test_a_daemon_that_cannot_be_started_is_no_reason_not_to_run(home: pathlib.Path) -> None:
    (home / "torpor.toml").write_text("[nonsense]\n")  # whatever is started ends at once
    tried = f"until grep -q nonsense {home}/torpord.log 2>/dev/null; do sleep 0.02; done"
    status, out, err = _run(home, "editor", "--", "sh", "-c", f"echo said; {tried}; exit 7")
    assert (status, out) == (7, "said\n")
    why = f"torpord of {home} does not start: `torpor start --home {home}` says why"
    assert err == f"torpor: agent editor was not known all the time: {why}\n"


def test_an_answer_that_makes_no_sense_is_told_at_the_end_only(home: pathlib.Path) -> None:
    def strange(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {"surprise": 1})
        visitor.daemon.ended.wait()

    with FakeDaemon(home, *_always(strange)):
        status, out, err = _run(home, "editor", "--", "sh", "-c", "echo said; exit 7")
    assert (status, out) == (7, "said\n")
    assert err.startswith("torpor: agent editor was not known all the time: torpor made a mistake of its own: KeyError")
    assert len(err.splitlines()) == 1
