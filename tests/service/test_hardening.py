"""What the units shut out, seen from inside: hooks, flows and agents do their work behind the fences, and no more."""

from __future__ import annotations

import json
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from service.seat import ROOT, USER
from waiting import until

if TYPE_CHECKING:
    from service.seat import Seat

PYTHON = f"{shlex.quote(sys.executable)} -ISc"
OWN_HOME = f"/home/{USER}"
SOCKET = PYTHON + " 'import socket; socket.socket(socket.{}, socket.SOCK_RAW if {} else socket.SOCK_STREAM)'"
# A program may make code as it runs, as interpreters do.
JIT = PYTHON + " 'import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ|mmap.PROT_WRITE|mmap.PROT_EXEC)'"
TRACE = PYTHON + " 'import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0)'"
SECOND_WORLD = "unshare --user true"
CAN = {
    "home": 'echo kept > "$TORPOR_HOME/kept"',
    "tmp": "echo x > /tmp/kept",
    "child": "sh -c 'sh -c true' & wait $!",
    "priority": "nice -n 5 true",
    "limits": "ulimit -n 64",
    "network": SOCKET.format("AF_INET", 0),
    "jit": JIT,
    "reads": "cat /etc/passwd > /dev/null && ls /home > /dev/null",
    "itself": "kill -0 $$ && test -r /proc/$$/stat",
}
CANNOT = {
    "setuid": 'cp /bin/true "$TORPOR_HOME/t" && chmod 4755 "$TORPOR_HOME/t"',
    "namespaces": SECOND_WORLD,
    "packets": SOCKET.format("AF_PACKET", 1),
    "trace": TRACE,
    "privileges": "! grep -q 'NoNewPrivs:.1' /proc/self/status",
    "etc": "echo x > /etc/kept",
}
ONLY = {
    "system": {"own": f"! (echo x > {OWN_HOME}/kept)", "devices": "! test -e /dev/gadget"},
    "user": {
        "own": f"echo x > {OWN_HOME}/kept",
        "netlink": SOCKET.format("AF_NETLINK", 1),
        "owner": 'chown $(id -u) "$TORPOR_HOME/kept"',
    },
}

NOTES = f"""
import pathlib, socket, subprocess
from torpord import Complete, Flow, Run

flow = Flow("notes")


@flow.state(initial=True)
def write(run: Run):
    pathlib.Path(run.data["folder"], "note").write_text("a b c")
    return "count"


@flow.state(timeout="20s")
async def count(run: Run):
    async def words():
        return len(pathlib.Path(run.data["folder"], "note").read_text().split())

    run.data["words"] = await run.call("words", {{}}, words)
    run.data["child"] = subprocess.run([{sys.executable!r}, "-ISc", "print(7)"], capture_output=True, text=True).stdout
    socket.create_server(("127.0.0.1", 0)).close()
    return Complete({{"words": run.data["words"], "child": run.data["child"].strip()}})
"""


def settings(steps: dict[str, str], more: str = "") -> str:
    """Return settings with a flow `probe` of these commands."""
    told = "".join(
        f"[[flows.probe.steps]]\nname = {json.dumps(n)}\ncommand = {json.dumps(c)}\n" for n, c in steps.items()
    )
    return f'[lifecycle]\nmin_up = "100ms"\n{more}{told}'


def ran(seat: Seat, flow: str, **data: Any) -> dict[str, Any]:
    """Start a run of a flow and return what is known of it when it has ended."""
    run_id = seat.caller.ask("run.start", flow=flow, data=data)["run_id"]
    seat.caller.look("wait", run_id=run_id, timeout_s=30)
    found = seat.caller.look("run.get", run_id=run_id)
    assert found["run"]["status"] == "completed", found["run"]["reason"]
    return dict(found["run"])


