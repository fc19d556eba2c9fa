"""What the store keeps of runs: rows that are, after each commit, what the world has of them, and what readers find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.histories import lives_of_runs
from core.life import CLIENT, Life, started
from core.model_worker import FLOWS, visits_so_far
from core.run_moves import imported
from store.living import a_store, assert_stored, batches, commit, store_of
from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core.runs import ENDED, MAIN, Run
from torpord.store import codec, runs
from torpord.store.runs import Rows

# A history is some forty commits: a tenth of a second.
some = settings(
    max_examples=25, deadline=None, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow]
)


@some
@given(lives_of_runs, st.integers(1, 4))
def test_after_each_commit_the_store_has_the_world(life: Life, at_once: int) -> None:
    """However many turns are in a batch; the whole is read again every few of them."""
    with a_store() as store:
        store.load()
        for number, turns in enumerate(batches(life.turns, at_once)):
            commit(store, turns)
            if number % 5 == 0 or turns[-1] is life.turns[-1]:
                assert_stored(store, turns[-1].decision.world)
        found = {run_id: runs.find(store.connection, run_id) for run_id in life.stored}
        assert found == life.stored, "also those that have ended"
        assert store.found_runs([*life.stored, "none"]) == life.stored


def data_of(life: Life, run_id: str) -> dict[str, dict[str, Any]]:
    """Fold a run's data by hand: what each branch has set, and what it removed."""
    found: dict[str, dict[str, Any]] = {MAIN: {"set": {}, "removed": []}}
    for record in (entry.record for entry in life.entries):
        match record:
            case rr.RunCreated(run_id=found_id, data_=data) if found_id == run_id:
                found[MAIN]["set"].update(loaded(data))
            case rr.RunImported(run_id=found_id) if found_id == run_id:
                found[MAIN]["set"]["imported"] = 1
            case rr.StepEnded(run_id=found_id) if found_id == run_id:
                patch(found.setdefault(record.branch, {"set": {}, "removed": []}), record, record.branch)
            case rr.RunJoined(run_id=found_id) if found_id == run_id:
                found = {MAIN: found[MAIN]}
                patch(found[MAIN], record, MAIN)
            case _:
                pass
    return {branch: each for branch, each in found.items() if branch == MAIN or each["set"] or each["removed"]}


def patch(known: dict[str, Any], record: rr.StepEnded | rr.RunJoined, branch: str) -> None:
    known["set"].update(loaded(record.set_))
    known["removed"] = [key for key in known["removed"] if key not in record.set_]
    for key in record.removed:
        known["set"].pop(key, None)
        if branch != MAIN and key not in known["removed"]:
            known["removed"].append(key)


def loaded(values: Any) -> dict[str, Any]:
    return {key: orjson.loads(value) for key, value in values.items()}


@some
@given(lives_of_runs)
def test_a_worker_is_told_the_data_and_visits_that_steps_have_left(life: Life) -> None:
    with a_store() as store:
        db = store_of(store, life).connection
        for run in life.stored.values():
            expected = data_of(life, run.run_id)
            found = runs.resumption(db, run)
            assert found.data == expected.pop(MAIN)["set"]
            assert {name: by_key(each) for name, each in found.branches.items()} == {
                name: by_key(each) for name, each in expected.items()
            }
            visits = visits_so_far(life.entries, run)
            assert found.visits == visits


def by_key(branch: Any) -> tuple[dict[str, Any], list[str]]:
    return branch["set"], sorted(branch["removed"])


@some
@given(lives_of_runs)
def test_history_is_whole_and_goes_with_its_run(life: Life) -> None:
    with a_store() as store:
        db = store_of(store, life).connection
        for run_id in life.stored:
            done = [e.record for e in life.entries if isinstance(e.record, rr.StepDone) and e.record.run_id == run_id]
            rows = runs.steps(db, run_id, 0, 1000)
            assert [(row["branch"], row["state"], row["visit"], row["attempt"]) for row in rows] == [
                (each.branch, each.state, each.visit, each.attempt) for each in done
            ]
        for table in ("runs", "run_data", "steps", "calls"):
            owners = {run_id for (run_id,) in db.execute(f"SELECT DISTINCT run_id FROM {table}")}  # noqa: S608 - ours
            assert owners <= set(life.stored), f"{table} has rows of a run that was removed"
        counted: dict[str, int] = {}
        for run in life.stored.values():
            if run.run_id not in life.world.runs.live:
                counted[run.status.value] = counted.get(run.status.value, 0) + 1
        assert runs.ended_counts(db) == counted == dict(life.world.runs.ended)


@some
@given(lives_of_runs)
def test_runs_come_in_pages_the_newest_first(life: Life) -> None:
    with a_store() as store:
        db = store_of(store, life).connection
        found: list[Run] = []
        before: int | None = None
        while rows := runs.page(db, before, 2):
            assert len(rows) <= 2
            found += [run for _, run in rows]
            before = rows[-1][0]
        assert found == list(reversed(life.stored.values()))
        for status in {run.status.value for run in found}:
            only = [run for _, run in runs.page(db, None, 1000, status=status)]
            assert only == [run for run in found if run.status == status]


