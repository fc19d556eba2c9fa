"""What an author writes: a flow of named states."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from torpord.core import durations
from torpord.core.runs import DEFAULT_MAX_STEPS
from torpord.flows.outcomes import Complete, Parallel, StateRef

if TYPE_CHECKING:
    from torpord.flows.memory import Result

F = TypeVar("F", bound=Callable[..., Any])
To = StateRef | Parallel | Complete | type[Complete]


@dataclass(frozen=True, slots=True)
class State:
    """A state: its function, and the options it was given.

    `written`: the function that the graph is read from; a stub does not change the graph. `to`: what the author says of
    where it leads, beside what can be read from the code; None: nothing.
    """

    name: str
    function: Callable[..., Any]
    written: Callable[..., Any]
    is_async: bool
    initial: bool = False
    retries: int = 0
    timeout_s: float | None = None
    to: tuple[To, ...] | None = None

    @property
    def doc(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.written) or "").partition("\n")[0]


class Flow:
    """A graph of named states. `version` is for its author to tell runs of changed code apart.

    `services` makes what the states share, once in each worker: a function (plain or async), one that returns a context
    manager (plain or async; it is entered, and left at the worker's end), or a generator that yields it once.
    """

    def __init__(self, name: str, version: int = 1, services: Callable[[], Any] | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"Flow({name!r}): a flow's name is a text")
        if not isinstance(version, int) or isinstance(version, bool):
            raise TypeError(f"Flow({name!r}, version={version!r}): a version is a whole number")
        self.name = name
        self.version = version
        self.services = services
        self._states: dict[str, State] = {}
        self._names: dict[Callable[..., Any], str] = {}
        self.duplicates: list[str] = []

    @property
    def states(self) -> Mapping[str, State]:
        """The states by name, in the order they were written."""
        return MappingProxyType(self._states)

    @overload
    def state(self, function: F, /) -> F: ...

    @overload
    def state(
        self,
        /,
        *,
        initial: bool = False,
        retries: int = 0,
        timeout: float | str | None = None,
        to: To | Sequence[To] | None = None,
    ) -> Callable[[F], F]: ...

    def state(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        initial: bool = False,
        retries: int = 0,
        timeout: float | str | None = None,
        to: To | Sequence[To] | None = None,
    ) -> Any:
        """Make a function a state, by its name. It takes a Run and returns what comes next.

        `retries`: how often a failed attempt is followed by another one. `timeout`: of one attempt, in seconds or as
        "5m". `to`: where it leads, if its return statements do not show it: names, states, Complete, a Parallel.
        """
        leads: Any = to if to is None or isinstance(to, list | tuple) else (to,)

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            at = f"flow {self.name}: state {getattr(function, '__name__', repr(function))}"
            if not inspect.isroutine(function):
                raise TypeError(f"{at}: a state is a function with a name")
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError(f"{at}: it yields; a state returns what comes next, once")
            if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
                raise TypeError(f"{at}: retries={retries!r} is not a number of attempts after the first")
            limit_s, declared = _timeout_s(timeout, at), None if leads is None else tuple(leads)
            name = function.__name__
            self.add(State(name, function, function, is_async(function), initial, retries, limit_s, declared))
            return function

        return add if function is None else add(function)

    def add(self, state: State) -> None:
        """Add a state that is made by other means than the decorator."""
        if state.name in self._states:
            self.duplicates.append(state.name)
        self._states[state.name] = state
        self._names[state.function] = state.name

    def replace(self, name: str, function: Callable[..., Any]) -> Flow:
        """Return a flow like this one, in which `function` stands for the state `name`. For tests. Raises KeyError."""
        if name not in self._states:
            raise KeyError(f"flow {self.name} has no state {name!r}; it has {', '.join(self._states)}")
        other = Flow(self.name, self.version, self.services)
        other._states = dict(self._states)
        # The old function stays a name of the state: other states return it.
        other._names = {**self._names, function: name}
        other.duplicates = list(self.duplicates)
        other._states[name] = replace(self._states[name], function=function, is_async=is_async(function))
        return other

    def name_of(self, state: Any) -> str | None:
        """Return the name of a state given by its name or its function; None for what is neither."""
        if isinstance(state, str):
            return state if state in self._states else None
        if not callable(state):
            return None
        try:
            return self._names.get(state) or self._names.get(inspect.unwrap(state))
        except (TypeError, ValueError):  # it cannot be hashed, or wraps itself
            return None

    async def run_here(self, data: Mapping[str, Any] | None = None, *, max_steps: int = DEFAULT_MAX_STEPS) -> Result:
        """Run it without a daemon, from its initial state to its end: for tests and scripts.

        Nothing is durable, and what is tried again is tried at once. Raises FlowError where the flow cannot be run.
        """
        from torpord.flows.memory import run_here  # noqa: PLC0415 - it imports this module

        return await run_here(self, data, max_steps=max_steps)

    @property
    def initial(self) -> str:
        """The name of the state that a run begins with. Raises StopIteration where the flow is not checked."""
        return next(state.name for state in self._states.values() if state.initial)


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether calling it gives a coroutine: then it runs in the event loop, and else in a thread."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - not whether it can be called, but what it is then
    )


def _timeout_s(timeout: float | str | None, at: str) -> float | None:
    if timeout is None:
        return None
    try:
        limit_s = durations.seconds(timeout)
    except ValueError as error:
        raise TypeError(f'{at}: timeout={timeout!r} is no duration of up to a year, such as 90, "90s", "5m"') from error
    return limit_s or None
