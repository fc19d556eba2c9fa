"""The process that a client names by its pid: which very one it is now."""

from __future__ import annotations

from torpord.control.calls import Call
from torpord.control.params import RefusedError
from torpord.core.draft import Refusal
from torpord.host import processes
from torpord.host.processes import ProcessIdentity

# A file's time may be a little coarse, and the clock be set a little between the two.
_ABOUT_S = 2.0


def named(call: Call, pid: int) -> ProcessIdentity:
    """Return the identity of the process that a call names by this pid. Raises RefusedError, naming `pid`.

    A process that began after a file was written is not the one that was named in it: it has the number of that.
    """
    try:
        identity = processes.identify(pid)
    except OSError as error:
        message = f"process {pid} cannot be looked at now ({error.strerror}): ask again when there are descriptors"
        raise RefusedError(Refusal("too_many", message, {"field": "pid"})) from error
    if identity is None:
        raise _refused(f"there is no process of pid {pid}: it has ended, or runs where it is not seen")
    left_s = call.left_wall_s
    if left_s is not None and processes.began_wall_s(identity, call.desk.now()) > left_s + _ABOUT_S:
        raise _refused(f"the process of pid {pid} has ended: the one that has the number now began after this was said")
    return identity


def _refused(message: str) -> RefusedError:
    return RefusedError(Refusal("invalid_params", message, {"field": "pid"}))
