"""Flows of commands from the settings: what a command is told, what it tells, and what it leaves behind."""

from __future__ import annotations

import pathlib
import shlex
from typing import Any

import psutil
import pytest

from flows.conftest import Start
from flows.worker_end import WorkerEnd, step
from torpord.flows.commands import build
from torpord.flows.graph import check, mermaid
from waiting import until


def spec(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": "given", "steps": [{"name": "work", **each} for each in steps]}


def outcome(end: WorkerEnd) -> dict[str, Any]:
    """Run the first step to its end."""
    end.begun()
    ended = end.expect("ended")
    return {**ended["outcome"], "set": ended["set"]}


def failed(end: WorkerEnd) -> str:
    found = outcome(end)
    assert found["failed"]["type"] == "Failed"
    return str(found["failed"]["message"])


def test_the_settings_make_a_graph() -> None:
    flow = build(
        spec(
            {"name": "get", "command": "true", "retries": 2, "timeout_s": 5.0},
            {"name": "both", "parallel": ["a", "b"], "join": "put"},
            {"name": "a", "command": "true", "next": "put"},
            {"name": "b", "command": ["true"], "next": "put"},
            {"name": "put", "command": "true"},
        )
    )
    leads = check(flow)
    assert [(name, found.next, found.completes) for name, found in leads.items()] == [
        ("get", ["both"], False),
        ("both", [], False),
        ("a", ["put"], False),
        ("b", ["put"], False),
        ("put", [], True),
    ]
    assert (flow.states["get"].retries, flow.states["get"].timeout_s, flow.states["get"].doc) == (2, 5.0, "true")
    assert "both_fork1 --> a : joins at put" in mermaid(flow)


def test_a_command_is_told_where_it_is_and_adds_to_the_data(worker: Start, tmp_path: pathlib.Path) -> None:
    script = 'printf \'{"told": "%s %s %s %s", "data": %s}\' $TORPOR_RUN_ID $TORPOR_STEP $TORPOR_ATTEMPT "$OWN"'
    command = script + ' "$(cat "$TORPOR_DATA")" > "$TORPOR_OUTPUT"; pwd; cat; echo oops >&2; ls'
    env = {"OWN": "mine"}
    end = worker(spec=spec({"command": command, "env": env, "cwd": str(tmp_path)}), data={"before": [1, None]})
    found = outcome(end)
    assert found == {
        "complete": None,
        "set": {"told": "r1 work 1 mine", "data": {"before": [1, None]}},
    }
    said = end.said().splitlines()
    assert said[0] == str(tmp_path)
    assert "oops" in said
    assert [path.name for path in end.folder.iterdir()] == ["output"], "its files are gone again"


def test_the_key_is_the_same_in_each_attempt_and_no_other(worker: Start) -> None:
    tell = 'printf \'{"key": "%s"}\' $TORPOR_KEY > $TORPOR_OUTPUT'
    end = worker(spec=spec({"command": tell, "next": "work"}))
    end.expect("loaded")
    keys = []
    for visit, attempt in ((1, 1), (1, 2), (2, 1)):
        end.begin("work", visit=visit, attempt=attempt)
        ended = end.expect("ended")
        keys.append(ended["set"].get("key", keys[-1] if keys else None))
        end.send(t="ack", n=ended["n"])
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            "echo out; echo err >&2; exit 3",
            "exit status 3: err\nits output ended:\nout\nerr\ncommand: echo out; echo err >&2; exit 3",
        ),
        ("echo one line; exit 3", "exit status 3: one line\ncommand: echo one line; exit 3"),
        ("exit 1", "exit status 1\ncommand: exit 1"),
        ("kill -9 $$", "ended by SIGKILL\ncommand: kill -9 $$"),
        ("nosuch --flag", "exit status 127: "),
        (["nosuch", "--flag"], "it cannot be started: 'nosuch': No such file or directory\ncommand: nosuch --flag"),
        (["/etc/passwd"], "'/etc/passwd': Permission denied"),
        (["true", "a\0b"], "it cannot be started: 'true': embedded null byte"),
        ("echo nonsense > $TORPOR_OUTPUT", "its TORPOR_OUTPUT is not JSON"),
        (": > $TORPOR_OUTPUT", "its TORPOR_OUTPUT is not JSON"),
        ("echo [1] > $TORPOR_OUTPUT", "its TORPOR_OUTPUT is not a JSON object but a list"),
        ("mkfifo $TORPOR_OUTPUT", "its TORPOR_OUTPUT is not a plain file"),
        ("mkdir $TORPOR_OUTPUT", "its TORPOR_OUTPUT is not a plain file"),
        ("ln -s /etc/passwd $TORPOR_OUTPUT", "its TORPOR_OUTPUT cannot be read"),
        ("head -c 2000000 /dev/zero > $TORPOR_OUTPUT", "has 2000000 bytes, over the limit of 1048576"),
    ],
)
def test_a_command_that_fails_says_which_and_why(worker: Start, command: Any, told: str) -> None:
    assert told in failed(worker(spec=spec({"command": command})))


def test_a_folder_that_is_not_there(worker: Start) -> None:
    told = failed(worker(spec=spec({"command": ["true"], "cwd": "/nonexistent"})))
    assert told == "it cannot be started: its cwd /nonexistent: No such file or directory\ncommand: true"


