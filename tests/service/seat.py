"""One daemon in the box, under the system's manager or under a user's: the shipped units as they lie in the tree."""

from __future__ import annotations

import compileall
import json
import pathlib
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from service.caller import Caller
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from service.box import Box

ROOT = pathlib.Path(__file__).resolve().parents[2]
USER, UID = "ann", 1500
MANAGERS = ("system", "user")
TORPORD = "/usr/local/bin/torpord"
# What pip would make of the entry point, for a checkout that is installed nowhere.
SCRIPT = f"""#!{sys.executable}
import sys
sys.path[:0] = {[str(ROOT / "daemon"), str(ROOT / "client")]!r}
from torpord.cli import main
sys.exit(main())
"""
# In one step: a shell reads its script as it goes.
_MEND = f"chmod 755 {TORPORD}.new && mv {TORPORD}.new {TORPORD}"
RUNTIME = {"XDG_RUNTIME_DIR": f"/run/user/{UID}", "HOME": f"/home/{USER}"}
_USERS_MANAGER = f"""
[Service]
User={USER}
Delegate=yes
Type=notify
Environment=XDG_RUNTIME_DIR=/run/user/{UID}
# As in the box itself none is run: at each daemon-reload they would cost more than all else.
Environment=SYSTEMD_GENERATOR_PATH=/run/box/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/box/none
ExecStart=/lib/systemd/systemd --user
"""


def furnish(box: Box, *, units: bool = True) -> None:
    """Give the box a user with a manager of her own, the shipped units if asked for, and a `torpord` on the PATH."""
    for package in ("client", "daemon"):
        # In there nobody may write to the tree: each start would compile all of it anew.
        compileall.compile_dir(ROOT / package, quiet=2)
    folders = {parent for path in (ROOT, sys.prefix, sys.base_prefix) for parent in (pathlib.Path(path) / "x").parents}
    own_units = f"/home/{USER}/.config/systemd/user"
    script = [
        f"echo {USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh >> /etc/passwd",
        f"echo {USER}:x:{UID}: >> /etc/group",
        # Only in the box: there the interpreter is the user's to run, wherever it lies.
        f"chmod o+x {shlex.join(map(str, folders))}",
        f"mkdir -p {own_units if units else f'/home/{USER}'} /run/user/{UID}",
        *([f"cp {ROOT}/systemd/*@.* /etc/systemd/system", f"cp {ROOT}/systemd/*[!@].* {own_units}"] * units),
        f"chown -R {UID}:{UID} /home/{USER} /run/user/{UID}",
    ]
    box.run("bash", "-ec", "\n".join(script))
    mend(box)
    box.write("/etc/systemd/system/manager.service", _USERS_MANAGER)
    box.systemctl("daemon-reload")
    box.systemctl("start", "manager.service")


def mend(box: Box, script: str = SCRIPT) -> None:
    """Put `script` where the units find torpord; without one, the real daemon."""
    box.write(TORPORD + ".new", script)
    box.run("sh", "-ec", _MEND)


