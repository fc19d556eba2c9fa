"""`torpor demo`: a tour with a real daemon in a home of its own, short timers, one whole life."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import torpor
from torpor import Client, wire
from torpor.cli import demo_flow, demo_sleep
from torpor.cli.stage import FailedStep, Follower, Stage, check, integrity, told, until
from torpor.errors import Error
from torpor.presence import is_up, last_known

if TYPE_CHECKING:
    import argparse

SETTINGS = f"""\
[lifecycle]
drowsy_after = "1500ms"
sleep_after = "3s"
hibernate_grace = "1s"
min_up = "1s"
{demo_flow.SETTINGS}"""
REQUEST = '{"jsonrpc":"2.0","id":1,"method":"event","params":{"event":"request_arrived"}}'


def demo(args: argparse.Namespace) -> int:  # noqa: ARG001 - as every command
    """Give the tour; exit 0 only if every step did what it says."""
    stage = Stage(SETTINGS)
    stage.write(f"{demo_flow.FLOW}.py", demo_flow.SOURCE)
    print(f"A torpor daemon in {stage.home}, with these settings instead of minutes and hours:\n\n{SETTINGS}".rstrip())
    try:
        _life(stage)
    except (FailedStep, Error, OSError) as failure:
        print(f"\ntorpor: the tour stops here: {failure}", file=sys.stderr)
        print(f"torpor: the daemon's log is {stage.path(wire.LOG_NAME)}; the home is kept", file=sys.stderr)
        return wire.EX_UNAVAILABLE
    stage.end()
    print(f"\nEvery step did what it says. {stage.home} is removed again.")
    return wire.EX_OK


def _life(stage: Stage) -> None:
    pid, follower = _first_touch(stage)
    _everybody_speaks(stage)
    _somebody_holds(stage)
    demo_sleep.nobody_comes(stage, follower)
    run_id = demo_sleep.a_request_goes_first(stage, follower)
    count = demo_sleep.hibernate_in_the_middle(stage, follower, run_id, pid)
    _nobody_there(stage, count)
    _coming_back(stage, follower, count)
    demo_sleep.finish(stage, follower, run_id)
    _story(stage, follower, run_id)


def _first_touch(stage: Stage) -> tuple[int, Follower]:
    stage.chapter("1. The first touch starts it")
    check(not is_up(stage.home), "a daemon is up in a home that was just made")
    with Client(stage.home) as client:
        with stage.step("Python: Client().event(request_arrived)") as added:
            client.event("request_arrived")
            added.append("and there was no daemon before")
        status = client.status()
        check(status["start_cause"] == "spawn", f"start_cause is {status['start_cause']}, not spawn")
        stage.say(f"pid {status['pid']}, {status['rss_bytes'] / 1e6:.1f} MB, state {status['state']}")
    return int(status["pid"]), Follower(stage)


def _everybody_speaks(stage: Stage) -> None:
    stage.chapter("2. Everybody can speak to it")
    with Client(stage.home) as client:

        def counted() -> int:
            return int(client.status()["wrapper_event_seq"])

        def applied(before: int) -> str:
            until(lambda: counted() == before + 1, "the event")
            return f"event {before + 1}"

        with stage.step("Python: client.event(request_arrived)") as added:
            before = counted()
            added.append(f"event {client.event('request_arrived')['wrapper_event_seq']}")
            check(counted() == before + 1, "the event does not count")
        with stage.step("command: torpor send request_arrived") as added:
            stage.torpor("send", "request_arrived")
            added.append(applied(before + 1))
        name, line = _shell_line(stage)
        with stage.step(f"shell: echo '{{...}}' | {name}") as added:
            answer = json.loads(stage.shell(line))
            check(answer["result"]["state"] == "WAKE", f"the answer is {answer}")
            added.append(applied(before + 2))
        with stage.step("file: mv tmp/a.json wake.d/") as added:
            _drop(stage, "a.json")
            added.append(applied(before + 3))
        check(not os.path.exists(stage.path(wire.SPOOL_NAME, "a.json")), "the file is still there")
        with stage.step("file: touch wake.signal") as added:
            stage.run("touch", stage.path(wire.WAKE_SIGNAL_NAME))
            added.append(applied(before + 4))
        until(lambda: not os.path.exists(stage.path(wire.WAKE_SIGNAL_NAME)), "the removal of wake.signal")
        with stage.step("the same key twice: applied once") as added:
            client.event("request_arrived", key="demo")
            check(client.event("request_arrived", key="demo").get("replayed"), "the second was not recognised")
            added.append(applied(before + 5))


def _shell_line(stage: Stage) -> tuple[str, str]:
    """Return the shell's way to the socket: nc where there is one that can, else the same in a line of Python."""
    socket = stage.path(wire.SOCKET_NAME)
    nc = shutil.which("nc")
    if nc and "-N" in stage.shell("nc -h 2>&1 || true"):
        return "nc -N -U torpor.sock", f"echo {shlex.quote(REQUEST)} | nc -N -U {shlex.quote(socket)}"
    code = (
        "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);s.sendall(sys.stdin.buffer.read());"
        "s.shutdown(1);print(s.makefile().read(),end='')"
    )
    python = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {shlex.quote(socket)}"
    return "python (no nc -N here)", f"echo {shlex.quote(REQUEST)} | {python}"


