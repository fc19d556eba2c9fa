"""The worker's side of a run, played in virtual time: what a worker process knows, and what it reports of its steps.

A flow here is only its graph: where each state leads. The model keeps the worker's promises (it reports what it was
told to begin, each attempt once, and counts visits), and breaks them only where a test makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core.records import Entry
from torpord.core.runs import MAIN, Run

WORKER = {"source": "worker"}


@dataclass(frozen=True, slots=True)
class Fork:
    """A state that ends in a Parallel."""

    first: tuple[str, ...]
    join: str


# Where a state leads: to another, to several at once, or (None) to the run's end.
Graph = Mapping[str, str | Fork | None]


def chain(*states: str) -> Graph:
    """Make a flow of states one behind the other."""
    return dict(zip(states, [*states[1:], None], strict=True))


CYCLE = ("trim", "checkpoint", "optimize", "integrity_check", "backup")
FLOWS: dict[str, Graph] = {
    "housekeeping": chain(*CYCLE),
    "chain": chain("a", "b", "c"),
    "one": chain("only"),
    "fork": {"split": Fork(("left", "right"), "merge"), "left": "merge", "right": "right2", "right2": "merge"}
    | chain("merge", "after"),
    "loop": {"turn": "back", "back": "turn"},
    # A Parallel that is entered again and again: its branches are others each time.
    "forks": {"split": Fork(("left", "right"), "merge"), "left": "merge", "right": "merge", "merge": "split"},
}
ERROR = {"type": "OSError", "message": "no space left on device", "traceback": "Traceback …"}


def visits_so_far(entries: Iterable[Entry], run: Run) -> dict[str, dict[str, int]]:
    """Count how often each branch entered each state, as the store does: by the attempts that ended, and the places."""
    visits: dict[str, dict[str, int]] = {}
    ended = [e.record for e in entries if isinstance(e.record, rr.StepDone) and e.record.run_id == run.run_id]
    for at in (*ended, *run.places):
        known = visits.setdefault(at.branch, {})
        if at.state:
            known[at.state] = max(known.get(at.state, 0), at.visit)
    return visits


@dataclass(slots=True)
class ModelWorker:
    """Worker `number` of a run. `steps`: what it is at, by branch; `join`: where it is to merge; `word`: how it ends.

    `late`: attempts it had begun when it was told to end, which may still report.
    """

    run_id: str
    number: int
    graph: Graph
    visits: dict[str, dict[str, int]] = field(default_factory=dict)
    steps: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    join: str | None = None
    loaded: bool = False
    word: str = ""

    @property
    def names(self) -> dict[str, Any]:
        """Say whose reports its are."""
        return {"cause": WORKER, "run_id": self.run_id, "worker": self.number}

    @property
    def rests(self) -> bool:
        """Whether it has nothing to report."""
        return self.loaded and not self.steps and self.join is None

    def begin(self, steps: Iterable[Mapping[str, Any]], join: str | None) -> None:
        """Take what it is told to do."""
        assert self.loaded, "a worker that has no flow yet cannot begin steps"
        for step in steps:
            assert step["branch"] not in self.steps, "one step of a branch at a time"
            assert step["state"] in self.graph
            self.steps[step["branch"]] = step
            known = self.visits.setdefault(step["branch"], {})
            known[step["state"]] = max(known.get(step["state"], 0), step["visit"])
        if join is not None:
            assert not self.steps, "merging is for when all branches are there"
            self.join = join

    def load(self) -> re.WorkerLoaded:
        """Tell that the flow is there."""
        return re.WorkerLoaded(**self.names, version=1, initial=next(iter(self.graph)), states=frozenset(self.graph))

    def outcome(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Say where a step leads that does not fail."""
        to = self.graph[step["state"]]
        if to is None:
            return {"complete": step["state"]}
        if isinstance(to, Fork):
            # The first state of each branch is its name, behind the place that forked.
            at = f"{step['state']}:{step['visit']}"
            return {"parallel": [{"branch": f"{at}/{each}", "state": each} for each in to.first], "join": to.join}
        return {"next": to, "visit": self.visits[step["branch"]].get(to, 0) + 1}

    def report(self, branch: str = MAIN, **said: Any) -> re.StepReported:
        """Report the end of the branch's step: by the graph, unless it is told another outcome."""
        return self.report_of(self.steps[branch], **said)

    def report_of(self, step: Mapping[str, Any], **said: Any) -> re.StepReported:
        """Report the end of an attempt, be it its own or not."""
        values = {"outcome": said.pop("outcome", None) or self.outcome(step), "duration_s": 1.0, **said}
        if not values["outcome"].keys() & {"failed", "retry_after_s"}:  # which leave no data
            values.setdefault("set_", {step["state"]: f"[{step['visit']}]"})
        if "complete" in values["outcome"]:
            values.setdefault("result", f'"{values["outcome"]["complete"]}"')
        return re.StepReported(**self.names, **{name: step[name] for name in STEP}, **values)

    def merged(self, **said: Any) -> re.JoinReported:
        """Report that the branches are merged."""
        assert self.join is not None
        visit = self.visits.setdefault(MAIN, {}).get(self.join, 0) + 1
        return re.JoinReported(**self.names, **{"visit": visit, "set_": {"joined": str(visit)}, **said})

    def gone(self, how: str = "signal 9", *, blame: bool = True, **more: Any) -> re.WorkerGone:
        """Report that the process has ended."""
        return re.WorkerGone(**self.names, how=how, blame=blame, **more)


STEP = ("branch", "state", "visit", "attempt")


def failed(retries: int = 0, message: str = ERROR["message"]) -> dict[str, Any]:
    """Return the outcome of an attempt that failed, in a state with so many retries."""
    return {"failed": {**ERROR, "message": message}, "retries": retries}