def test_only_the_tail_of_what_it_said_is_kept(worker: Start) -> None:
    long = "seq 100000\nexit 1  " + "#" * 200
    end = worker(spec=spec({"command": long}))
    told = failed(end).splitlines()
    assert told[:2] == ["exit status 1: 100000", "its output ended:"]
    assert told[-2:] == ["100000", f"command: seq 100000 exit 1 {'#' * 61}…"]
    assert len("\n".join(told)) < 2000, "the daemon keeps no more of a message"
    assert end.said() == "".join(f"{n}\n" for n in range(1, 100_001)), "all of it goes to the daemon"


def test_status_75_is_another_time(worker: Start) -> None:
    end = worker(spec=spec({"command": "echo '{}' > $TORPOR_OUTPUT; exit 75"}))
    assert outcome(end) == {"retry_after_s": 30.0, "set": {}}
    assert end.said() == "work: exit status 75: again in 30 s\n"


def marker(tmp_path: pathlib.Path) -> str:
    """A command that says its pid and sleeps, by a name of its own."""
    return f"sh -c {shlex.quote(f'echo $$ >> {tmp_path}/pids; exec sleep 1000')}"


def pids(tmp_path: pathlib.Path, count: int) -> list[int]:
    path = tmp_path / "pids"
    return until(
        lambda: path.exists() and len(found := [int(pid) for pid in path.read_text().split()]) == count and found
    )  # type: ignore[return-value]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


@pytest.mark.parametrize("how", ["{} &", "setsid {} &", "(setsid {} &) &", "trap '' TERM HUP; setsid {} &"])
def test_what_a_command_leaves_behind_is_ended(worker: Start, tmp_path: pathlib.Path, how: str) -> None:
    wait = f"while ! [ -s {tmp_path}/pids ]; do :; done"
    end = worker(spec=spec({"command": f"{how.format(marker(tmp_path))}\n{wait}; echo said"}))
    assert outcome(end) == {"complete": None, "set": {}}, "it holds the output, and keeps nobody waiting"
    (pid,) = pids(tmp_path, 1)
    assert gone(pid), "ended, and not left as a zombie"
    assert end.said() == "said\n"


def test_what_another_branch_runs_is_left_alone(worker: Start, tmp_path: pathlib.Path) -> None:
    end = worker(
        spec=spec(
            {"name": "fork", "parallel": ["slow", "quick"], "join": "end"},
            {"name": "slow", "command": marker(tmp_path), "next": "end"},
            {"name": "quick", "command": "true", "next": "end"},
            {"name": "end", "command": "true"},
        )
    )
    end.begun()
    ended = end.expect("ended")
    slow, quick = (step(each["state"], each["branch"]) for each in ended["outcome"]["parallel"])
    end.send(t="ack", n=ended["n"], steps=[slow])
    (pid,) = pids(tmp_path, 1)
    end.send(t="begin", steps=[quick])
    assert end.expect("ended")["branch"] == "fork:1/quick"
    assert not gone(pid)


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM; "])
def test_a_timeout_ends_the_command_and_its_children(worker: Start, tmp_path: pathlib.Path, stubborn: str) -> None:
    command = f"{stubborn}{marker(tmp_path)} & {marker(tmp_path)}; sleep 1000"
    end = worker(spec=spec({"command": command, "timeout_s": 2.0}))  # for two shells to begin in
    found = outcome(end)
    assert found["failed"]["type"] == "StepTimeoutError"
    assert all(gone(pid) for pid in pids(tmp_path, 2))


def test_a_command_may_clean_up_before_its_end(worker: Start, tmp_path: pathlib.Path) -> None:
    command = f"trap 'echo cleaned up; exit 0' TERM; {marker(tmp_path)} & wait"
    end = worker(spec=spec({"command": command}))
    end.begun()
    pids(tmp_path, 1)
    end.send(t="cancel")
    assert end.ended() == 0
    assert end.said() == "cleaned up\n"


@pytest.mark.parametrize("how", ["setsid {} & wait", "{}"])
def test_without_a_daemon_commands_are_gone(worker: Start, tmp_path: pathlib.Path, how: str) -> None:
    end = worker(spec=spec({"command": how.format(marker(tmp_path))}))
    end.begun()
    (pid,) = pids(tmp_path, 1)
    end._lines.close()
    end.sock.close()
    assert end.ended() == 0
    until(lambda: gone(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_command_stays_in_the_workers_group(worker: Start) -> None:
    end = worker(spec=spec({"command": 'printf \'{"group": %s}\' "$(ps -o pgid= -p $$)" > $TORPOR_OUTPUT'}))
    assert outcome(end)["set"] == {"group": end.process.pid}


@pytest.mark.asyncio
async def test_commands_run_here_too(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    flow = build(spec({"command": f"setsid {marker(tmp_path)} & echo heard; echo '{{\"x\": 1}}' > $TORPOR_OUTPUT"}))
    result = await flow.run_here()
    assert (result.status, result.data) == ("completed", {"x": 1})
    if (tmp_path / "pids").exists():  # it may have been ended before it had begun
        (pid,) = pids(tmp_path, 1)
        until(lambda: gone(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert capfd.readouterr().out == "heard\n"