class Seat:
    """The daemon of one manager: its three units, its home, and a caller to talk to it."""

    def __init__(self, box: Box, manager: str) -> None:
        self.box = box
        self.manager = manager
        self._dropped_in = False
        self._name = f"torpord@{USER}" if manager == "system" else "torpord"
        self.home = f"/var/lib/torpor/{USER}" if manager == "system" else f"/home/{USER}/.local/state/torpor"
        self.drop_ins = "/etc/systemd/system" if manager == "system" else f"/home/{USER}/.config/systemd/user"

    @property
    def caller(self) -> Caller:
        """A fresh client."""
        return Caller(self.box.path(f"{self.home}/torpor.sock"))

    def systemctl(self, *argv: str, check: bool = True) -> str:
        """Talk to this daemon's manager. `torpord.service` and the like stand for the names in that manager."""
        named = [self._named(argument) for argument in argv]
        if self.manager == "system":
            return self.box.systemctl(*named, check=check)
        return self.box.run("systemctl", "--user", *named, check=check, env=RUNTIME, user=USER)

    def _named(self, text: str) -> str:
        at = self._name.removeprefix("torpord")
        return re.sub(r"\b(torpord(?:-boot|-keeper)?)\.", rf"\1{at}.", text)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return what the manager says about a unit."""
        (told,) = self.show_all({unit: properties})
        return told

    def show_all(self, units: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
        """Return what the manager says about some units, with one question."""
        names = sorted({name for each in units.values() for name in each})
        answer = self.systemctl("show", *units, "-p", ",".join(names))
        told = [dict(line.split("=", 1) for line in part.splitlines() if "=" in line) for part in answer.split("\n\n")]
        return [
            {name: value for name, value in each.items() if name in wanted}
            for each, wanted in zip(told, units.values(), strict=True)
        ]

    def wait(self, unit: str, limit_s: float = 15.0, **want: str) -> None:
        """Wait until the unit's properties have these values."""
        try:
            until(lambda: self.show(unit, *want) == want, limit_s=limit_s)
        except AssertionError as error:
            told = f"{unit}: want {want}, got {self.show(unit, *want)}\n{self.journal()[-4000:]}"
            raise AssertionError(told) from error

    def journal(self) -> str:
        """Return what the daemon and the managers said."""
        return self.box.journal("-n", "100")

    def place(self, name: str, text: str = "") -> None:
        """Put a file into the home as its user would: written beside, then renamed."""
        inside = f"{self.home}/{name}"
        script = f"printf %s {shlex.quote(text)} > {self.home}/tmp/new && mv {self.home}/tmp/new {inside}"
        self.box.run("sh", "-ec", f"umask 077; mkdir -p {self.home}/tmp; {script}", user=USER)

    def has(self, name: str) -> bool:
        """Return whether the home has such a file."""
        return pathlib.Path(self.box.path(f"{self.home}/{name}")).exists()

    def read(self, name: str) -> str:
        """Return the text of a file in the home."""
        return pathlib.Path(self.box.path(f"{self.home}/{name}")).read_text()

    def state_file(self) -> dict[str, Any]:
        """Return what the daemon tells observers."""
        told: dict[str, Any] = json.loads(self.read("lifecycle_state.json"))
        return told

    def main_pid(self) -> int:
        """Return the daemon's pid in the box, 0 where none runs."""
        return int(self.show("torpord.service", "MainPID")["MainPID"])

    def drop_in(self, text: str) -> None:
        """Add settings to the service, as `systemctl edit` would."""
        unit = "torpord@.service" if self.manager == "system" else "torpord.service"
        self._dropped_in = True
        self.box.write(f"{self.drop_ins}/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def open(self) -> None:
        """Begin: a home with nothing but settings, nothing running, the socket and the wake files watched."""
        self.systemctl("start", "torpord.socket")
        self.place("torpor.toml", '[lifecycle]\nmin_up = "100ms"\n')
        self.systemctl("start", "torpord.path")

    def close(self) -> None:
        """Take everything down and away."""
        become = (
            [] if self.manager == "system" else ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", "env"]
        )
        settings = [f"{name}={value}" for name, value in RUNTIME.items()] if become else []
        systemctl = shlex.join([*become, *settings, "systemctl", *(["--user"] if become else [])])
        stopped = " ".join(self._named(f"torpord.{kind}") for kind in ("socket", "path", "service"))
        away = shlex.join([self.home, *(f"{self.drop_ins}/torpord{at}.service.d" for at in ("", "@"))])
        script = [
            f"{systemctl} stop {stopped} || true",
            f"rm -rf {away}",
            _MEND,
            f"{systemctl} daemon-reload" if self._dropped_in else ":",
            f"{systemctl} reset-failed",
        ]
        self.box.write(TORPORD + ".new", SCRIPT)
        self.box.run("sh", "-ec", "\n".join(script))

    def is_down(self) -> bool:
        """Return whether the daemon ended by itself, in peace, and the socket waits."""
        if self.has("lifecycle_state.json"):
            # While its process is there nobody is asked: a question to its manager all the time takes time from it.
            pid = self.state_file()["pid"]
            if pid is not None and pathlib.Path(self.box.path(f"/proc/{pid}")).exists():
                return False
        service = {"ActiveState": "inactive", "SubState": "dead", "Result": "success", "ExecMainStatus": "0"}
        door = {"SubState": "listening"}
        return self.show_all({"torpord.service": service, "torpord.socket": door}) == [service, door]

    def hibernate(self) -> None:
        """Send the daemon to hibernation and wait until it is gone."""
        self.caller.ask("hibernate")
        self.wait_down()

    def wait_another(self, pid: int) -> None:
        """Wait until another process than `pid` serves."""
        until(lambda: self.main_pid() not in (0, pid), limit_s=15, what="another process")
        self.wait("torpord.service", ActiveState="active")

    def wait_down(self) -> None:
        """Wait until the daemon is gone in peace."""
        try:
            until(self.is_down, limit_s=15)
        except AssertionError as error:
            raise AssertionError(self.systemctl("status", "torpord.*", check=False) + self.journal()) from error
