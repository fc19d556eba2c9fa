"""The end of a daemon that is to stay down: whoever holds its socket is told to let go of it.

Closing its own descriptor is not enough: the service manager would start the daemon again for the next connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from torpord.host import timers
from torpord.host.unit_name import Manager, keeper_path

if TYPE_CHECKING:
    from collections.abc import Mapping

# systemctl stop, of several units one of which is not there: the others it has stopped.
_NOT_LOADED = 5


async def close_the_door(manager: Manager, environ: Mapping[str, str]) -> str:
    """Have the units stopped that start this daemon. Returns what went wrong, "" where the manager is at it.

    It stops the service with them; nobody waits for that here, as it waits for us. launchd is told by the client alone:
    to take the job away is to kill it, and all that it has started.
    """
    match manager.kind:
        case "systemd-user":
            kept = {name: environ[name] for name in ("PATH", "XDG_RUNTIME_DIR") if name in environ}
            names = (f"{manager.unit}.socket", f"{manager.unit}.path")
            command = ["systemctl", "--user", "--quiet", "--no-block", "stop", *names]
            return (await timers.run_command(command, {**kept, "LC_ALL": "C"})).problem(_NOT_LOADED)
        case "systemd-system":
            return await _by_keeper(keeper_path(manager.unit))
        case "launchd":
            return "launchd is told by `torpor stop` alone"
        case "none":
            return "the units are not known: the socket they handed over has a name that is none of torpor's"


async def _by_keeper(path: str) -> str:
    try:
        with anyio.fail_after(timers.KEEPER_LIMIT_S):
            answer = await timers.ask_keeper(path, "stop")
    except TimeoutError:
        return f"{path} gave no answer within {timers.KEEPER_LIMIT_S:g} s"
    except OSError as error:
        return f"{path} cannot be asked ({error.strerror or error})"
    said = answer.split()
    return "" if said[-1:] == ["ok"] else f"{path} would not stop the units ({' '.join(said) or 'no answer'})"
