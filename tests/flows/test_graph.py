"""A flow is checked before anything runs, and all that is wrong is told at once, by flow and state."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest

from torpord import Complete, Failed, Flow, Parallel, Retry, Run
from torpord.flows.errors import FlowError
from torpord.flows.exits import Fork, exits
from torpord.flows.graph import check, mermaid


def problems(flow: Flow) -> tuple[str, ...]:
    with pytest.raises(FlowError) as caught:
        check(flow)
    assert all(line.startswith(f"flow {flow.name}: ") for line in str(caught.value).splitlines())
    return caught.value.problems


def test_a_good_flow_is_read_from_its_returns() -> None:
    flow = Flow("good")

    @flow.state(initial=True)
    async def read(run: Run) -> object:
        if run.visit > 3:
            return Failed("never there")
        if run.attempt > 3:
            return Retry(after="30s")
        return Parallel(("extract", embed), join="merge") if run.data else merge

    @flow.state
    def extract(run: Run) -> object:
        return "merge"

    @flow.state
    async def embed(run: Run) -> object:
        return merge if run.data else embed

    @flow.state
    async def merge(run: Run) -> object:
        return Complete(run.data)

    leads = check(flow)
    assert leads["read"].forks == [Fork(("extract", "embed"), "merge")]
    assert leads["read"].next == ["merge"]
    assert leads["embed"].next == ["merge", "embed"]
    assert leads["merge"].completes
    assert not any(found.anywhere for found in leads.values())
    assert mermaid(flow).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> read",
        "    read --> merge",
        "    state read_fork1 <<fork>>",
        "    read --> read_fork1",
        "    read_fork1 --> extract : joins at merge",
        "    read_fork1 --> embed : joins at merge",
        "    extract --> merge",
        "    embed --> merge",
        "    embed --> embed",
        "    merge --> [*]",
    ]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    flow = Flow("bad")

    @flow.state(initial=True)
    async def one(run: Run) -> object:
        return "nowhere"

    @flow.state(initial=True)
    async def two(run: Run) -> object:
        return Parallel(("three", "gone"), join="three")

    @flow.state
    async def three(run: Run) -> object:
        return Parallel((), "outside")

    @flow.state
    async def four(run: Run) -> object:
        return Complete()

    told = "\n".join(problems(flow))
    for text in (
        "state one and state two: a flow has one initial state",
        "state one: its next state 'nowhere' is not there; there are one, two, three, four",
        "state two: its Parallel begins 'gone', which is not there",
        "state two: its Parallel joins at 'three', which is one of its own branches",
        "state three: its Parallel has no states",
        "state three: its Parallel joins at 'outside', which is not there",
        "state four: no state leads to it",
    ):
        assert text in told


def test_a_flow_without_a_beginning() -> None:
    flow = Flow("empty")
    assert problems(flow) == ("it has no state: write one, with @flow.state(initial=True)",)

    @flow.state
    async def only(run: Run) -> object:
        return Complete()

    assert problems(flow) == ("no state is the initial one: write initial=True at one of only",)


def test_a_name_taken_twice() -> None:
    flow = Flow("twice")

    def stated(initial: bool) -> Callable[..., object]:
        @flow.state(initial=initial)
        async def same(run: Run) -> object:
            return Complete()

        return same

    stated(initial=True)
    stated(initial=True)
    assert problems(flow) == ("state same: the name is taken twice; the second would stand for both",)


OTHER = "other"
DONE = Complete("done")
BOTH = ("other", "more")


def read(function: Callable[..., object], **options: object) -> tuple[list[str], list[Fork], bool, bool]:
    flow = Flow("x")
    for name in ("other", "more", "end"):

        def made(run: Run) -> object:
            return Complete()

        made.__name__ = name
        flow.state(made)
    flow.state(initial=True, **options)(function)  # type: ignore[call-overload]
    found = exits(flow, flow.states[function.__name__])
    return found.next, found.forks, found.completes, found.anywhere


def test_names_and_nested_functions_and_conditions() -> None:
    async def state(run: Run) -> object:
        def inner() -> object:
            return "not mine"

        class Local:
            def method(self) -> object:
                return "nor this"

        try:
            with contextlib.suppress(ValueError):
                return OTHER
        except OSError:
            return DONE
        finally:
            _ = (inner, Local, lambda: "nor that")
        return ("more" if run.data else "end") or "other"

    assert read(state) == (["other", "more", "end"], [], True, False)


def test_parallels_in_all_their_forms() -> None:
    def state(run: Run) -> object:
        if run.visit == 1:
            return Parallel(BOTH, "end")
        if run.visit == 2:
            return Parallel(states=["other"], join="end")
        return Parallel(tuple(run.data), join="end")

    _, forks, _, anywhere = read(state)
    assert forks == [Fork(("other", "more"), "end"), Fork(("other",), "end"), Fork(None, "end")]
    assert anywhere


@pytest.mark.parametrize("declared", ["other", ["other", Complete], Parallel(("other",), join="end")])
def test_what_cannot_be_read_is_declared_or_leads_anywhere(declared: object) -> None:
    def state(run: Run) -> object:
        where = run.data["where"]
        return where  # noqa: RET504 - that is the point

    assert read(state) == ([], [], False, True)
    assert read(state, to=declared)[3] is False
    assert read(state, to=declared) != ([], [], False, False)


def test_what_leads_anywhere_reaches_all_and_is_drawn_so() -> None:
    flow = Flow("any")

    @flow.state(initial=True)
    async def first(run: Run) -> object:
        return run.data["next"]

    @flow.state
    async def end(run: Run) -> object:
        return Complete()

    check(flow)
    assert "    first --> anywhere" in mermaid(flow)
    assert '    state "end" as s1_' in mermaid(flow), "a word of Mermaid's own gets another name"


def test_a_stub_does_not_change_the_graph() -> None:
    flow = Flow("stubbed")

    @flow.state(initial=True)
    async def first(run: Run) -> object:
        return second

    @flow.state
    async def second(run: Run) -> object:
        return Complete()

    async def stub(run: Run) -> object:
        return Complete("early")

    assert mermaid(flow.replace("first", stub)) == mermaid(flow)
    check(flow.replace("first", lambda _: "second"))


def test_wrong_options_are_refused_where_they_are_written() -> None:
    flow = Flow("options")

    async def fine(run: Run) -> object:
        return Complete()

    def yields(run: Run) -> object:
        yield "next"

    for options, text in (
        ({"retries": -1}, "retries=-1"),
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"timeout": 1e12}, "timeout=1"),
    ):
        with pytest.raises(TypeError, match=re.escape(text)):
            flow.state(**options)(fine)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="it yields"):
        flow.state(yields)
    with pytest.raises(TypeError, match="a flow's name"):
        Flow("")
    with pytest.raises(TypeError, match="a version"):
        Flow("x", version="2")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="has no state 'gone'"):
        flow.replace("gone", fine)
