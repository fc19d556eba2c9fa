"""The graph of a flow of commands, checked before anything runs.

A command has one way on (its exit status chooses between that, another try, and failure), so the graph is a main line,
and at each parallel a bundle of branches that come together at its join. Both are walked once: no step is looked at
twice. A line that goes round is not refused: a command may end it by failing, and `max_steps` ends it in any case.
"""

from __future__ import annotations

from typing import Any

from torpord.config.values import FaultError

Step = dict[str, Any]


def checked(flow: str, steps: list[Step]) -> list[Step]:
    """Return the steps with the `next` of each branch's last one filled in. Raises FaultError, naming flow and step."""
    return _Graph(flow, steps).walk()


class _Graph:
    def __init__(self, flow: str, steps: list[Step]) -> None:
        self._flow = flow
        self._steps = steps
        self._places: dict[str, int] = {}
        for place, step in enumerate(steps):
            if step["name"] in self._places:
                raise self._fault(place, "name", f"there is a step {step['name']} already: each needs its own name")
            self._places[step["name"]] = place
        self._main: dict[int, int] = {}  # place on the main line: the one it was reached from
        self._parallel_of: dict[int, int] = {}  # place in a branch: its parallel

    def walk(self) -> list[Step]:
        self._names_are_there()
        self._walk_main()
        for place in self._main:
            for name in self._steps[place]["parallel"] or ():
                self._walk_branch(place, self._places[name])
        for place in range(len(self._steps)):
            if place not in self._main and place not in self._parallel_of:
                raise self._fault(place, "name", "nothing leads to it: name it in a next, a parallel or a join")
        return [
            {**step, "next": step["next"] or self._steps[self._parallel_of[place]]["join"]}
            if place in self._parallel_of
            else step
            for place, step in enumerate(self._steps)
        ]

    def _names_are_there(self) -> None:
        for place, step in enumerate(self._steps):
            for key in ("next", "parallel", "join"):
                named = step[key] if key == "parallel" else [step[key]]
                for name in named or ():
                    if name is not None and name not in self._places:
                        known = ", ".join(list(self._places)[:20])
                        raise self._fault(
                            place, key, f"{key} names {name!r}, which is no step of it; there are: {known}"
                        )
            if step["join"] in (step["parallel"] or ()):
                raise self._fault(place, "join", f"its join {step['join']!r} is one of its own branches")

    def _walk_main(self) -> None:
        came_from, place = -1, 0
        while place < len(self._steps) and place not in self._main:
            self._main[place] = came_from
            step = self._steps[place]
            following = step["join"] or step["next"]
            came_from, place = place, place + 1 if following is None else self._places[following]

    def _walk_branch(self, parallel: int, place: int) -> None:
        fork = self._steps[parallel]
        came_from, join = parallel, self._places[fork["join"]]
        while place != join:
            step = self._steps[place]
            if place in self._main:
                raise self._on_both(parallel, place, came_from)
            if step["parallel"]:
                raise self._fault(place, "parallel", f"it is in a branch of {fork['name']}: a branch cannot fork again")
            if place in self._parallel_of:  # the branch goes round, or into another branch
                other = self._steps[self._parallel_of[place]]
                if other["join"] != fork["join"]:
                    forks = f"{other['name']} and {fork['name']}, whose joins differ"
                    raise self._fault(place, "name", f"it is in branches of {forks}: make it two steps")
                return
            self._parallel_of[place] = parallel
            came_from, place = place, join if step["next"] is None else self._places[step["next"]]

    def _on_both(self, parallel: int, place: int, came_from: int) -> FaultError:
        """Say which step leads a branch to the main line, or the main line into a branch."""
        name, fork = self._steps[place]["name"], self._steps[parallel]
        if came_from != parallel:
            leads = f"it leads a branch of {fork['name']} to {name}, which is on the main line"
            return self._fault(came_from, "next", f"{leads}: the branch ends at its join, {fork['join']}")
        before = self._main[place]
        if before < 0:
            return self._fault(parallel, "parallel", f"its branch {name} is the flow's first step, on the main line")
        leads = f"it leads the main line to {name}, which is a branch of {fork['name']}"
        return self._fault(before, "next", f"{leads}: put the branches before their join, or give it a next")

    def _fault(self, place: int, key: str, text: str) -> FaultError:
        step = self._steps[place]["name"]
        return FaultError(("flows", self._flow, "steps", place, key), f"flow {self._flow}, step {step}: {text}")
