"""Whose child this process is: the service manager that holds its socket, and the name of its units there.

systemd names the socket it hands over by its unit (LISTEN_FDNAMES, sd_listen_fds_with_names(3)), and sets MANAGERPID
for the children of a user's manager alone (systemd.exec(5)). launchd sets XPC_SERVICE_NAME to the job's label.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torpord.core.value import value

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["systemd-user", "systemd-system", "launchd", "none"]

_SOCKET = re.compile(r"(torpord(?:-[a-z0-9-]+)?(?:@.+)?)\.socket")
_LABEL = re.compile(r"org\.torpor\.torpord(?:\.[a-z0-9-]+)?")


@value
class Manager:
    """A service manager, and the name of the daemon's units in it without their kind: torpord, torpord@ann.

    For launchd it is the job's label. "none" and "" where nobody's units are known to start this daemon again.
    """

    kind: Kind
    unit: str


NONE = Manager("none", "")


def found(names: str, environ: Mapping[str, str], platform: str = sys.platform) -> Manager:
    """Return who holds our socket. `names`: what LISTEN_FDNAMES was, "" where no socket was handed over.

    A socket of another name than torpor's (a drop-in with FileDescriptorName=) leads to no unit that could be named.
    """
    if platform == "darwin":
        label = environ.get("XPC_SERVICE_NAME", "")
        return Manager("launchd", label) if _LABEL.fullmatch(label) else NONE
    named = _SOCKET.fullmatch(names)
    if named is None:
        return NONE
    return Manager("systemd-user" if environ.get("MANAGERPID") else "systemd-system", named[1])


def takes_timers(manager: Manager, environ: Mapping[str, str]) -> bool:
    """Return whether a timer for planned wakes can be asked of this manager; whether it takes one, asking shows."""
    match manager.kind:
        case "systemd-user":
            runtime = environ.get("XDG_RUNTIME_DIR", "")
            return bool(runtime) and _is_seen(Path(runtime, "systemd/private")) and _on_path("systemd-run", environ)
        case "systemd-system":
            return "@" in manager.unit and _is_seen(Path(keeper_path(manager.unit)))
        case "launchd":
            return True
        case "none":
            return False


def keeper_path(unit: str) -> str:
    """Return the socket at which root's keeper of the timer of `torpord@USER` listens to USER."""
    return f"/run/torpord-keeper/{unit.partition('@')[2]}"


def _is_seen(path: Path) -> bool:
    # Not Path.exists, which raises where a folder may not be entered: that is no reason for a start to fail.
    return os.access(path, os.F_OK)


def _on_path(name: str, environ: Mapping[str, str]) -> bool:
    # Not shutil.which: a daemon at rest does without its compressors.
    return any(os.access(Path(folder, name), os.X_OK) for folder in os.get_exec_path(environ) if folder)
