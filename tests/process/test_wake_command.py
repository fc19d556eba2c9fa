"""Wake commands under a real daemon: what they are told, what they leave behind, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from daemon_process import RunningDaemon
from process.reading import assert_whole
from process.test_hooks import is_alive
from process.timers import resettle, settings
from process.trap import Trap
from shell.test_waking import members
from waiting import until
from wire.agents import ahead

LIMIT = "torpord.shell.waking:LIMIT_S"
WHOLE = "cat > {out}.part && mv {out}.part {out}"


def gone(daemon: RunningDaemon, command: str | list[str], agent_id: str = "a") -> None:
    """Make an agent known by its wake command, that is not there."""
    daemon.call("agent.register", agent_id=agent_id, wake_command=command)
    daemon.call("agent.transition", agent_id=agent_id, to="offline")


def due(daemon: RunningDaemon, agent_id: str = "a", **params: object) -> str:
    """Add a slot that is due at once."""
    return str(daemon.call("slot.add", agent_id=agent_id, type="work", at=ahead(-1), **params)["slot_id"])


def records(daemon: RunningDaemon, kind: str) -> list[dict[str, Any]]:
    return [record["data"] for record in daemon.call("log", kinds=[kind])["records"]]


def ended(daemon: RunningDaemon, count: int = 1) -> list[dict[str, Any]]:
    """Wait until so many wake commands have ended, and return what the ledger has of them."""
    until(lambda: len(records(daemon, "agent_wake_ended")) >= count, what="the end of the wake command")
    return records(daemon, "agent_wake_ended")


@pytest.mark.parametrize("kind", ["shell", "arguments"])
def test_it_is_told_for_whom_it_runs_and_what_for(home: Path, short_dir: Path, kind: str) -> None:
    out, env = short_dir / "told", short_dir / "env"
    text = f"env > {env}; pwd >> {env}; {WHOLE.format(out=out)}"
    daemon = RunningDaemon.start(home, settings(), env={"NOTIFY_SOCKET": str(short_dir / "nobody")})
    gone(daemon, text if kind == "shell" else ["/bin/sh", "-c", text])
    slot_id = due(daemon, payload={"task": "review"})
    until(out.exists, what="the command")
    told = json.loads(out.read_text())
    assert told["agent_id"] == "a"
    assert [(slot["slot_id"], slot["payload"], slot["status"]) for slot in told["slots"]] == [
        (slot_id, {"task": "review"}, "offered")
    ]
    lines = env.read_text().splitlines()
    assert {"TORPOR_AGENT_ID=a", f"TORPOR_SLOT_ID={slot_id}", f"TORPOR_HOME={home}", "/"} <= set(lines)
    assert not [line for line in lines if line.startswith("NOTIFY_SOCKET")]
    assert ended(daemon) == [{"agent_id": "a", "slot_id": slot_id, "problem": ""}]
    daemon.stop()
    assert_whole(home)


def test_what_it_starts_goes_on_and_is_the_agent(home: Path, short_dir: Path) -> None:
    """It writes to the output it was given, long after the command has ended, and no end of ours reaches it."""
    pid, said, again = short_dir / "pid", short_dir / "said", short_dir / "again"
    os.mkfifo(again)
    agent = f"echo one && echo two >&2 && cat {again} > /dev/null && echo three && touch {said} && exec sleep 600"
    daemon = RunningDaemon.start(home, settings())
    gone(daemon, f"({agent}) & echo $! > {pid}.part && mv {pid}.part {pid}")
    due(daemon)
    assert ended(daemon)[0]["problem"] == ""
    number = int(pid.read_text())
    try:
        assert daemon.call("why")["awake_because"][0]["kind"] == "activity"  # it keeps nobody awake
        assert daemon.stop() == 0
        assert is_alive(number)
        again.open("w").close()
        until(said.exists, what="its last word")
        assert is_alive(number)
    finally:
        os.kill(number, signal.SIGKILL)


def test_what_it_has_started_outlives_a_daemon_that_is_killed(home: Path, short_dir: Path) -> None:
    """It is the agent, and is no more of the command's once that has ended: the guardian has gone by then."""
    pid = short_dir / "pid"
    daemon = RunningDaemon.start(home, settings())
    gone(daemon, f"sleep 600 & echo $! > {pid}.part && mv {pid}.part {pid}")
    due(daemon)
    assert ended(daemon)[0]["problem"] == ""
    number = int(pid.read_text())
    try:
        group = os.getpgid(number)
        until(lambda: members(group) == [number], what="the guardian's end")
        daemon.kill()
        assert is_alive(number)
    finally:
        os.kill(number, signal.SIGKILL)


