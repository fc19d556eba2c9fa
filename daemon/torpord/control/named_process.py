"""The process that a client names by its pid: which very one it is now."""

from __future__ import annotations

from torpord.control.params import RefusedError
from torpord.core.draft import Refusal
from torpord.host import processes
from torpord.host.processes import ProcessIdentity


def named(pid: int) -> ProcessIdentity:
    """Return the identity of the process that has this pid now. Raises RefusedError, naming `pid`."""
    try:
        identity = processes.identify(pid)
    except OSError as error:
        message = f"process {pid} cannot be looked at now ({error.strerror}): ask again when there are descriptors"
        raise RefusedError(Refusal("too_many", message, {"field": "pid"})) from error
    if identity is None:
        raise RefusedError(
            Refusal(
                "invalid_params",
                f"there is no process of pid {pid}: it has ended, or runs where it is not seen",
                {"field": "pid"},
            )
        )
    return identity
