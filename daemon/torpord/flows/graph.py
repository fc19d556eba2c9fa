"""A flow as a graph: checked when it is loaded, and drawn from itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torpord.flows.api import Flow
from torpord.flows.errors import FlowError
from torpord.flows.exits import Exits, Fork, exits

# A plain word can stand in a Mermaid diagram as it is; these are its own.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {
    "anywhere",
    "as",
    "class",
    "classDef",
    "default",
    "direction",
    "end",
    "hide",
    "note",
    "scale",
    "state",
    "style",
}


def graph(flow: Flow) -> dict[str, Exits]:
    """Return where each state leads, in the order they were written."""
    return {state.name: exits(flow, state) for state in flow.states.values()}


def check(flow: Flow) -> dict[str, Exits]:
    """Return the graph of a flow that can run. Raises FlowError with all that is wrong, each by its state."""
    leads = graph(flow)
    problems = [*_beginnings(flow), *_targets(leads), *_unreached(flow, leads)]
    if problems:
        raise FlowError(flow.name, problems)
    return leads


def _beginnings(flow: Flow) -> Iterator[str]:
    for name in dict.fromkeys(flow.duplicates):
        yield f"state {name}: the name is taken twice; the second would stand for both"
    initial = [state.name for state in flow.states.values() if state.initial]
    if not flow.states:
        yield "it has no state: write one, with @flow.state(initial=True)"
    elif not initial:
        yield f"no state is the initial one: write initial=True at one of {', '.join(flow.states)}"
    elif len(initial) > 1:
        yield f"state {' and state '.join(initial)}: a flow has one initial state"


def _targets(leads: Mapping[str, Exits]) -> Iterator[str]:
    known = ", ".join(leads)
    for name, found in leads.items():
        for target in found.next:
            if target not in leads:
                yield f"state {name}: its next state {target!r} is not there; there are {known}"
        for fork in found.forks:
            yield from (f"state {name}: {problem}" for problem in _forked(fork, leads, known))


def _forked(fork: Fork, leads: Mapping[str, Exits], known: str) -> Iterator[str]:
    if fork.branches is not None and not fork.branches:
        yield "its Parallel has no states: return the join itself"
    for target in fork.branches or ():
        if target not in leads:
            yield f"its Parallel begins {target!r}, which is not there; there are {known}"
        elif target == fork.join:
            yield f"its Parallel joins at {target!r}, which is one of its own branches"
    if fork.join is not None and fork.join not in leads:
        yield f"its Parallel joins at {fork.join!r}, which is not there; there are {known}"


def _unreached(flow: Flow, leads: Mapping[str, Exits]) -> Iterator[str]:
    todo = [state.name for state in flow.states.values() if state.initial]
    if not todo:
        return  # that is the problem to mend first
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name in reached or name not in leads:
            continue
        reached.add(name)
        if leads[name].anywhere:
            return
        todo += leads[name].leads_to()
    for name in leads:
        if name not in reached:
            yield f"state {name}: no state leads to it; name it in a return, or in to= where that cannot be read"


def mermaid(flow: Flow) -> str:
    """Draw the flow as a Mermaid state diagram; what a state may lead to beyond what can be read is `anywhere`."""
    leads = graph(flow)
    names = {name: _alias(name, number) for number, name in enumerate(leads)}
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{_quoted(name)}" as {alias}' for name, alias in names.items() if name != alias]
    lines += [f"    [*] --> {names[state.name]}" for state in flow.states.values() if state.initial]
    for name, found in leads.items():
        here = names[name]
        lines += [f"    {here} --> {names.get(target, target)}" for target in found.next]
        for number, fork in enumerate(found.forks, 1):
            lines += _drawn(f"{here}_fork{number}", here, fork, names)
        if found.completes:
            lines.append(f"    {here} --> [*]")
        if found.anywhere:
            lines.append(f"    {here} --> anywhere")
    return "\n".join(lines)


def _drawn(bar: str, here: str, fork: Fork, names: Mapping[str, str]) -> Iterator[str]:
    yield f"    state {bar} <<fork>>"
    yield f"    {here} --> {bar}"
    join = f" : joins at {_quoted(fork.join)}" if fork.join else ""
    for branch in fork.branches or ("anywhere",):
        yield f"    {bar} --> {names.get(branch, branch)}{join}"


def _alias(name: str, number: int) -> str:
    plain = _PLAIN.fullmatch(name) and name not in _RESERVED
    return name if plain else f"s{number}_"


def _quoted(name: str) -> str:
    return re.sub(r'[\s"]+', " ", name)
