"""Hooks: in order, after the transition is durable, with a limit, and with nothing of the daemon's in their hands."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.reading import assert_whole, ledger, transitions
from process.timers import settings
from process.trap import Trap
from torpord.core import records as r
from waiting import until


def hooks(**commands: Sequence[str | list[str]]) -> str:
    return "\n".join(["[hooks]", *(f"{name} = {json.dumps(list(each))}" for name, each in commands.items())])


def is_alive(pid: int) -> bool:
    """Whether a process has not ended; one that only waits to be collected has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def failures(daemon: RunningDaemon) -> list[dict[str, str]]:
    return [record["data"] for record in daemon.call("log", kinds=["hook_failed"])["records"]]


def test_they_run_in_order_with_the_transition_on_standard_input(home: Path, short_dir: Path) -> None:
    out = short_dir / "out"
    every = {
        name: [f"echo first {name} >> {out}", f"(cat; pwd; echo $TORPOR_HOME) >> {out}"]
        for name in ("on_wake", "on_drowsy", "on_sleep", "on_hibernate")
    }
    daemon = RunningDaemon.start(home, settings(hooks(**every)))
    daemon.call("event", event="force_sleep")  # through DROWSY
    assert daemon.wait_gone() == 0  # the cycle is done at once, and then HIBERNATION
    lines = out.read_text().splitlines()
    assert len(lines) == 12
    for at, (name, start, to) in enumerate(
        [("on_drowsy", "WAKE", "DROWSY"), ("on_sleep", "DROWSY", "SLEEP"), ("on_hibernate", "SLEEP", "HIBERNATION")]
    ):
        first, told, where, home_told = lines[at * 4 : at * 4 + 4]
        assert first == f"first {name}"
        assert (json.loads(told)["from"], json.loads(told)["to"]) == (start, to)
        assert (where, home_told) == ("/", str(home))
    assert_whole(home)


def test_the_transition_is_durable_before_its_hook_runs(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(hooks(on_drowsy=["kill -9 $PPID"]), min_up="1h"))
    daemon.ask("event", event="force_sleep")
    assert daemon.wait_gone() == -9
    assert ("WAKE", "DROWSY") in transitions(home)
    assert_whole(home)


def test_a_failing_one_is_recorded_and_stops_nothing(home: Path, short_dir: Path) -> None:
    out = short_dir / "out"
    commands = ["echo it went wrong; exit 3", ["/nonexistent/program"], f"touch {out}"]
    daemon = RunningDaemon.start(home, settings(hooks(on_sleep=commands), min_up="1h"))
    daemon.call("event", event="force_sleep")
    until(out.exists, what="the third hook")
    found = failures(daemon)
    assert [each["hook"] for each in found] == ["on_sleep", "on_sleep"]
    assert "exit status 3" in found[0]["problem"]
    assert "it went wrong" in found[0]["problem"]
    assert "/nonexistent/program" in found[1]["command"]
    assert daemon.call("status")["state"] == "SLEEP"
    daemon.stop()
    assert_whole(home)


def test_one_that_hangs_is_ended_with_its_children_and_nobody_waits_for_it(home: Path, short_dir: Path) -> None:
    pids = short_dir / "pids"
    hang = f"trap '' TERM; cat /dev/zero > /dev/null & echo $! >> {pids}; echo $$ >> {pids}; wait"
    trap = Trap(short_dir / "trap", constants={"torpord.shell.hooks:LIMIT_S": 1.0})
    text = settings(hooks(on_sleep=[hang, f"touch {short_dir / 'next'}"]), min_up="1h")
    daemon = RunningDaemon.start(home, text, launcher=trap.launcher)
    daemon.call("event", event="force_sleep")
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, what="the hook")
    assert daemon.call("event", event="request_arrived")["state"] == "WAKE"
    until((short_dir / "next").exists, what="the hook after it")
    assert not any(is_alive(int(pid)) for pid in pids.read_text().split())
    assert "took over 1 s" in failures(daemon)[0]["problem"]


def test_on_hibernate_ends_before_the_exit(home: Path, short_dir: Path) -> None:
    pipe, begun = short_dir / "pipe", short_dir / "begun"
    os.mkfifo(pipe)
    daemon = RunningDaemon.start(home, settings(hooks(on_hibernate=[f"touch {begun}; cat {pipe}"])))
    daemon.call("hibernate", now=True)
    until(begun.exists, what="the hook")
    assert daemon.call("status")["state"] == "HIBERNATION"  # still there, and looking is not using
    pipe.open("w").close()
    assert daemon.wait_gone() == 0
    assert not [entry for entry in ledger(home) if isinstance(entry.record, r.HookFailed)]


