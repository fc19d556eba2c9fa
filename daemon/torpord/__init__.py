"""The torpor daemon: one writer that owns one home (`daemon/ARCHITECTURE.md`).

What an author of flows needs is here by name, and loaded when it is asked for: the daemon itself does without it.

    flow = Flow("words", services=open_database)       # made once in each worker; `run.services` in the states

    @flow.state(initial=True, retries=3, timeout="5m", to="count")    # `to`: where the return statements do not show it
    async def find(run: Run):                          # or a plain `def`: it runs in a thread
        text = await run.call("fetch", {"url": URL}, fetch)   # once; in a plain `def`: run.call_sync
        run.data["text"] = text                        # JSON; kept when the state ends well
        return "count"                                 # a state, or Complete, Failed, Retry, Parallel

- `Retry(after="10m")` is no failure: it is not counted against `retries`, and only `max_steps` ends it.
- An attempt that fails, runs out of its `timeout` or returns Retry loses what it did to `run.data`. Long work looks at
  `run.yielding`, and returns its own state well before its `timeout`: what it has done by then is kept.
- `await flow.run_here(data)` runs it in a test. The settings name it: `[flows.words]`, `python = "words:flow"`.
- A flow of commands needs no Python: `[[flows.NAME.steps]]` in torpor.toml (the README's "Work while it sleeps").
- More: help(torpord.Flow), help(torpord.Run), help(torpord.Retry), and so on.
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
