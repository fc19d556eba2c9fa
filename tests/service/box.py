"""A real systemd as PID 1 of private namespaces, for tests: root, util-linux and systemd are all it needs.

    with Box() as box:
        box.write("/etc/systemd/system/x.service", text)
        box.systemctl("daemon-reload")
        box.systemctl("start", "x.service")
        box.wait("x.service", ActiveState="active")
        socket.connect(box.path("/run/x.sock"))          # the box's files, seen from outside

The box's root is an overlay of the machine's own root (a virtual environment in the checkout is there, and what is
written stays inside), with fresh /run, /tmp, /dev and /etc/systemd/system, no network, no D-Bus. Boots in about 0.15 s.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Self

from waiting import until

HERE = pathlib.Path(__file__).resolve().parent
SYSTEMD = pathlib.Path("/lib/systemd/systemd")
# With the place of transient units, as everywhere: without it a reload would lose a timer that is set.
UNIT_PATH = "/etc/systemd/system:/run/systemd/transient:/run/box/units"
_BOX_ENV = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_UNIT_PATH": UNIT_PATH}
_SPLIT_OFF = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private")
_numbers = itertools.count()

# The box's cgroup is empty once its PID 1 is gone, but for the instant the kernel needs to see the last ones off.
_SWEEP = """
mount -t cgroup2 c "$1" && own=$(sed -n "s/^0:://p" /proc/self/cgroup)
for i in 1 2 3 4 5 6 7 8 9 10; do
    find "$1$own/$2" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$1$own/$2" ] || exit 0
    sleep 0.1
done
exit 1
"""


def why_not() -> str:
    """Return what keeps a box from booting here, '' if nothing does."""
    if os.geteuid() != 0:
        return "a systemd of its own needs root"
    if not SYSTEMD.exists():
        return f"no systemd here ({SYSTEMD})"
    hidden = [path for path in (str(HERE), sys.prefix, sys.base_prefix) if path.startswith(("/tmp/", "/run/"))]
    if hidden:
        return f"{hidden[0]} is not seen inside: the box and the units have a /tmp of their own"
    missing = [tool for tool in ("unshare", "nsenter", "setpriv", "mount", "bash") if not shutil.which(tool)]
    return f"not installed: {', '.join(missing)}" if missing else ""


class BoxError(Exception):
    """The box did not boot, or a command in it failed."""


class Box:
    """One machine within the machine; gone with all that runs in it at the end of the `with` block."""

    def __init__(self, boot_limit_s: float = 20.0) -> None:
        self.boot_limit_s = boot_limit_s
        self.name = f"torpor-box-{os.getpid()}-{next(_numbers)}"
        self.pid = 0  # systemd's pid, seen from outside

    def __enter__(self) -> Self:
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self.name + "-", dir="/tmp"))
        self.log = pathlib.Path(f"{self.dir}.log")
        with self.log.open("wb") as log:
            self.proc = subprocess.Popen(
                [*_SPLIT_OFF, "bash", str(HERE / "stage1.sh"), str(self.dir), self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until(self._is_up, limit_s=self.boot_limit_s, what="the box's boot")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        if self.proc.poll() is not None:
            raise BoxError(f"boot failed: {self.log.read_text()}")
        if not self.pid:
            self.pid = self._child()
        if not self.pid or not pathlib.Path(self.path("/run/systemd/private")).exists():
            return False
        return self.systemctl("is-system-running", check=False).strip() in ("running", "degraded")

    def _child(self) -> int:
        # Not there yet is what the caller waits out.
        with contextlib.suppress(OSError):
            of_stage1 = pathlib.Path(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children").read_text().split()
            if of_stage1 and pathlib.Path(f"/proc/{of_stage1[0]}/comm").read_text().strip() == "systemd":
                return int(of_stage1[0])
        return 0

    def run(self, *argv: str, check: bool = True, env: dict[str, str] | None = None, user: str = "") -> str:
        """Run a command inside; returns its standard output and error together."""
        settings = [f"{name}={value}" for name, value in {**_BOX_ENV, **(env or {})}.items()]
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i", *settings, *become]
        done = subprocess.run([*enter, *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if check and done.returncode:
            raise BoxError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout}")
        return done.stdout

    def systemctl(self, *argv: str, check: bool = True) -> str:
        """Talk to the box's system manager."""
        return self.run("systemctl", *argv, check=check)

    def journal(self, *argv: str) -> str:
        """Return the box's journal."""
        return self.run("journalctl", "--no-pager", "-o", "short-monotonic", *argv, check=False)

    def path(self, inside: str) -> str:
        """Return the path from outside of what is at `inside`."""
        return f"/proc/{self.pid}/root{inside}"

    def pid_outside(self, inside: int) -> int:
        """Return the pid out here of the process that has this one in the box."""
        namespace = pathlib.Path(f"/proc/{self.pid}/ns/pid").readlink()
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            # A process of the machine's that ends while it is looked at is not the one.
            with contextlib.suppress(OSError):
                pids = (folder / "status").read_text().partition("NSpid:")[2].split("\n")[0].split()
                if pids[-1] == str(inside) and (folder / "ns" / "pid").readlink() == namespace:
                    return int(folder.name)
        raise BoxError(f"no process {inside} in the box")

    def write(self, inside: str, text: str) -> None:
        """Write a file inside, with the folders it needs."""
        target = pathlib.Path(self.path(inside))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def __exit__(self, *exc: object) -> None:
        if self.proc.poll() is None:
            # PID 1 of the namespace: all that runs in it dies with it, and its mounts go.
            os.kill(self.pid or self.proc.pid, signal.SIGKILL)
        self.proc.wait(10)
        sweep = ["unshare", "--mount", "--propagation", "private", "bash", "-c", _SWEEP]
        subprocess.run([*sweep, "-", str(self.dir), self.name], check=True)
        self.dir.rmdir()
        self.log.unlink()