def probed(seat: Seat, steps: dict[str, str]) -> None:
    """Run each of these commands as a step, and want them all to succeed."""
    seat.box.run("sh", "-ec", "test -e /dev/gadget || mknod -m 666 /dev/gadget c 1 3")
    seat.place("torpor.toml", settings(steps))
    ran(seat, "probe")


def test_commands_of_flows_do_their_work_and_no_more(seat: Seat) -> None:
    refused = {f"no-{name}": f"! ({script}) 2>/dev/null" for name, script in CANNOT.items()}
    probed(seat, CAN | refused | ONLY[seat.manager])
    assert seat.read("kept") == "kept\n"
    tmp_is_its_own = seat.manager == "system"
    assert pathlib.Path(seat.box.path("/tmp/kept")).exists() != tmp_is_its_own


def test_a_flow_in_python_does_its_work(seat: Seat) -> None:
    seat.place("torpor.toml", settings({}, f'[flows.notes]\npython = "notes:flow"\npath = "{seat.home}/flows"\n'))
    seat.box.run("mkdir", f"{seat.home}/flows", user=USER)
    seat.place("flows/notes.py", NOTES)
    assert ran(seat, "notes", folder=seat.home)["result"] == {"words": 3, "child": "7"}


WIDE = {
    "user": "RestrictNamespaces=no\nSystemCallFilter=\n",
    "system": f"ProtectHome=no\nReadWritePaths={OWN_HOME}\nPrivateDevices=no\n",
}
WIDER = {
    "user": {"namespaces": SECOND_WORLD, "trace": TRACE},
    "system": {"own": f"echo x > {OWN_HOME}/wide", "devices": "test -e /dev/gadget"},
}


def test_a_drop_in_as_the_units_say_widens_it(seat: Seat) -> None:
    unit = (ROOT / "systemd" / ("torpord@.service" if seat.manager == "system" else "torpord.service")).read_text()
    for line in WIDE[seat.manager].split():
        assert line in unit
    seat.drop_in(f"[Service]\n{WIDE[seat.manager]}")
    probed(seat, WIDER[seat.manager])


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_without_all_of_it_a_users_commands_may_gain_privileges(seat: Seat) -> None:
    """What the unit's comment says that sudo needs: nothing of it may be left out, the list is the unit's."""
    unit = (ROOT / "systemd/torpord.service").read_text()
    told = [line.removeprefix("#   ") for line in unit.splitlines() if line.startswith("#   ") and "=" in line]
    seat.drop_in("[Service]\n" + "\n".join(told))
    probed(seat, {"privileges": CANNOT["privileges"], "setuid": CANNOT["setuid"]})


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_the_manager_runs_what_needs_more(seat: Seat) -> None:
    probed(seat, {"outside": f"systemd-run --user --collect --quiet --pipe --wait {SECOND_WORLD}"})


@pytest.mark.parametrize("who", [USER, "root"])
def test_a_hold_ends_with_its_process_which_is_seen_through_the_fences(seat: Seat, who: str) -> None:
    pid = int(seat.box.run("sh", "-c", "sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!", user=who))
    seat.caller.ask("hold.acquire", who="test", why="while it runs", pid=pid)
    (hold,) = seat.caller.look("hold.list")["holds"]
    assert (hold["pid"], hold["bound"]) == (pid, "process")
    seat.box.run("kill", str(pid))
    until(lambda: seat.caller.look("hold.list")["holds"] == [], what="the end of the hold")


def test_an_agent_is_woken_by_its_command(seat: Seat) -> None:
    wake = 'cat > "$TORPOR_HOME/tmp/slots"; mv "$TORPOR_HOME/tmp/slots" "$TORPOR_HOME/slots"; sleep 1000 &'
    seat.caller.ask("agent.register", agent_id="night", wake_command=wake)
    seat.caller.ask("slot.add", agent_id="night", type="work", at="2026-01-01T00:00:00Z")
    until(lambda: seat.has("slots"), what="the slots told to the command")
