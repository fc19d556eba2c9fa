"""torpor as an agent of launchd: the property list of one home, and telling launchd of it.

What is known of launchctl(1) here is what others found out: `bootout` returns before the job is gone, and a `bootstrap`
meanwhile fails with 5 or 37; `print` of what is not there exits 113. None of it can run where this is developed: the
tests have a launchctl with a script of answers.
"""

from __future__ import annotations

import os
import plistlib
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torpor import __version__, wire
from torpor.deadline import Deadline
from torpor.service import markers, running
from torpor.service.lines import Line
from torpor.service.texts import shipped
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.service.names import Place

_LIMIT_S = 10.0
_LOOK_EVERY_S = 0.05
_FIRST_PAUSE_S = 0.1
_NOT_THERE = 113
_BEING_REMOVED = 36  # EINPROGRESS, of bootout: it goes
_NO_SUCH_JOB = 3  # ESRCH, of bootout
# EIO, EEXIST and EALREADY: the one that is there is on its way out.
_ON_ITS_WAY = (5, 17, 37)
_PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin"
_STATE = re.compile(r"^\s*state = (.+)$", re.MULTILINE)


def texts(place: Place, interpreter: str) -> dict[str, str]:
    """Return the property list by the name of its file, the marker in a comment behind the document's type."""
    found: dict[str, Any] = plistlib.loads(shipped("org.torpor.torpord.plist").encode())
    shipped_home = str(found["EnvironmentVariables"]["TORPOR_HOME"])
    found = _moved(found, shipped_home, place.home)
    found["Label"] = place.unit
    found["ProgramArguments"] = [interpreter, "-P", "-m", "torpord", "run"]
    environ = {"PATH": f"{os.path.dirname(interpreter)}:{_PATH}", "TORPOR_HOME": place.home}
    if place.socket != os.path.join(place.home, wire.SOCKET_NAME):
        environ["TORPOR_SOCKET"] = place.socket
    found["EnvironmentVariables"] = environ
    found["Sockets"]["Listener"]["SockPathName"] = place.socket
    declaration, doctype, body = plistlib.dumps(found, sort_keys=False).decode().split("\n", 2)
    marker = markers.line(__version__, place.home, place.unit, body).removeprefix("# ")
    return {place.files[0]: f"{declaration}\n{doctype}\n<!-- {marker} -->\n{body}"}


def _moved(value: Any, old: str, new: str) -> Any:
    """Return a property list's value with one directory in the place of another, in keys, too (PathState)."""
    match value:
        case str():
            return new + value[len(old) :] if value == old or value.startswith(old + "/") else value
        case list():
            return [_moved(each, old, new) for each in value]
        case dict():
            return {_moved(key, old, new): _moved(each, old, new) for key, each in value.items()}
        case _:
            return value


def reach(place: Place) -> None:
    """Make sure that launchd can be told. Raises Wrong 69."""
    if shutil.which("launchctl") is None:
        raise Wrong(wire.EX_UNAVAILABLE, f"there is no launchctl on the PATH: {place.unit} cannot be installed")


def state(place: Place) -> str:
    """Return what launchd calls the job's state, "" where it does not know the job."""
    ran = _launchctl("print", _target(place))
    found = _STATE.search(ran.out)
    return "" if ran.status else found[1] if found is not None else "loaded"


def planned(place: Place) -> Place:
    """Return the job that the daemon makes for its planned wake; its property list is there as long as it is."""
    return replace(place, unit=f"{place.unit}.planned")


def is_armed(place: Place) -> bool:
    """Say whether launchd has the job of a planned wake."""
    job = planned(place)
    return os.path.exists(os.path.join(job.directory, job.files[0])) and bool(state(job))


def disarmed(place: Place) -> None:
    """Take the job of a planned wake away. Raises Wrong; OSError."""
    job = planned(place)
    path = os.path.join(job.directory, job.files[0])
    if not os.path.lexists(path):
        return
    if state(job):
        stopped(job)
    os.unlink(path)


def started(place: Place, stale: list[str]) -> list[Line]:
    """Have launchd take the property list; one that changed is read anew, which ends a daemon that runs.

    Raises Wrong 69 with launchctl's words.
    """
    target = _target(place)
    _launchctl("enable", target)  # a `disable` of long ago would outlive the file
    if not state(place):
        _bootstrap(place, target)
    elif stale:
        stopped(place)
        _bootstrap(place, target)
    if not state(place):
        raise Wrong(wire.EX_UNAVAILABLE, f"launchd took {target} and does not know it: launchctl print {target}")
    return [Line("enabled", f"{target}: listening at {place.socket}")]


def stopped(place: Place) -> list[Line]:
    """Have launchd forget the job, and wait until it is gone. Raises Wrong."""
    target = _target(place)
    ran = _launchctl("bootout", target)
    if ran.status not in (0, _BEING_REMOVED, _NO_SUCH_JOB, _NOT_THERE):
        raise Wrong(wire.EX_UNAVAILABLE, f"`launchctl bootout {target}` failed ({ran.status}): {ran.words}")
    deadline = Deadline(_LIMIT_S)
    try:
        while _launchctl("print", target).status != _NOT_THERE:
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        said = f"{target} was told to go and is there after {_LIMIT_S:g} s: launchctl print {target}"
        raise Wrong(wire.EX_TEMPFAIL, said) from None
    return [Line("stopped", target)]


def _bootstrap(place: Place, target: str) -> None:
    deadline, pause_s = Deadline(_LIMIT_S), _FIRST_PAUSE_S
    domain, path = target.rpartition("/")[0], os.path.join(place.directory, place.files[0])
    while (ran := _launchctl("bootstrap", domain, path)).status:
        failed = Wrong(wire.EX_UNAVAILABLE, f"`launchctl bootstrap {domain} {path}` failed ({ran.status}): {ran.words}")
        if ran.status not in _ON_ITS_WAY and "already bootstrapped" not in ran.words:
            raise failed
        try:
            deadline.sleep(pause_s)
        except TimeoutError:
            raise failed from None
        if state(place):
            return  # what is there by now is what was wanted
        pause_s *= 2


def _target(place: Place) -> str:
    """Return the job's name for launchctl: in the user's graphical session, without one (ssh) in the user's domain."""
    uid = os.geteuid()
    domain = f"gui/{uid}" if _launchctl("print", f"gui/{uid}").status == 0 else f"user/{uid}"
    return f"{domain}/{place.unit}"


def _launchctl(*words: str) -> running.Ran:
    kept: Mapping[str, str] = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return running.run(["launchctl", *words], {"PATH": "/usr/bin:/bin", **kept})
