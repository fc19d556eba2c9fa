"""What a step started ends with it, with its worker, and with the daemon, however that ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.flow_runs import assert_whole_after, history, history_at_end, lives, start, until
from process.reading import assert_whole
from process.timers import settings

# The children say who they are in files; `setsid` leaves the group, and what traps SIGTERM has to be killed.
CHILDREN = """
cd {folder}
sh -c 'echo $$ > plain; exec sleep 1000' &
sh -c 'echo $$ > busy; while :; do :; done' &
sh -c 'trap "" TERM; echo $$ > deaf; while :; do sleep 1000; done' &
setsid sh -c 'echo $$ > escaped; exec sleep 1000' &
echo $$ > shell
"""
NAMES = ("plain", "busy", "deaf", "escaped", "shell")
YIELD = '[sleep]\nyield_within = "0.2s"\n'


def command_flow(*steps: str) -> str:
    """Return settings with a flow of commands; each of `steps` is the body of one."""
    tables = "\n".join(f"[[flows.given.steps]]\n{step}" for step in steps)
    return settings(f"{YIELD}{tables}")


def shell_step(name: str, script: str, more: str = "") -> str:
    return f"name = \"{name}\"\ncommand = '''{script}'''\n{more}"


def pids(folder: Path, names: tuple[str, ...] = NAMES) -> dict[str, int]:
    """Wait for all of the command's processes to have said who they are."""

    def found() -> dict[str, int]:
        texts = {name: (folder / name).read_text() for name in names if (folder / name).exists()}
        return {name: int(text) for name, text in texts.items() if text.strip()}

    return until(lambda: len(found()) == len(names) and found(), what=f"{names} in {folder}") or {}


def none_left(found: dict[str, int]) -> None:
    until(lambda: not [name for name, pid in found.items() if lives(pid)], what=f"the end of {found}")


@pytest.mark.parametrize("who", ["daemon", "worker"])
def test_nothing_outlives_who_is_killed(who: str, home: Path, short_dir: Path) -> None:
    folder = short_dir / "out"
    folder.mkdir()
    script = CHILDREN.format(folder=folder) + "wait"
    daemon = RunningDaemon.start(home, command_flow(shell_step("work", script)))
    run_id = start(daemon, "given")
    found = pids(folder)
    found["worker"] = history(daemon, run_id).run["worker_pid"]
    assert all(lives(pid) for pid in found.values())
    # What left the group by setsid(2) is for the service manager's cgroup: here there is none.
    escaped = found.pop("escaped")
    for name in NAMES:
        (folder / name).unlink()
    if who == "daemon":
        daemon.kill()
    else:
        os.kill(found["worker"], signal.SIGKILL)
    none_left(found)
    if lives(escaped):
        os.kill(escaped, signal.SIGKILL)
    if who == "daemon":
        assert_whole(home)
        daemon = daemon.again()
    again = pids(folder)
    assert history(daemon, run_id).outcomes == [f"work.1.1 {'interrupted' if who == 'daemon' else 'crashed'}"]
    daemon.call("run.cancel", run_id=run_id)
    none_left(again)
    assert_whole_after(daemon)


@pytest.mark.parametrize("how", ["exit", "timeout", "cancel", "stop"])
def test_what_a_command_leaves_behind_ends_with_its_step(how: str, home: Path, short_dir: Path) -> None:
    folder = short_dir / "out"
    folder.mkdir()
    script = CHILDREN.format(folder=folder)
    # The shell goes when its children are there; else it ignores SIGTERM.
    script += "until [ -s escaped -a -s deaf -a -s plain -a -s busy ]; do sleep 0.02; done"
    script += "" if how == "exit" else '; trap "" TERM; wait; wait'
    timed = 'timeout = "1s"' if how == "timeout" else ""
    daemon = RunningDaemon.start(home, command_flow(shell_step("work", script, timed)))
    run_id = start(daemon, "given")
    found = pids(folder)
    if how == "cancel":
        daemon.call("run.cancel", run_id=run_id)
    elif how == "stop":
        assert daemon.stop() == 0
        none_left(found)
        daemon = daemon.again()
        daemon.call("run.cancel", run_id=run_id)
    none_left(found)
    outcome = history_at_end(daemon, run_id).outcomes[0]
    expected = {"exit": "complete", "timeout": "timeout", "cancel": "cancelled", "stop": "interrupted"}[how]
    assert outcome == f"work.1.1 {expected}"
    assert_whole_after(daemon)


def test_a_command_that_is_not_there(home: Path) -> None:
    daemon = RunningDaemon.start(home, command_flow('name = "work"\ncommand = ["/nonesuch/program", "x"]'))
    found = history_at_end(daemon, start(daemon, "given"))
    assert (found.run["status"], found.outcomes) == ("failed", ["work.1.1 failed"])
    assert "'/nonesuch/program': No such file or directory" in found.run["error"]["message"]
    assert_whole_after(daemon)
