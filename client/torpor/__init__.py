"""The client of torpor, a daemon that knows when nobody needs it. Standard library only.

`torpor.Client` blocks, `torpor.AsyncClient` is for asyncio, `torpor.send(event)` is the one call of a hook. What goes
wrong is a `torpor.Error`: `Unreachable`, `NotPermitted`, `Timeout`, `ProtocolError` or `Refused`.

Importing this package loads nothing else: each name is fetched at its first use (PEP 562), because `torpor send` runs
in hooks all the time and pays for every module.
"""

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Error",
    "NotPermitted",
    "ProtocolError",
    "Refused",
    "Timeout",
    "Unreachable",
    "__version__",
    "send",
]

TYPE_CHECKING = False  # as a plain name: `typing` alone costs more to import than `torpor send` may
if TYPE_CHECKING:
    from torpor.aio import AsyncClient
    from torpor.client import Client
    from torpor.delivery import send
    from torpor.errors import Error, NotPermitted, ProtocolError, Refused, Timeout, Unreachable

_WHERE = {
    "AsyncClient": "torpor.aio",
    "Client": "torpor.client",
    "Error": "torpor.errors",
    "NotPermitted": "torpor.errors",
    "ProtocolError": "torpor.errors",
    "Refused": "torpor.errors",
    "Timeout": "torpor.errors",
    "Unreachable": "torpor.errors",
    "send": "torpor.delivery",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - see the docstring

    found: object = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
