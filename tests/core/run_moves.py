"""What may happen to runs in a random history: clients' words, workers' reports both good and nonsense, deaths.

Each move is `(life, a, b)`, as in `core/histories.py`: the numbers choose among what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core.life import CLIENT, SHELL, Life
from core.model_worker import ERROR, FLOWS, ModelWorker
from torpord.core import run_events as re
from torpord.core import run_requests
from torpord.core.runs import ENDED, MAIN, Place, PlaceStatus, Run, RunStatus
from torpord.store.runs import Rows

ORDERS = ("pause", "resume", "cancel", "retry", "remove")
STARTED = ("chain", "fork", "fork", "forks", "loop", "one", "nobody's")
AFTER_S = (0.0, 1.0, 9.0, 30.0, 100.0, 5_000.0)


def a_run(life: Life, choice: int) -> str:
    """Choose one of the runs that were not removed, the newest rather often; "none" where there is none."""
    ids = [*life.stored, *list(life.stored)[-2:], "none"]
    return ids[choice % len(ids)]


def a_worker(life: Life, choice: int) -> ModelWorker | None:
    """Choose one of the workers."""
    workers = list(life.workers.values())
    return workers[choice % len(workers)] if workers else None


def a_worker_at_work(life: Life, choice: int) -> ModelWorker | None:
    """Choose one of the workers that are at a step; one that has yet to load its flow does so."""
    for worker in list(life.workers.values()):
        if not worker.loaded:
            life.load(worker.run_id)
    workers = [worker for worker in life.workers.values() if worker.steps]
    return workers[choice % len(workers)] if workers else None


def _start(life: Life, a: int, b: int) -> None:
    flow = STARTED[a % len(STARTED)]
    state = "" if b else [*FLOWS.get(flow, {"x": None})][-1]
    life.run(flow, f"r{len(life.turns)}", state=state, max_steps=(1000, 6, 2)[min(b % 5, 2)])


def _work(life: Life, a: int, b: int) -> None:
    """Let the workers go on, several of them and several steps."""
    for turn in range(1 + b % 5):
        worker = a_worker(life, a + turn)
        if worker is not None:
            life.goes_on(worker.run_id)


def _finish(life: Life, a: int, b: int) -> None:
    worker = a_worker(life, a)
    for _ in range(10 + b):
        if worker is None or life.goes_on(worker.run_id) is None:
            return


def _end_any(life: Life, a: int, b: int) -> None:
    """End any running step of any worker, in whatever way."""
    worker = a_worker_at_work(life, a)
    if worker is None:
        return
    branch = [*worker.steps][b % len(worker.steps)]
    ways: tuple[Callable[[], object], ...] = (
        lambda: life.ends(worker.run_id, branch, set_={"k": str(b)}, removed=("left", "a")),
        lambda: life.fails(worker.run_id, branch, retries=b % 3, draw=b / 9),
        lambda: life.ends(worker.run_id, branch, outcome={"retry_after_s": AFTER_S[b % len(AFTER_S)]}),
        lambda: life.fails(worker.run_id, branch, timed_out=True),
    )
    ways[(a + b) % len(ways)]()


def _merge(life: Life, a: int, b: int) -> None:
    for worker in life.workers.values():
        if worker.join is not None:
            error = {"type": "MergeConflict", "message": "two wrote one key", "traceback": ""}
            life.merges(worker.run_id, error=None if (a + b) % 3 else error)
            return


def _die(life: Life, a: int, b: int) -> None:
    for _ in range(1 if b % 4 else 6):  # six times in a row, with nothing between: one more than is borne
        worker = a_worker(life, a)
        if worker is not None:
            if b % 2 and not worker.loaded:
                life.load(worker.run_id)
            if worker.run_id in life.workers:
                life.dies(worker.run_id, blame=bool(a % 5), output="…")


def _load_badly(life: Life, a: int, b: int) -> None:
    worker = next((each for each in life.workers.values() if not each.loaded), None)
    if worker is None:
        return
    if b % 5 == 0:
        life.do(re.WorkerOutdated(**worker.names, why="another version", replaced=bool(a % 2)))
    elif b % 2:
        life.do(re.WorkerCannotLoad(**worker.names, error=ERROR))
    else:
        worker.loaded = True
        left = frozenset([*worker.graph][: a % len(worker.graph)])
        life.report(worker, replace(worker.load(), states=left))


def _order(life: Life, a: int, b: int) -> None:
    """Tell a run to do what it can do now, mostly."""
    order = ORDERS[a % len(ORDERS)]
    fitting = [run.run_id for run in life.stored.values() if run.status in run_requests.ORDERS[order]]
    life.order(order, fitting[b % len(fitting)] if b and fitting else a_run(life, a))


def _resume_elsewhere(life: Life, a: int, b: int) -> None:
    paused = [run for run in life.stored.values() if run.status is RunStatus.PAUSED]
    for run in paused[a % len(paused) :] if paused else []:
        states = [*FLOWS[run.flow]] if run.flow in FLOWS else ["a"]
        flow = "" if run.flow else "chain"
        life.order("resume", run.run_id, flow=flow, state=states[b % len(states)] if b % 3 else "")
        return


def _nonsense(life: Life, a: int, b: int) -> None:
    """Let somebody report what is not so: workers that are gone, attempts that have ended, branches that are not."""
    workers = [*life.former[-3:], *life.workers.values()]
    worker = workers[b % len(workers)] if workers else ModelWorker("none", 1, FLOWS["chain"])
    run = life.stored.get(worker.run_id)
    at = {"branch": "", "state": "b", "visit": 1 + b % 2, "attempt": 1 + a % 2}
    if run is not None and a % 3:  # where it stands, but for the attempt
        place = run.places[b % len(run.places)]
        at = {
            "branch": place.branch,
            "state": place.state,
            "visit": place.visit,
            "attempt": place.attempt + (1, -1)[b % 2],
        }
    late = next(iter(worker.steps.values()), at) if worker in life.former else at
    ways: tuple[re.WorkerEvent, ...] = (
        worker.report_of(late, outcome={"next": "c", "visit": 1}),
        worker.report_of(at, outcome={"complete": 1}),
        worker.report_of(at, outcome={"failed": ERROR, "retries": 0}),
        re.CallReported(**worker.names, **at, key="k", tool="t", ok=None, value="1"),
        re.JoinReported(**{**worker.names, "worker": worker.number + 1}),
        re.WorkerGone(**{**worker.names, "worker": worker.number + a}, how="signal 9")
        if a
        else re.WorkerGone(**{**worker.names, "run_id": "none"}, how="signal 9"),
        re.WorkerLoaded(
            **{**worker.names, "worker": worker.number - 1 or 99}, version=1, initial="a", states=frozenset({"a"})
        ),
    )
    life.do(ways[(a + b) % len(ways)])


def _call(life: Life, a: int, b: int) -> None:
    worker = a_worker_at_work(life, a)
    if worker is not None:
        step = [*worker.steps.values()][b % len(worker.steps)]
        for ok in (None, bool(b % 2))[: 1 + a % 2]:
            life.report(worker, re.CallReported(**worker.names, **step, key=f"k{b % 3}", tool="t", ok=ok, value="7"))


def _import(life: Life, a: int, b: int) -> None:
    """Import what some run was: paused, or ended as it was."""
    run = life.stored.get(a_run(life, a))
    if run is not None:
        rows = Rows('{"metadata": {}}', data=(("", "imported", "1"),))
        life.do(re.RunImportWanted(CLIENT, imported(run, f"i{len(life.turns)}", legacy=b == 0), rows))


def imported(run: Run, run_id: str, *, legacy: bool = False) -> Run:
    """Return a run as it is imported under another id: at rest."""
    status = run.status if run.status in ENDED else RunStatus.PAUSED
    kept = (PlaceStatus.READY, PlaceStatus.FORKED, PlaceStatus.AT_JOIN, *([PlaceStatus.FAILED] * (status in ENDED)))
    places = tuple(
        place if place.status in kept else replace(place, status=PlaceStatus.READY, retry_awake_s=None)
        for place in run.places
    )
    return Run(
        run_id,
        "" if legacy else run.flow,
        run.created_ts,
        (Place(MAIN, "a", since_ts=run.created_ts),) if legacy else places,  # version 1 knew of no branches
        origin=run.origin,
        status=status,
        steps=run.steps,
        ended_ts=run.ended_ts,
        error=run.error,
        legacy=legacy,
    )


def _expire(life: Life, a: int, _: int) -> None:
    life.do(re.RunExpired(SHELL, a_run(life, a)))


# what: how it is done, and how often it comes.
WAYS: dict[str, tuple[Callable[[Life, int, int], object], int]] = {
    "run": (_start, 3),
    "work": (_work, 6),
    "finish": (_finish, 2),
    "end_any": (_end_any, 4),
    "merge": (_merge, 2),
    "die": (_die, 2),
    "load_badly": (_load_badly, 1),
    "order": (_order, 4),
    "resume_elsewhere": (_resume_elsewhere, 1),
    "nonsense": (_nonsense, 2),
    "call": (_call, 1),
    "import": (_import, 1),
    "expire": (_expire, 1),
}
