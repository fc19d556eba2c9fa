"""Where a step leads: what a state returned, read against its flow and the branch it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from torpord.core.runs import MAX_BRANCHES
from torpord.flows import strict
from torpord.flows.api import Flow
from torpord.flows.errors import StepMistakeError, bounded
from torpord.flows.journal import Message
from torpord.flows.outcomes import Complete, Failed, Parallel, Retry


@dataclass(frozen=True, slots=True)
class Forked:
    """A branch that begins: its name, its first state, and where it ends."""

    branch: str
    state: str
    join: str


@dataclass(frozen=True, slots=True)
class Routed:
    """A step's outcome as the journal takes it; whether its data is kept; the state entered; the branches begun."""

    outcome: Message
    keeps: bool = True
    enters: str = ""
    forks: tuple[Forked, ...] = ()


def route(flow: Flow, branch: str, join: str | None, visits: Mapping[str, int], state: str, returned: Any) -> Routed:
    """Read what `state` returned in `branch`, which ends at `join`.

    Raises StepMistakeError for what leads nowhere, StepError for a result that a run cannot keep.
    """
    match returned:
        case Failed():
            reason = bounded("Failed", str(returned.reason))
            return Routed({"failed": reason, "retries": flow.states[state].retries, "timed_out": False}, keeps=False)
        case Retry():
            return Routed({"retry_after_s": _pause_s(state, returned)}, keeps=False)
        case Complete():
            if branch:
                raise StepMistakeError(
                    f"state {state} returned Complete in the branch {branch}: a branch ends at its join {join}"
                )
            raw = strict.dump(returned.result, "the result of the run")
            strict.check_size(len(raw), "the result of the run")
            return Routed({"complete": orjson.Fragment(raw)})
        case Parallel():
            if branch:
                raise StepMistakeError(
                    f"state {state} returned Parallel in the branch {branch}: branches have no branches"
                )
            return _parallel(flow, visits, state, returned)
    name = _named(flow, state, returned)
    if name == join:
        return Routed({"next": name, "visit": 0})  # the visit is main's, and counted when all have come
    return Routed({"next": name, "visit": visits.get(name, 0) + 1}, enters=name)


def _pause_s(state: str, retry: Retry) -> float:
    try:
        return retry.after_s
    except ValueError as error:
        raise StepMistakeError(f"state {state} returned {error}") from error


def _parallel(flow: Flow, visits: Mapping[str, int], state: str, parallel: Parallel) -> Routed:
    if isinstance(parallel.states, str) or not hasattr(parallel.states, "__iter__"):
        raise StepMistakeError(f"state {state} returned Parallel({parallel.states!r:.200}): give a list of states")
    firsts = [_named(flow, state, each) for each in parallel.states]
    join = _named(flow, state, parallel.join)
    if not firsts:
        raise StepMistakeError(f"state {state} returned a Parallel of nothing: return its join {join} instead")
    if len(firsts) > MAX_BRANCHES:
        raise StepMistakeError(
            f"state {state} returned a Parallel of {len(firsts)} branches; the limit is {MAX_BRANCHES}"
        )
    if join in firsts:
        raise StepMistakeError(f"state {state} returned a Parallel whose join {join} is one of its own branches")
    forks, seen = [], Counter[str]()
    for first in firsts:
        seen[first] += 1
        suffix = f"#{seen[first]}" if seen[first] > 1 else ""
        forks.append(Forked(f"{state}:{visits.get(state, 1)}/{first}{suffix}", first, join))
    begun = [{"branch": fork.branch, "state": fork.state} for fork in forks]
    return Routed({"parallel": begun, "join": join}, forks=tuple(forks))


def _named(flow: Flow, state: str, returned: Any) -> str:
    name = flow.name_of(returned)
    if name is None:
        text = f"{returned!r:.200}" if isinstance(returned, str) else f"{returned!r:.200} ({type(returned).__name__})"
        raise StepMistakeError(
            f"state {state} returned {text}: that is no state of flow {flow.name}, which has {', '.join(flow.states)}"
        )
    return name