@some
@given(lives_of_runs)
def test_what_ended_long_ago_or_is_beyond_so_many_is_over_age(life: Life) -> None:
    with a_store() as store:
        db = store_of(store, life).connection
        ended = [r for r in life.stored.values() if r.status in ENDED and r.run_id not in life.world.runs.live]
        assert sorted(runs.over_age(db, 1e12, 1000, 1000)) == sorted(run.run_id for run in ended)
        assert runs.over_age(db, 0.0, 1000, 1000) == []
        beyond = runs.over_age(db, 0.0, 2, 1000)
        assert len(beyond) == max(0, len(ended) - 2)
        kept = sorted((run.ended_ts for run in ended if run.run_id not in beyond and run.ended_ts), reverse=True)
        assert all(run.ended_ts is not None and run.ended_ts <= min(kept) for run in ended if run.run_id in beyond)
        assert len(runs.over_age(db, 1e12, 0, 3)) == min(3, len(ended))


def test_every_run_survives_its_row() -> None:
    life = started()
    for number, flow in enumerate(FLOWS):
        life.run(flow, f"r{number}", purpose="p", session_id="s", max_steps=5)
    assert [codec.run(codec.dump(run)) for run in life.stored.values()] == list(life.stored.values())


def test_an_attempt_that_is_waited_for_over_a_reboot_is_stored_by_the_new_clock() -> None:
    life = started()
    life.run()
    life.load()
    life.ends(outcome={"retry_after_s": 5_000.0})
    life.now = replace(life.now, awake_s=12.0, wall_s=life.now.wall_s + 60.0)
    life.start(cause="crash", boot_id="boot-2")
    with a_store() as store:
        store_of(store, life)
        assert store.load() == life.world


def test_calls_are_kept_with_their_outcome_and_given_to_the_next_attempt() -> None:
    life = started()
    life.run()
    life.load()
    worker = life.workers["r1"]
    step = {**worker.names, **worker.steps[""]}
    for key, ok in (("done", True), ("failed", False), ("begun", None)):
        life.do(re.CallReported(**step, key=key, tool="t", ok=None, value='{"u": 1}'))
        if ok is not None:
            life.do(re.CallReported(**step, key=key, tool="", ok=ok, value='"out"'))
    with a_store() as store:
        db = store_of(store, life).connection
        assert runs.recorded_calls(db, "r1", "", "a", 1) == {
            "done": {"status": "done", "result": "out"},
            "failed": {"status": "failed", "result": "out"},
            "begun": {"status": "begun", "result": None},
        }
        assert runs.recorded_calls(db, "r1", "", "a", 2) == {}, "another visit is another call"
        first, second, third = (call for _, call in runs.calls(db, "r1", 0, 10))
        assert (first["tool"], first["args"], first["attempt"]) == ("t", {"u": 1}, 1)
        assert second["ended_ts"] == life.now.wall_s
        assert third["ended_ts"] is None

        turns = len(life.turns)
        life.dies()
        life.load()
        again = {**life.workers["r1"].names, **life.workers["r1"].steps[""]}
        life.do(re.CallReported(**again, key="begun", tool="t", ok=None, value='{"u": 1}'))
        for turn in life.turns[turns:]:
            commit(store, [turn])
        assert [(c["key"], c["attempt"], c["status"]) for _, c in runs.calls(db, "r1", 0, 10)] == [
            ("done", 1, "done"),
            ("failed", 1, "failed"),
            ("begun", 2, "begun"),
        ]


def test_what_only_readers_want_is_in_the_detail() -> None:
    life = started()
    life.run("one", "r1", metadata='{"m": [1]}')
    life.load()
    life.ends(outcome={"complete": {"n": 7}}, result='{"n": 7}')
    life.run("one", "r2")
    life.load("r2")
    life.fails("r2", output="its last words")
    life.do(re.RunImportWanted(CLIENT, imported(life.of("r2"), "i"), Rows('{"metadata": {"from": "afar"}}')))
    with a_store() as store:
        db = store_of(store, life).connection
        assert runs.detail(db, "r1") == {"metadata": {"m": [1]}, "result": {"n": 7}}
        assert runs.detail(db, "r2")["errors"][0]["type"] == "OSError"
        assert runs.detail(db, "i") == {"metadata": {"from": "afar"}}
        assert runs.detail(db, "none") == {}
        (step,) = runs.steps(db, "r2", 0, 10)
        assert (step["outcome"], step["output"]) == ("failed", "its last words")
        assert step["error"]["traceback"] == "Traceback …"
        assert runs.find(db, "none") is None


def test_an_imported_run_brings_its_rows() -> None:
    life = started()
    life.run("fork")
    life.load()
    life.ends()
    rows = Rows(
        '{"metadata": {}}',
        data=(("", "k", "1"), ("split:1/left", "gone", None)),
        steps=(("", "split", 3, 1, '{"outcome": "parallel"}'),),
        calls=(("key", "", "split", 3, 1, "t", "done", "{}", "7", 1.0, 2.0),),
    )
    life.do(re.RunImportWanted(CLIENT, replace(imported(life.of(), "i"), origin="r1"), rows))
    with a_store() as store:
        db = store_of(store, life).connection
        run = runs.find(db, "i")
        assert run == life.of("i")
        assert run is not None
        found = runs.resumption(db, run)
        assert found.data == {"k": 1}
        assert found.branches == {"split:1/left": {"set": {}, "removed": ["gone"]}}
        assert found.visits[""] == {"split": 3}
        assert runs.recorded_calls(db, "i", "", "split", 3) == {"key": {"status": "done", "result": 7}}
        assert store.load() == life.world