def test_while_it_runs_the_daemon_is_busy_and_out_of_time_it_is_ended_with_its_children(
    home: Path, short_dir: Path
) -> None:
    pids = short_dir / "pids"
    hang = f"trap '' TERM; cat /dev/zero > /dev/null & echo $! >> {pids}; echo $$ >> {pids}; wait"
    trap = Trap(short_dir / "trap", constants={LIMIT: 1.0})
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    gone(daemon, hang)
    due(daemon)
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, what="the command")
    (reason, *_) = daemon.call("why")["awake_because"]
    assert (reason["kind"], reason["who"]) == ("wake_command", "a")
    assert "took over 1 s" in ended(daemon)[0]["problem"]
    until(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()), what="their end")
    assert daemon.call("why")["awake_because"][0]["kind"] == "activity"


@pytest.mark.parametrize(
    ("command", "problem"),
    [("exit 3", "exit status 3"), (["/nonexistent/program"], "cannot be started"), ("kill -9 $$", "exit status -9")],
)
def test_one_that_fails_is_recorded_and_stops_nothing(home: Path, command: str | list[str], problem: str) -> None:
    daemon = RunningDaemon.start(home, settings())
    gone(daemon, command)
    slot_id = due(daemon)
    assert problem in ended(daemon)[0]["problem"]
    assert daemon.call("slot.take", slot_id=slot_id)["status"] == "busy"
    assert daemon.stop() == 0
    assert_whole(home)


def test_four_run_at_once_and_the_others_after_them(home: Path, short_dir: Path) -> None:
    begun, gate = short_dir / "begun", short_dir / "gate"
    begun.mkdir()
    os.mkfifo(gate)
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as line:
        for n in range(6):
            command = f"touch {begun}/{n}; cat {gate} > /dev/null"
            line.call("agent.register", agent_id=f"a{n}", wake_command=command)
            line.call("agent.transition", agent_id=f"a{n}", to="offline")
        for n in range(6):
            line.call("slot.add", agent_id=f"a{n}", type="work", at=ahead(-1))
        until(lambda: len(list(begun.iterdir())) == 4, what="four of them")
        assert len([each for each in line.call("why")["awake_because"] if each["kind"] == "wake_command"]) == 4
        statuses = [slot["status"] for slot in line.call("slot.list")["slots"]]
        assert sorted(statuses) == ["offered"] * 4 + ["queued"] * 2

        def all_ended() -> bool:
            with contextlib.suppress(OSError):  # nobody waits there now
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return len(line.call("log", kinds=["agent_wake_ended"])["records"]) == 6

        until(all_ended, what="the end of all six")
    assert len(list(begun.iterdir())) == 6


def test_many_are_brought_one_after_the_other_and_each_once(home: Path, short_dir: Path) -> None:
    begun, count = short_dir / "begun", 60
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as line:
        for n in range(count):
            line.call("agent.register", agent_id=f"a{n}", wake_command=f"echo $TORPOR_AGENT_ID >> {begun}")
            line.call("agent.transition", agent_id=f"a{n}", to="offline")
        for n in range(count):
            line.call("slot.add", agent_id=f"a{n}", type="work", at=ahead(-1))
        # The first pause is a minute: nobody waited for one.
        until(lambda: begun.exists() and len(begun.read_text().split()) == count, limit_s=30, what="all of them")
    assert {each["problem"] for each in ended(daemon, count)} == {""}
    assert sorted(begun.read_text().split()) == sorted(f"a{n}" for n in range(count))


