"""The torpor daemon: one writer that owns one home (`daemon/ARCHITECTURE.md`).

What an author of flows needs is here by name, and loaded when it is asked for: the daemon itself does without it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would load typing; type checkers know this one by its name
if TYPE_CHECKING:
    from torpord.flows.api import Flow
    from torpord.flows.outcomes import Complete, Failed, Parallel, Retry
    from torpord.flows.run import Run

__all__ = ["Complete", "Failed", "Flow", "Parallel", "Retry", "Run"]

_HOMES = {
    "Complete": "torpord.flows.outcomes",
    "Failed": "torpord.flows.outcomes",
    "Flow": "torpord.flows.api",
    "Parallel": "torpord.flows.outcomes",
    "Retry": "torpord.flows.outcomes",
    "Run": "torpord.flows.run",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - `import torpord` alone loads nothing

    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value
