"""Where a state may lead, as far as its own return statements say.

Read from the source, never by running it. What cannot be read there (a variable, another function's result) is declared
with `to=`; where neither tells, the state may lead anywhere, and the graph says so.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torpord.flows.api import Flow, State
from torpord.flows.outcomes import Complete, Failed, Parallel, Retry


@dataclass(frozen=True, slots=True)
class Fork:
    """A Parallel: its branches' first states and its join, by name; None where a part cannot be read."""

    branches: tuple[str, ...] | None
    join: str | None


@dataclass(slots=True)
class Exits:
    """Where a state may lead. `anywhere`: something that it returns cannot be read, and nothing was declared."""

    next: list[str] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)
    completes: bool = False
    fails: bool = False
    anywhere: bool = False

    def leads_to(self) -> list[str]:
        """Name every state that is named."""
        names = list(self.next)
        for fork in self.forks:
            names += [*(fork.branches or ()), *([fork.join] if fork.join else [])]
        return list(dict.fromkeys(names))


class _Unreadable(Exception):  # noqa: N818 - no error: what cannot be read is declared, or drawn as unknown
    """The value is known only when the code runs."""


def exits(flow: Flow, state: State) -> Exits:
    """Read where `state` leads."""
    found = Exits()
    for declared in state.to or ():
        _add(flow, found, declared)
    unread = False
    try:
        returns = list(_returns(state.written))
    except (OSError, TypeError, SyntaxError, IndexError):  # no source: built in, made by exec, or a part of a line
        returns, unread = [], True
    names = _names(state.written)
    for value in returns:
        for branch in _alternatives(value):
            try:
                _add(flow, found, _value(branch, names))
            except _Unreadable:
                unread = True
    found.anywhere |= unread and state.to is None
    found.next = list(dict.fromkeys(found.next))
    return found


def _add(flow: Flow, found: Exits, value: Any) -> None:
    match value:
        case Complete():
            found.completes = True
        case type() if value is Complete:
            found.completes = True
        case Failed() | Retry():
            found.fails |= isinstance(value, Failed)
        case Parallel():
            fork = _fork(flow, value)
            if fork not in found.forks:
                found.forks.append(fork)
            found.anywhere |= fork.branches is None or fork.join is None
        case _:
            found.next.append(_name(flow, value))


def _fork(flow: Flow, parallel: Parallel) -> Fork:
    listed = isinstance(parallel.states, list | tuple)  # a step will say of anything else what it is
    branches = tuple(_name(flow, each) for each in parallel.states) if listed else None
    return Fork(branches, None if parallel.join is _UNKNOWN else _name(flow, parallel.join))


def _name(flow: Flow, value: Any) -> str:
    """Name a state, also one that is not there: the check tells of it by this name."""
    return flow.name_of(value) or str(value if isinstance(value, str) else getattr(value, "__name__", value))


def _returns(function: Callable[..., Any]) -> Iterator[ast.expr]:
    """Give the value of each return statement that is the function's own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    (whole,) = tree.body
    if not isinstance(whole, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError("a lambda, or code made otherwise")
    todo: list[ast.AST] = list(whole.body)
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo[:0] = ast.iter_child_nodes(node)


def _alternatives(value: ast.expr) -> Iterator[ast.expr]:
    """Give each of the values that an expression may have."""
    match value:
        case ast.IfExp(body=body, orelse=orelse):
            yield from _alternatives(body)
            yield from _alternatives(orelse)
        case ast.BoolOp(values=values):
            for each in values:
                yield from _alternatives(each)
        case _:
            yield value


def _names(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the names mean in a function's code; its own variables are known only when it runs."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if code is None:
        return {}
    known = dict(plain.__globals__)
    for name, cell in zip(code.co_freevars, plain.__closure__ or (), strict=True):
        try:
            known[name] = cell.cell_contents
        except ValueError:  # not bound yet
            known.pop(name, None)
    for name in (*code.co_varnames, *code.co_cellvars):
        known.pop(name, None)
    return known


# Stands in a Parallel for what cannot be read of it.
_UNKNOWN: Any = object()


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return what an expression stands for: a state by name or function, or an outcome. Raises _Unreadable."""
    match node:
        case ast.Constant(value=value) if isinstance(value, str):
            return value
        case ast.Call(func=called):
            return _outcome(_looked_up(called, names), node, names)
        case ast.Name() | ast.Attribute():
            found = _looked_up(node, names)
            if isinstance(found, str | Complete | Failed | Parallel | Retry) or (
                callable(found) and not isinstance(found, type)
            ):
                return found
    raise _Unreadable


def _looked_up(node: ast.expr, names: dict[str, Any]) -> Any:
    match node:
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Attribute(value=inner, attr=attr):
            try:
                return inspect.getattr_static(_looked_up(inner, names), attr)  # runs no code of the author's
            except AttributeError as error:
                raise _Unreadable from error
    raise _Unreadable


def _outcome(called: Any, node: ast.Call, names: dict[str, Any]) -> Any:
    if called is Complete:
        return Complete()
    if called is Failed:
        return Failed("")
    if called is Retry:
        return Retry()
    if called is not Parallel:
        raise _Unreadable
    given = dict(zip(("states", "join"), node.args, strict=False)) | {
        keyword.arg: keyword.value for keyword in node.keywords if keyword.arg
    }
    states, join = given.get("states"), given.get("join")
    return Parallel(_listed(states, names), _UNKNOWN if join is None else _or_unknown(join, names))


def _listed(node: ast.expr | None, names: dict[str, Any]) -> Any:
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            listed = [_or_unknown(each, names) for each in elements]
            return _UNKNOWN if any(each is _UNKNOWN for each in listed) else tuple(listed)
        case ast.Name() | ast.Attribute():
            found = names.get(node.id) if isinstance(node, ast.Name) else None
            return tuple(found) if isinstance(found, tuple | list) else _UNKNOWN
    return _UNKNOWN


def _or_unknown(node: ast.expr, names: dict[str, Any]) -> Any:
    try:
        return _value(node, names)
    except _Unreadable:
        return _UNKNOWN
