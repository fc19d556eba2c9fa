"""`torpor service` under a real systemd: from nothing to a daemon that a connection wakes, and back to nothing."""

from __future__ import annotations

import json
import pathlib
import shlex
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from service import box as boxes
from service import seat as seats
from service.caller import Caller
from service.seat import RUNTIME, UID, USER
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_UNITS = f"/home/{USER}/.config/systemd/user"
SYSTEM_UNITS = "/etc/systemd/system"
HOME = f"/home/{USER}/.local/state/torpor"
# The interpreter of the tests, and torpor as it lies in the tree: what a checkout's virtual environment is.
TORPOR = [sys.executable, "-P", "-m", "torpor"]


@pytest.fixture(scope="module")
def box() -> Iterator[boxes.Box]:
    """A real systemd, and a user whom nobody has installed anything for."""
    if reason := boxes.why_not():
        pytest.skip(reason)
    with boxes.Box() as booted:
        seats.furnish(booted, units=False)
        yield booted


@pytest.fixture
def machine(box: boxes.Box) -> Iterator[Machine]:
    made = Machine(box)
    made.systemctl("is-system-running", "--wait")
    yield made
    made.clear()


class Machine:
    """The box as its user sees it, and as root does."""

    def __init__(self, box: boxes.Box) -> None:
        self.box = box

    def torpor(self, *words: str, root: bool = False, program: str = "", exits: int = 0) -> str:
        """Run a command of torpor's, and return what it printed. `exits`: the status it must have."""
        line = shlex.join([*([program, *TORPOR[1:]] if program else TORPOR), *words])
        said = self.box.run("sh", "-c", f"cd /; {line}; echo exit $?", **({} if root else self._ann()))
        out, _, status = said.rstrip("\n").rpartition("exit ")
        assert status == str(exits), said
        return out

    @staticmethod
    def _ann() -> dict[str, object]:
        return {"env": RUNTIME, "user": USER}

    def systemctl(self, *words: str) -> str:
        """Ask the user's manager."""
        return self.box.run("systemctl", "--user", *words, check=False, env=RUNTIME, user=USER)

    def show(self, unit: str, *properties: str) -> list[str]:
        """Return properties of a user's unit."""
        return self.systemctl("show", unit, "--value", "-p", ",".join(properties)).split("\n\n")[0].split()

    def sh(self, script: str, *, root: bool = False) -> str:
        """Run a script."""
        return self.box.run("sh", "-ec", script, **({} if root else self._ann()))

    def ls(self, directory: str) -> list[str]:
        """Return all that lies in a directory and below, links of what starts with the machine as well."""
        root = pathlib.Path(self.box.path(directory))
        return sorted(str(path.relative_to(root)) for path in root.rglob("torpord*"))

    def caller(self, home: str = HOME) -> Caller:
        return Caller(self.box.path(f"{home}/torpor.sock"))

    def clear(self) -> None:
        """Take everything down and away."""
        for manager in (self.systemctl, self.box.systemctl):
            manager("stop", "torpord*.socket", "torpord*.path", "torpord*.service", "torpord*.timer")
        self.box.run("sh", "-c", f"rm -rf {OWN_UNITS} {SYSTEM_UNITS}/torpord* {SYSTEM_UNITS}/*.wants/torpord*")
        self.box.run("sh", "-c", f"rm -rf {HOME} /home/{USER}/work /home/{USER}/moved /var/lib/torpor")
        self.systemctl("daemon-reload")
        self.box.systemctl("daemon-reload")


