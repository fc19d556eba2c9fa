"""Whose child this process is: the service manager that holds its socket, and the name of its units there.

systemd names the socket it hands over by its unit (LISTEN_FDNAMES, sd_listen_fds_with_names(3)), and sets MANAGERPID
for the children of a user's manager alone (systemd.exec(5)). launchd sets XPC_SERVICE_NAME to the job's label.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["systemd-user", "systemd-system", "launchd", "none"]

_SOCKET = re.compile(r"(torpord(?:-[a-z0-9-]+)?(?:@.+)?)\.socket")
_LABEL = re.compile(r"org\.torpor\.torpord(?:\.[a-z0-9-]+)?")


@dataclass(frozen=True, slots=True)
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
