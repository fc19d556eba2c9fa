"""Whether this installation can be a service of a home: its interpreter has torpord, the home and settings are good."""

from __future__ import annotations

import importlib.util
import os
import pwd
import sys
from typing import TYPE_CHECKING

from torpor import wire
from torpor.service import running
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from torpor.service.names import Place

_PATH = "/usr/local/bin:/usr/bin:/bin"
_HIDDEN = ("/tmp/", "/var/tmp/")  # noqa: S108 - nothing is made there: PrivateTmp= of torpord@.service hides both
_LIMIT_S = 30.0  # it loads the code of the flows
# What torpord itself answers with, sysexits(3).
_OWN = (wire.EX_DATAERR, wire.EX_TEMPFAIL, wire.EX_NOPERM, wire.EX_CONFIG)


def interpreter() -> str:
    """Return the Python that the units are to name: this one. Raises Wrong where it does not know itself.

    A link is kept as it is: that of a virtual environment is what makes it one.
    """
    if not os.path.isabs(sys.executable or ""):
        raise Wrong(wire.EX_UNAVAILABLE, "this Python does not know its own executable, so no unit can name it")
    if not sys.executable.isprintable():
        raise Wrong(wire.EX_USAGE, f"{sys.executable!a} has control characters: no unit can name it")
    return sys.executable


def check(place: Place, program: str) -> None:
    """Have `program` check home, settings and flows as the daemon's user, in a service's environment.

    The code of flows is loaded by it: never as root for somebody else. Raises Wrong with its words.
    """
    if place.manager == "systemd-system":
        _refuse_hidden(program)
    command = [program, "-P", "-m", "torpord", "check", "--home", place.home]
    whose = pwd.getpwnam(place.user) if place.manager == "systemd-system" else pwd.getpwuid(os.geteuid())
    if whose.pw_uid != os.geteuid():
        become = ["setpriv", "--reuid", str(whose.pw_uid), "--regid", str(whose.pw_gid), "--init-groups", "--"]
        command = [*become, *command]
    environ = {"PATH": _PATH, "HOME": whose.pw_dir}
    if place.socket != os.path.join(place.home, wire.SOCKET_NAME):
        environ["TORPOR_SOCKET"] = place.socket
    ran = running.run(command, environ, _LIMIT_S)
    if ran.status == 0:
        return
    if ran.status in _OWN:
        raise Wrong(ran.status, f"the daemon could not start: {ran.words.removeprefix('torpord: ')}")
    if "Permission denied" in ran.words or ran.status in (126, 127):
        raise Wrong(wire.EX_NOPERM, f"{program} cannot be run by {place.user} ({ran.words}): install torpor elsewhere")
    raise Wrong(wire.EX_UNAVAILABLE, f"{program} cannot run torpord ({ran.words[-300:]}): install torpor with it")


def _refuse_hidden(program: str) -> None:
    """Refuse an installation that a service of the system does not see: it has directories of its own in the place."""
    torpord = importlib.util.find_spec("torpord")
    packages = [__file__, *([torpord.origin] if torpord is not None and torpord.origin is not None else [])]
    for path in (program, sys.prefix, sys.base_prefix, *packages):
        for seen in (os.path.abspath(path), os.path.realpath(path)):
            if seen.startswith(_HIDDEN):
                said = f"{seen} is not seen by a service of the system, which has a /tmp and a /var/tmp of its own"
                raise Wrong(wire.EX_UNAVAILABLE, f"{said}: install torpor elsewhere, in /opt say")