def test_what_is_not_wanted_any_more_is_not_run(home: Path, short_dir: Path) -> None:
    out, gate = short_dir / "out", short_dir / "gate"
    os.mkfifo(gate)
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as line:
        for n in range(4):
            gone(daemon, f"exec cat {gate} > /dev/null", f"before{n}")
            due(daemon, f"before{n}")
        slots = {}
        for name in ("cancelled", "forgotten", "changed", "back", "exhausted", "wanted"):
            gone(daemon, f"echo {name} >> {out}; cat >> {out}", name)
            slots[name] = due(daemon, name)
        line.call("slot.cancel", slot_id=slots["cancelled"])
        line.call("agent.forget", agent_id="forgotten")
        line.call("agent.register", agent_id="changed", wake_command=None)
        line.call("slot.take", slot_id=slots["back"])
        line.call("agent.transition", agent_id="exhausted", to="exhausted", retry_after=3600)
        second = due(daemon, "wanted", priority=1)
        gate.open("w").close()
        ended(daemon, 5)
    name, told = out.read_text().splitlines()
    assert name == "wanted"
    assert [slot["slot_id"] for slot in json.loads(told)["slots"]] == [second, slots["wanted"]]


def test_killed_while_it_runs_it_is_ended_and_the_slot_is_offered_again(home: Path, short_dir: Path) -> None:
    out, gate, pids = short_dir / "out", short_dir / "gate", short_dir / "pids"
    os.mkfifo(gate)
    daemon = RunningDaemon.start(home, settings())
    first = f"trap '' TERM INT HUP; echo $$ >> {pids}; cat {gate} > /dev/null & echo $! >> {pids}; exec <&-"
    gone(daemon, f"{first}; echo $TORPOR_SLOT_ID >> {out}; wait")
    slot_id = due(daemon)
    until(out.exists, what="the command")
    daemon.kill()
    until(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()), what="its end, with its children")
    again = daemon.again()
    assert ended(again)[0]["problem"] == "the daemon ended"
    until(lambda: out.read_text().split() == [slot_id] * 2, what="the command again")
    again.stop()
    daemon.end()
    assert_whole(home)


def test_a_stop_does_not_wait_for_one_and_ends_it(home: Path, short_dir: Path) -> None:
    pid = short_dir / "pid"
    daemon = RunningDaemon.start(home, settings())
    gone(daemon, f"echo $$ > {pid}.part; mv {pid}.part {pid}; exec cat /dev/zero > /dev/null")
    due(daemon)
    until(pid.exists, what="the command")
    daemon.process.terminate()
    assert daemon.wait_gone(limit_s=5) == 0
    until(lambda: not is_alive(int(pid.read_text())), what="its end")


def test_a_slot_wakes_its_agent_out_of_sleep(home: Path, short_dir: Path) -> None:
    """Nobody is there but the daemon: it stays for the slot, and its command brings the agent."""
    out = short_dir / "out"
    text = settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s")
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a", wake_command=f"touch {out}")
        line.call("agent.transition", agent_id="a", to="offline")
        line.call("slot.add", agent_id="a", type="work", at=ahead(3))
        resettle(daemon, text)
        until(lambda: line.call("status")["state"] == "SLEEP", what="sleep")
        until(lambda: "planned" in {each["kind"] for each in line.call("why")["not_yet_because"]}, what="the reason")
        assert line.call("status")["next_wake_ts"] is not None
    until(out.exists, what="the command")
    assert daemon.wait_gone() == 0  # and when it brought nobody, there is nothing to stay for
    assert_whole(home)