def _drop(stage: Stage, name: str) -> None:
    """Leave an event in a file, as any program can: written beside, then renamed in."""
    with open(stage.path(wire.SPOOL_TMP_NAME, name), "w", encoding="utf-8") as file:
        json.dump({"method": "event", "params": {"event": "request_arrived", "by": "a file"}}, file)
    os.rename(stage.path(wire.SPOOL_TMP_NAME, name), stage.path(wire.SPOOL_NAME, name))


def _somebody_holds(stage: Stage) -> None:
    stage.chapter("3. Somebody holds it awake, and it says who")
    with Client(stage.home) as client, client.hold("a build is running", who="make"):
        reason = client.why()["awake_because"][0]
        stage.say(f"why: {reason['kind']} by {reason['who']}: {reason['why']}")
        check(client.status()["next"]["in_s"] is None, "it means to doze while it is held")
        try:
            client.event("force_sleep")
        except torpor.Refused as refused:
            stage.say(f"force_sleep is refused ({refused.name}): {refused}")
        else:
            check(holds=False, otherwise="force_sleep was not refused while it was held")


def _nobody_there(stage: Stage, count: int) -> None:
    stage.chapter("7. While it is down")
    with stage.step("command: torpor status (wakes nobody)") as added:
        told = stage.torpor("status", status=wire.EX_DOWN).splitlines()[0]
        added.append(f"exit {wire.EX_DOWN}: {told}")
    known = last_known(stage.home) or {}
    check(known["wrapper_event_seq"] == count, f"{known['wrapper_event_seq']} events are known, {count} were sent")
    for number in range(3):
        _drop(stage, f"{number}.json")
    stage.say("three files are left in wake.d/")
    stage.run("touch", stage.path(wire.WAKE_SIGNAL_NAME))
    stage.say("wake.signal is touched; with no service manager installed both wait for the next start")
    check(not is_up(stage.home), "something started it that should not have")


def _coming_back(stage: Stage, follower: Follower, count: int) -> None:
    stage.chapter("8. Back at the next touch, with nothing lost")
    slept = follower.transition("HIBERNATION")["seq"]
    with stage.step("command: torpor send request_arrived") as added:
        added.append(stage.torpor("send", "request_arrived"))
    follower.transition("WAKE", slept)
    with Client(stage.home) as client:
        # The three files, the signal, and what `send` left: each once.
        until(lambda: client.status()["wrapper_event_seq"] == count + 5, "five events from files")
        status = client.status()
        check(status["start_cause"] == "spawn", f"start_cause is {status['start_cause']}, not spawn")
        check(status["generation"] == 2, f"this is process {status['generation']}, not the second")
        check(not os.listdir(stage.path(wire.SPOOL_NAME)), "a file is left in wake.d/")
        stage.say(f"pid {status['pid']}, the second process of this home; all five events from files are counted once")


def _story(stage: Stage, follower: Follower, run_id: str) -> None:
    stage.chapter("9. The ledger tells the story")
    with stage.step("command: torpor wake") as added:
        added.append(stage.torpor("wake"))
    third = follower.wait_for("the third start", lambda record: record["data"].get("generation") == 3)
    follower.transition("WAKE", third["seq"])
    kinds = ("started", "state_transition", "step_ended", "stopped")
    cycle = ("sleep_cycle_started", "sleep_cycle_interrupted", "sleep_cycle_done")
    with Client(stage.home) as client:
        records = client.log(kinds=(*kinds, *cycle))["records"]
        for record in records:
            print(f"{record['seq']:>8}  {record['ts'][11:23]}  {told(record)}", flush=True)
        ends = [record["data"].get("to") for record in records if record["kind"] == "state_transition"]
        check(ends[-2:] == ["HIBERNATION", "WAKE"], f"the ledger ends with {ends[-2:]}")
        demo_sleep.steps_are_done_once(client, run_id)
    _housekeeping(stage)


def _housekeeping(stage: Stage) -> None:
    """Run the built-in flow by hand: it keeps the daemon's own store small, and a copy of it."""
    stage.write(wire.SETTINGS_NAME, f'{SETTINGS}\n[ledger]\nkeep = "2s"\n')
    with stage.step("command: torpor reload, with the ledger kept for two seconds") as added:
        added.append(stage.torpor("reload"))
    with stage.step("command: torpor runs start housekeeping") as added:
        added.append(stage.torpor("runs", "start", "housekeeping", "--wait"))
    with Client(stage.home) as client:
        run = client.run_list(flow="housekeeping")["runs"][0]
        result = client.run_get(run["run_id"])["run"]["result"]
    trimmed, backup = result["trim"]["lines"], result["backup"]["file"]
    check(trimmed > 0, f"nothing was trimmed: {result['trim']}")
    check(result["integrity_check"]["found"] == "ok", "the store was not checked")
    found = integrity(backup)
    check(found == "ok", f"the backup is damaged: {found}")
    stage.say(
        f"{trimmed} lines older than two seconds are trimmed; the backup: {os.stat(backup).st_size} bytes, {found}"
    )
