"""What can go wrong for a caller, by whose fault it is."""

from __future__ import annotations


class Error(Exception):
    """The root of the family: catching it catches all that this package raises on purpose."""


class Unreachable(Error):  # noqa: N818 - the names are part of the contract
    """Nobody answers and nobody could be started: the machine's fault, not the caller's.

    The request was not applied, or was applied and will be recognised by its key: asking again is safe.
    """


class Down(Unreachable):
    """The daemon is not running, and this call does not start it: it only looks, or `torpor stop` was the last word."""


class NotPermitted(Error):  # noqa: N818
    """The system forbids it: a file's mode, another user's daemon, a sandbox around the client.

    Never taken for "the daemon is down": nothing is started, nothing is removed.
    """


class BadHome(Error):  # noqa: N818 - as its neighbours
    """The home or the socket's path cannot be used as it is: whoever chose it has to mend it. Nothing was touched."""


class Timeout(Error):  # noqa: N818
    """The call's one deadline passed. The daemon may or may not have applied it; the same key tells."""


class ProtocolError(Error):
    """The other side spoke something that is not this protocol: a version apart, or not torpor at all."""


class Refused(Error):  # noqa: N818
    """The daemon answered with an error. `name` is the wire's name for it, `data` all it said beside it."""

    def __init__(self, name: str, message: str, data: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.data = data or {}