class Asking(threading.Thread):
    """A client that asks again and again until nobody is there: silence fails in `_once`."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self.caller = caller
        self.answers = 0
        self.start()

    def run(self) -> None:
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "status"}).encode() + b"\n"
        while not self.caller.again["ECONNREFUSED"]:
            self.answers += self.caller._once(line) is not None


def test_the_first_connection_after_an_install_is_answered_and_a_second_install_changes_nothing(
    machine: Machine,
) -> None:
    said = machine.torpor("service", "install")
    assert said.splitlines() == [
        "written   ~/.config/systemd/user/torpord.service, torpord.socket, torpord.path, torpord-boot.timer",
        f"enabled   torpord.socket, torpord.path, torpord-boot.timer: listening at {HOME}/torpor.sock",
        f"linger    off: torpor lives while {USER} is logged in; to keep it beyond: loginctl enable-linger {USER}",
        "next      torpor wake    (or any `torpor send`, or a connection)",
    ]
    assert machine.show("torpord.service", "MainPID") == ["0"]
    status = machine.caller().look("status")
    assert (status["state"], status["start_cause"], status["supervisor"]) == ("WAKE", "connect", "systemd")
    assert status["home"] == HOME
    assert str(status["pid"]) in machine.show("torpord.service", "MainPID")
    # Done again, it changes nothing, and mends what was stopped.
    before = machine.sh(f"cd {OWN_UNITS} && stat -c '%n %i %Y' torpord.*")
    machine.systemctl("disable", "--now", "torpord.path")
    # Where the settings of whoever asks lie is not where the manager looks.
    again = machine.sh(f"cd /; XDG_CONFIG_HOME=/home/{USER}/moved {shlex.join(TORPOR)} service install")
    assert again.startswith("found     already installed\n")
    assert machine.sh(f"cd {OWN_UNITS} && stat -c '%n %i %Y' torpord.*") == before
    assert machine.show("torpord.path", "ActiveState", "UnitFileState") == ["active", "enabled"]
    assert str(status["pid"]) in machine.show("torpord.service", "MainPID"), "it served all the while"


def test_uninstalled_while_it_serves_all_are_answered_and_nothing_is_left_but_the_home(machine: Machine) -> None:
    machine.torpor("service", "install")
    asking = [Asking(machine.caller()) for _ in range(10)]
    until(lambda: all(each.answers for each in asking), what="all served")
    said = machine.torpor("service", "uninstall")
    for each in asking:
        each.join(15)
        assert each.caller.again["ECONNREFUSED"] == 1, each.caller.again
    assert said.splitlines()[:2] == [
        "stopped   torpord.service, torpord.socket, torpord.path, torpord-boot.timer",
        "removed   ~/.config/systemd/user/torpord.service, torpord.socket, torpord.path, torpord-boot.timer",
    ]
    assert machine.ls(f"/home/{USER}/.config") == []
    assert machine.sh(f"ls {HOME}").split().count("service.json") == 0
    # Nobody holds the socket any more: that is *down*, and the client starts a daemon of its own.
    assert machine.torpor("wake").startswith("WAKE")
    assert machine.caller().look("status")["start_cause"] == "spawn"
    machine.torpor("stop")
    assert machine.torpor("service", "uninstall") == f"found     nothing of torpor's is installed for {HOME}\n"
    assert machine.torpor("service", "status", exits=3).startswith(f"not installed for {HOME}")


def test_a_daemon_that_a_client_started_makes_way(machine: Machine) -> None:
    machine.torpor("wake")
    before = machine.caller().look("status")
    assert before["supervisor"] == "none"
    holding = machine.sh(f"{shlex.join(TORPOR)} hold --why work -- sleep 1000 > /dev/null 2>&1 & echo $!").strip()
    until(lambda: machine.caller().look("hold.list")["holds"], what="the hold")
    said = machine.torpor("service", "install").splitlines()
    assert said[0] == "ended     the daemon that a client had started, with 1 hold"
    assert "started   in its place: it goes on with all that it had" in said
    # Nobody but the install has connected: who holds only waits for another daemon to come.
    assert machine.show("torpord.service", "ActiveState") == ["active"], "the next one is up when it says so"
    until(lambda: machine.caller().look("hold.list")["holds"], what="the hold taken again")
    machine.sh(f"kill {holding}")
    status = machine.caller().look("status")
    assert (status["supervisor"], status["start_cause"]) == ("systemd", "connect")
    assert status["generation"] == before["generation"] + 1


def test_in_the_systems_manager_it_runs_as_its_user_without_a_login(machine: Machine) -> None:
    said = machine.torpor("service", "install", "--system", "--for", USER, root=True)
    doors = ", ".join(f"torpord{name}" for name in (
        f"@{USER}.socket", f"@{USER}.path", f"-boot@{USER}.timer", f"-keeper@{USER}.socket"
    ))  # fmt: skip
    assert said.splitlines() == [
        f"written   {SYSTEM_UNITS}/torpord@{USER}.service, {doors}, torpord-keeper@.service",
        f"enabled   {doors}: listening at /var/lib/torpor/{USER}/torpor.sock",
        f"clients   of {USER} find it with: export TORPOR_HOME=/var/lib/torpor/{USER}",
        f"next      torpor wake --home /var/lib/torpor/{USER}    (or any `torpor send`, or a connection)",
    ]
    status = machine.caller(f"/var/lib/torpor/{USER}").look("status")
    assert (status["start_cause"], status["home"]) == ("connect", f"/var/lib/torpor/{USER}")
    assert machine.sh(f"stat -c %U:%a /var/lib/torpor/{USER}/service.json").split() == [f"{USER}:600"]
    assert machine.sh(f"ps -o uid= -p {status['pid']}").split() == [str(UID)]
    at_ts = int(time.time()) + 3600
    told = f"systemd-run --quiet --unit=torpord@{USER}.service --on-calendar=@{at_ts} --timer-property=AccuracySec=1s"
    machine.sh(f"{told}; date -u -d @{at_ts} +%FT%TZ > /var/lib/torpor/{USER}/wake.at", root=True)
    said = machine.torpor("service", "status", "--system")
    assert "sudo torpor service status --system" in said, "not everybody may ask the system's manager"
    assert ", armed\n" in said, "but what is hers the keeper tells her"
    said = machine.torpor("service", "status", "--system", "--for", USER, root=True)
    assert said.count("listening, enabled") == 2, said
    assert "starts it after a boot, enabled" in said
    assert ", armed\n" in said
    elsewhere = ["service", "install", "--user", "--home", f"/var/lib/torpor/{USER}", "--name", "x"]
    assert f"served by torpord@{USER} in {SYSTEM_UNITS} already" in machine.torpor(*elsewhere, exits=65)
    here = ["service", "status", "--home", f"/var/lib/torpor/{USER}"]
    assert f"torpord@{USER}.socket" in machine.torpor(*here)
    machine.torpor("service", "uninstall", "--system", "--for", USER, root=True)
    assert machine.ls(SYSTEM_UNITS) == []
    assert "not-found" in machine.box.systemctl("show", f"torpord@{USER}.timer", "-p", "LoadState")
    assert not pathlib.Path(machine.box.path(f"/var/lib/torpor/{USER}/wake.at")).exists()


def test_only_root_installs_for_the_system_and_is_told_for_whom(machine: Machine) -> None:
    said = machine.torpor("service", "status", "--system", "--for", USER, exits=3)
    assert said.startswith(
        f"not installed for /var/lib/torpor/{USER}: sudo torpor service install --system --for {USER}"
    )
    assert "sudo torpor service install --system --for ann" in machine.torpor(
        "service", "install", "--system", "--for", USER, exits=77
    )
    assert "--for USER" in machine.torpor("service", "install", "--system", root=True, exits=64)
    assert "no user" in machine.torpor("service", "install", "--system", "--for", "nobody-such", root=True, exits=64)
    assert "--home" in machine.torpor("service", "install", "--system", "--home", "/x", root=True, exits=64)


def test_what_somebody_edited_is_respected_and_named_and_with_force_kept(machine: Machine) -> None:
    machine.torpor("service", "install")
    edited = f"{OWN_UNITS}/torpord.path"
    machine.sh(f"echo '# mine' >> {edited}")
    machine.systemctl("daemon-reload")
    said = machine.torpor("service", "install", exits=65)
    assert "~/.config/systemd/user/torpord.path was edited by hand" in said
    assert "--force" in said
    said = machine.torpor("service", "status", exits=1)
    assert "edited by hand" in said
    assert "torpor service install --force" in said
    said = machine.torpor("service", "install", "--force")
    assert "kept      ~/.config/systemd/user/torpord.path.before-torpor.1\n" in said
    assert machine.sh(f"tail -n 1 {edited}.before-torpor.1") == "# mine\n"
    machine.torpor("service", "status")
    machine.sh(f"rm {edited}.before-torpor.1; echo '# mine' >> {OWN_UNITS}/torpord.service")
    said = machine.torpor("service", "uninstall", exits=65)
    assert "torpord.service: edited by hand, or not torpor's, and stays" in said
    assert machine.ls(OWN_UNITS) == ["torpord.service"]
    machine.torpor("service", "uninstall", "--force")
    assert machine.ls(OWN_UNITS) == []


def test_units_of_somebody_elses_are_never_touched(machine: Machine) -> None:
    """The shipped units, copied by hand, as the tree tells."""
    machine.sh(f"mkdir -p {OWN_UNITS} && cp {seats.ROOT}/systemd/torpord.* {OWN_UNITS}")
    before = machine.sh(f"cat {OWN_UNITS}/torpord.*")
    assert "is not torpor's" in machine.torpor("service", "install", exits=65)
    assert "not torpor's" in machine.torpor("service", "status", exits=3)
    machine.torpor("service", "uninstall", "--force", exits=65)
    assert machine.sh(f"cat {OWN_UNITS}/torpord.*") == before
    machine.torpor("service", "install", "--force")
    assert machine.caller().look("status")["start_cause"] == "connect"


def test_a_half_written_install_is_completed_by_the_next_and_taken_away_whole(machine: Machine) -> None:
    """What comes behind the files, and fails, is in tests/client/test_service_files.py."""
    machine.torpor("service", "install")
    machine.systemctl("stop", "torpord.socket", "torpord.path")
    script = f"rm -rf torpord.path torpord-boot.timer *.wants {HOME}/service.json"
    machine.sh(f"cd {OWN_UNITS} && {script} && echo half > torpord.path.torpor-new")
    machine.systemctl("daemon-reload")
    machine.torpor("service", "status", exits=1)
    machine.torpor("service", "install")
    machine.torpor("service", "status")
    assert machine.caller().look("status")["start_cause"] == "connect"
    machine.torpor("service", "uninstall")
    assert machine.ls(OWN_UNITS) == []


def test_two_homes_are_two_services_and_one_going_leaves_the_other(machine: Machine) -> None:
    machine.torpor("service", "install")
    other = f"/home/{USER}/work/a %h$x\\\"é'"
    machine.sh(f"mkdir /home/{USER}/work")
    said = machine.torpor("service", "install", "--home", other, "--name", "work")
    assert f"torpord-work.socket, torpord-work.path, torpord-boot-work.timer: listening at {other}/torpor.sock" in said
    first, second = machine.caller().look("status"), machine.caller(other).look("status")
    assert (first["home"], second["home"]) == (HOME, other)
    assert "serves" in machine.torpor("service", "install", "--home", f"/home/{USER}/moved", "--name", "work", exits=65)
    assert "torpord-work already" in machine.torpor("service", "install", "--home", other, "--name", "w", exits=65)
    machine.torpor("service", "uninstall")
    assert machine.caller(other).look("status")["pid"] == second["pid"]
    assert machine.ls(OWN_UNITS) == [
        "paths.target.wants/torpord-work.path", "sockets.target.wants/torpord-work.socket",
        "timers.target.wants/torpord-boot-work.timer",
        "torpord-boot-work.timer", "torpord-work.path", "torpord-work.service", "torpord-work.socket",
    ]  # fmt: skip


def test_a_home_that_moved_is_told_and_installed_anew_under_its_name(machine: Machine) -> None:
    machine.torpor("service", "install", "--home", f"/home/{USER}/work", "--name", "mine")
    machine.systemctl("stop", "torpord-mine.socket")
    machine.sh(f"mv /home/{USER}/work /home/{USER}/moved")
    moved = ("--home", f"/home/{USER}/moved")
    assert f"for /home/{USER}/work, which was moved here" in machine.torpor("service", "status", *moved, exits=1)
    assert "not there: if it was moved" in machine.torpor("service", "status", "--home", f"/home/{USER}/work", exits=1)
    said = machine.torpor("service", "install", *moved)
    assert "written   ~/.config/systemd/user/torpord-mine.service" in said
    assert f"listening at /home/{USER}/moved/torpor.sock" in said
    assert machine.ls(f"/home/{USER}/work") == [], "nothing makes it anew"
    assert machine.caller(f"/home/{USER}/moved").look("status")["home"] == f"/home/{USER}/moved"


def test_a_home_that_moved_under_its_daemon_is_served_by_none_of_the_old_place(machine: Machine) -> None:
    """The door went along: whoever connects there starts a daemon for a home that is not there any more."""
    old, new = f"/home/{USER}/work", f"/home/{USER}/moved"
    machine.torpor("service", "install", "--home", old, "--name", "mine")
    machine.torpor("send", "request_arrived", "--home", old)
    machine.sh(f"mv {old} {new}")
    until(lambda: machine.show("torpord-mine.service", "ActiveState") != ["active"], what="its end")
    said = machine.torpor("send", "request_arrived", "--home", new)
    assert said.startswith("queued in wake.d: torpor is in safe mode"), "no other home takes what was meant for this"
    assert machine.caller(new).look("status")["safe_mode"]["reason"].startswith(f"nobody finds {old}/torpor.sock")
    said = machine.torpor("service", "install", "--home", new)
    assert "restarted torpord-mine.service" in said
    until(lambda: machine.caller(new).look("status")["wrapper_event_seq"] == 2, what="the event that was left")
    assert machine.caller(new).look("status")["home"] == new
    machine.torpor("service", "status", "--home", new)


def test_an_interpreter_that_is_gone_is_told_and_another_serves_who_waited(machine: Machine) -> None:
    """A virtual environment, with all that a shell and systemd could take for something else in its path."""
    folder = "/opt/a b%c$d"
    program = f"{folder}/bin/python"
    packages = f"{folder}/lib/python3.{sys.version_info[1]}/site-packages"
    machine.sh(f"{shlex.quote(sys.executable)} -m venv --without-pip {shlex.quote(folder)}", root=True)
    found_in = [pathlib.Path(pytest.__file__).parents[1], seats.ROOT / "client", seats.ROOT / "daemon"]
    machine.box.write(f"{packages}/torpor.pth", "".join(f"{path}\n" for path in found_in))
    machine.sh(
        f"mkdir -p -m 700 {HOME} && echo '[lifecycle]' > {HOME}/torpor.toml && echo 'min_up = 0' >> {HOME}/torpor.toml"
    )
    machine.torpor("service", "install", program=program)
    status = machine.caller().look("status")
    assert machine.sh(f"tr '\\0' '\\n' < /proc/{status['pid']}/cmdline").splitlines()[0] == program
    machine.caller().ask("hibernate")
    until(lambda: machine.show("torpord.service", "ActiveState") == ["inactive"], what="its end")
    machine.sh(f"rm -rf {shlex.quote(folder)}", root=True)
    waiting = machine.caller()
    waiting.connect()
    said = machine.torpor("service", "status", exits=1)
    assert f"{program}   gone" in said
    until(lambda: machine.show("torpord.service", "ActiveState") != ["active"], what="a start that fails")
    assert machine.show("torpord.socket", "ActiveState") == ["active"]
    machine.torpor("service", "install")
    assert waiting.look("status")["home"] == HOME


def test_stop_and_start_know_the_units_by_name(machine: Machine) -> None:
    home = f"/home/{USER}/work"
    machine.torpor("service", "install", "--home", home)
    machine.torpor("wake", "--home", home)
    machine.torpor("stop", "--home", home)
    doors = ("torpord-work.socket", "torpord-work.path")
    assert [machine.show(unit, "ActiveState") for unit in doors] == [["inactive"], ["inactive"]]
    machine.torpor("start", "--home", home)
    assert [machine.show(unit, "ActiveState") for unit in doors] == [["active"], ["active"]]
    assert machine.caller(home).look("status")["supervisor"] == "systemd"