def test_work_that_comes_while_on_hibernate_runs_takes_hibernation_back(home: Path, short_dir: Path) -> None:
    pipe, begun = short_dir / "pipe", short_dir / "begun"
    os.mkfifo(pipe)
    daemon = RunningDaemon.start(home, settings(hooks(on_hibernate=[f"touch {begun}; cat {pipe}"])))
    daemon.call("hibernate", now=True)
    until(begun.exists, what="the hook")
    assert daemon.call("event", event="request_arrived")["state"] == "WAKE"
    pipe.open("w").close()
    until(lambda: any(line.get("event") == "hibernation_cancelled" for line in daemon.log_lines()))
    assert daemon.call("status")["pid"] == daemon.pid
    assert daemon.stop() == 0


def test_an_on_hibernate_that_hangs_does_not_keep_it(home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.hooks:LAST_LIMIT_S": 0.5})
    pids = short_dir / "pids"
    text = settings(hooks(on_hibernate=[f"echo $$ > {pids}; exec cat /dev/zero > /dev/null"]))
    daemon = RunningDaemon.start(home, text, launcher=trap.launcher)
    daemon.call("hibernate", now=True)
    assert daemon.wait_gone() == 0
    assert not is_alive(int(pids.read_text()))
    assert_whole(home)
    assert [e.record.problem for e in ledger(home) if isinstance(e.record, r.HookFailed)]


def test_a_stop_does_not_wait_for_a_hook(home: Path, short_dir: Path) -> None:
    pids = short_dir / "pids"
    text = settings(hooks(on_sleep=[f"echo $$ > {pids}; exec cat /dev/zero > /dev/null"]), min_up="1h")
    daemon = RunningDaemon.start(home, text)
    daemon.call("event", event="force_sleep")
    until(lambda: pids.exists() and pids.read_text(), what="the hook")
    daemon.process.terminate()
    assert daemon.wait_gone(limit_s=5) == 0
    assert not is_alive(int(pids.read_text()))


def test_one_dies_with_a_daemon_that_is_killed(home: Path, short_dir: Path) -> None:
    pids = short_dir / "pids"
    hang = f"trap '' TERM INT HUP; cat /dev/zero > /dev/null & echo $! >> {pids}; echo $$ >> {pids}; wait"
    daemon = RunningDaemon.start(home, settings(hooks(on_sleep=[hang]), min_up="1h"))
    daemon.call("event", event="force_sleep")
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, what="the hook")
    daemon.kill()
    until(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()), what="its end, with its children")


@pytest.mark.parametrize("kind", ["shell", "arguments"])
def test_they_inherit_neither_socket_nor_lock_nor_store(kind: str, home: Path, short_dir: Path) -> None:
    out = short_dir / "out"
    listing = f"ls -l /proc/self/fd > {out}.part && mv {out}.part {out}"
    command: str | list[str] = listing if kind == "shell" else ["/bin/sh", "-c", listing]
    daemon = RunningDaemon.start(home, settings(hooks(on_sleep=[command]), min_up="1h"))
    with daemon.connect() as client:
        client.call("event", event="force_sleep")
        until(out.exists, what="the hook")
    fds = {int(line.split(" -> ")[0].split()[-1]): line.split(" -> ")[1] for line in out.read_text().splitlines()[1:]}
    # 0 and 2 are the daemon's pipes, 1 the file, and the one above is how `ls` reads the folder.
    assert set(fds) == {0, 1, 2, 3}, fds
    assert fds[3].startswith("/proc/")
    assert fds[0].startswith("pipe:") or fds[0].startswith("socket:")
    assert not any("torpor" in target for target in fds.values())


def test_what_a_hook_leaves_behind_does_not_hold_up_the_next(home: Path, short_dir: Path) -> None:
    left, out = short_dir / "left", short_dir / "out"
    commands = [f"(sleep 600) & echo $! > {left}", f"echo next > {out}"]
    daemon = RunningDaemon.start(home, settings(hooks(on_drowsy=commands), min_up="1h"))
    daemon.call("event", event="force_sleep")
    # Far less than the limit of a hook, which its own standard output, held open by the sleeper, would take.
    until(out.exists, limit_s=8, what="the next hook")
    until(lambda: not is_alive(int(left.read_text())), what="the end of what was left behind")
    assert failures(daemon) == []
