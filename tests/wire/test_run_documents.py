"""`run.export` and `run.import`: what goes round comes back; the older document; and anything else at all."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon_process import LineClient, RunningDaemon
from torpor import wire
from torpord.control.imports import MAX_DOCUMENT_CHARS, MAX_DOCUMENTS
from waiting import until
from wire.runs import TIMERS, ended, exported, flows, imported, pages, start, version_1

STEPS = 2_500


def refused(line: LineClient, **params: Any) -> str:
    """Return what a refused import is told; it is always a word about the document."""
    error = line.ask("run.import", **params)["error"]
    assert (error["data"]["name"], error["data"]["field"]) == ("invalid_params", "text")
    assert len(error["message"]) < 1000
    return str(error["message"])


def without_what_differs(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a copy has of its own: its id, the worker it has here, and the numbers of rows."""
    found = copy.deepcopy(document)
    for name in ("run_id", "worker", "loaded"):
        del found["run"][name]
    for step in found["steps"]:
        del step["id"]
    return found


@pytest.mark.parametrize("then", ["call", "branches", "fail", "large"])
def test_what_is_exported_and_imported_is_the_same_run(toy: LineClient, tmp_path: Path, then: str) -> None:
    run_id = start(toy, then=then, visits=3, mended=str(tmp_path / "mended"), text="é\u0000\u2028😀")
    first = ended(toy, run_id, "failed" if then == "fail" else "completed")
    document = exported(toy, run_id)
    assert (document["format"], document["version"]) == ("torpor run", 2)
    copy_id = imported(toy, document)
    assert copy_id != run_id
    assert without_what_differs(exported(toy, copy_id)) == without_what_differs(document)
    second = toy.call("run.get", run_id=copy_id)
    assert second["run"]["origin"] == run_id
    same = {"run_id", "worker_pid", "progress"}
    assert {k: v for k, v in second["run"].items() if k not in same} == {
        k: v for k, v in first["run"].items() if k not in same
    }
    assert second["calls"] == first["calls"]
    if then == "fail":
        (tmp_path / "mended").touch()
        toy.call("run.retry", run_id=copy_id)
        assert ended(toy, copy_id)["run"]["steps"] == 4
        assert toy.call("run.get", run_id=run_id)["run"]["status"] == "failed"


def test_one_that_was_at_work_arrives_paused_and_does_that_step_again(toy: LineClient, tmp_path: Path) -> None:
    run_id = start(toy, then="later", visits=2)
    toy.call("wait", run_id=run_id, status="running", timeout_s=10)
    toy.call("run.pause", run_id=run_id)
    toy.call("wait", run_id=run_id, status="paused", timeout_s=10)
    document = exported(toy, run_id)
    toy.call("run.cancel", run_id=run_id)
    document["run"] |= {"status": "running", "worker": 7, "loaded": True, "stopping": "yield", "cycle": True}
    document["run"]["places"][0] |= {"status": "running", "attempt": 4}
    document["data"][""]["set"]["then"] = "end"
    copy_id = imported(toy, document)
    run = toy.call("run.get", run_id=copy_id)["run"]
    assert (run["status"], run["stopping"], run["cycle"], run["worker_pid"]) == ("paused", "", False, None)
    assert "imported" in run["reason"]
    toy.call("run.resume", run_id=copy_id)
    steps = ended(toy, copy_id)["steps"]
    assert 5 in [step["attempt"] for step in steps]


def long_document(toy: LineClient, tmp_path: Path) -> dict[str, Any]:
    """Return the document of a run with some thousand steps and calls."""
    run_id = start(toy, then="call")
    ended(toy, run_id)
    document = exported(toy, run_id)
    (call,) = document["calls"]
    step = document["steps"][0]
    document["steps"] = [{**step, "visit": n + 1, "cpu_s": n / 7} for n in range(STEPS)]
    document["calls"] = [{**call, "key": f"key {n}", "result": {"n": n}} for n in range(STEPS)]
    document["run"]["steps"] = STEPS
    return document


def test_a_long_history_comes_page_by_page_and_whole(toy: LineClient, tmp_path: Path) -> None:
    document = long_document(toy, tmp_path)
    run_id = imported(toy, document)
    found = list(pages(toy, "run.get", run_id=run_id))
    assert len(found) > 10
    assert all(len(json.dumps(page, ensure_ascii=False).encode()) < wire.MAX_PAGE_BYTES for page in found)
    assert [step["visit"] for page in found for step in page["steps"]] == list(range(1, STEPS + 1))
    assert [call["result"]["n"] for page in found for call in page["calls"]] == list(range(STEPS))
    assert all(page["run"] == found[0]["run"] for page in found)
    texts = [page["text"] for page in pages(toy, "run.export", run_id=run_id)]
    assert all(len(json.dumps(text)) < wire.MAX_PAGE_BYTES for text in texts)
    assert without_what_differs(json.loads("".join(texts))) == without_what_differs(document)


@pytest.mark.parametrize("cursor", ["x", "s", "s-1", "sx", "c²", "h", "0.h.0", "0.x.0.0", "1.s.-1.0", "9" * 64, "../x"])
@pytest.mark.parametrize("method", ["run.get", "run.export"])
def test_a_cursor_that_was_not_given_is_refused(toy: LineClient, method: str, cursor: str) -> None:
    run_id = imported(toy, version_1())
    error = toy.ask(method, run_id=run_id, cursor=cursor)["error"]
    assert (error["data"]["name"], error["data"]["field"]) == ("invalid_params", "cursor")
    toy.call("run.cancel", run_id=run_id)


def test_a_run_that_goes_on_is_never_exported_torn(toy: LineClient, tmp_path: Path) -> None:
    """Its head is larger than a page, and changes between two of them: refused, or whole."""
    run_id = imported(toy, version_1(data={"fill": "x" * 100_000, "then": "wait", "gate": str(tmp_path / "gate")}))
    page = toy.call("run.export", run_id=run_id)
    toy.call("run.resume", run_id=run_id, flow="toy", state="work")
    toy.call("wait", run_id=run_id, status="running", timeout_s=10)
    text, error = page["text"], None
    while page["cursor"] and error is None:
        reply = toy.ask("run.export", run_id=run_id, cursor=page["cursor"])
        error = reply.get("error")
        page = reply.get("result", page)
        text += page["text"] if error is None else ""
    if error is None:
        assert isinstance(json.loads(text), dict)
    else:
        assert (error["data"]["name"], error["data"]["field"]) == ("conflict", "cursor")
    toy.call("run.cancel", run_id=run_id)


def test_a_document_comes_in_pieces_of_any_size(toy: LineClient) -> None:
    text = version_1(data={"é😀": '\\"\n' * 50})
    for a_piece in (1, 7, 500):
        run_id = imported(toy, text, a_piece=a_piece)
        assert exported(toy, run_id)["detail"]["legacy"] == json.loads(text)
        toy.call("run.cancel", run_id=run_id)


def test_pieces_on_their_way_are_bounded_and_the_oldest_makes_room(toys: RunningDaemon, toy: LineClient) -> None:
    cursors = [toy.call("run.import", text="{", more=True)["cursor"] for _ in range(MAX_DOCUMENTS + 1)]
    for params in ({"more": True}, {}):
        error = toy.ask("run.import", text="}", cursor=cursors[0], **params)["error"]
        assert (error["data"]["name"], error["data"]["field"]) == ("not_found", "cursor")
    assert "neither" in refused(toy, text="}", cursor=cursors[-1])
    # The last piece may be asked again, with its key, also after a lost reply.
    cursor = toy.call("run.import", text=version_1()[:100], more=True)["cursor"]
    first = toy.call("run.import", text=version_1()[100:], cursor=cursor, key="the last piece")
    again = toys.call("run.import", text=version_1()[100:], cursor=cursor, key="the last piece")
    assert again == {**first, "replayed": True}
    toy.call("run.cancel", run_id=first["run_id"])


def test_a_document_that_is_too_large_is_refused_on_its_way(toy: LineClient) -> None:
    piece, params = "x" * wire.MAX_PIECE_CHARS, {}
    for _ in range(MAX_DOCUMENT_CHARS // wire.MAX_PIECE_CHARS):
        params = toy.call("run.import", text=piece, more=True, **params)
    error = toy.ask("run.import", text="x", **params)["error"]
    assert (error["data"]["name"], error["data"]["field"]) == ("too_large", "text")


def test_the_older_document_keeps_all_of_its_fields_and_goes_on(toy: LineClient) -> None:
    text = version_1(current_node="work", data={"then": "cached", "keys": ["fetch:1", "fetch:2", "nosuch", ""]})
    run_id = imported(toy, text)
    run = toy.call("run.get", run_id=run_id)["run"]
    assert (run["status"], run["legacy"], run["flow"], run["origin"]) == ("paused", True, "", "run-2024-17")
    assert (run["purpose"], run["session_id"], run["max_steps"]) == ("tidy the notes", "session-5", 50)
    assert (run["steps"], run["metadata"]) == (7, {"who": "the older one"})
    assert run["started_ts"] == "2024-05-01T10:00:00.000+00:00"
    assert "flow" in run["reason"]
    assert exported(toy, run_id)["detail"]["legacy"] == json.loads(text)
    toy.call("run.resume", run_id=run_id, flow="toy")
    page = ended(toy, run_id)
    assert page["run"]["result"] == [{"text": "found"}, [1, 2], None, None]
    assert (page["run"]["flow"], [step["state"] for step in page["steps"]]) == ("toy", ["work"])
    assert exported(toy, run_id)["detail"]["legacy"] == json.loads(text)  # also now that it has ended
    again = imported(toy, exported(toy, run_id))
    assert exported(toy, again)["detail"]["legacy"] == json.loads(text)


@pytest.mark.parametrize("status", ["pending", "running", "completed", "failed", "nonsense", None, 5])
def test_the_older_document_arrives_paused_whatever_it_says(toy: LineClient, status: Any) -> None:
    run_id = imported(toy, version_1(status=status))
    assert toy.call("run.get", run_id=run_id)["run"]["status"] == "paused"
    toy.call("run.cancel", run_id=run_id)


@pytest.mark.parametrize(
    "changes",
    [
        {"tool_results_cache": None},
        {"tool_results_cache": [1]},
        {"tool_results_cache": "text"},
        {"metadata": None},
        {"metadata": [1]},
        {"node_states": None, "completed_nodes": 7},
        {"current_node": None},
        {"current_step": -1, "max_steps": "many"},
        {"started_at": "yesterday"},
        {"started_at": 1e300},
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"started_at": "9999-12-31T23:59:59-14:00"},
        {"run_id": 17, "session_id": None, "purpose": ""},
        {"run_id": "../../x", "session_id": "\u0000"},
        {"purpose": "p" * 100_000, "run_id": "r" * 100_000},
    ],
    ids=str,
)
def test_an_older_document_with_odd_fields_is_taken_and_goes_on(toy: LineClient, changes: dict[str, Any]) -> None:
    run_id = imported(toy, version_1(**{"data": {"then": "cached", "keys": ["a"]}, "current_node": "work", **changes}))
    assert toy.call("run.list", limit=1)["runs"][0]["run_id"] == run_id
    toy.call("run.resume", run_id=run_id, flow="toy", state="work")
    assert ended(toy, run_id)["run"]["result"] == [None]
    exported(toy, run_id)
    toy.call("run.remove", run_id=run_id)


DEEP = "[" * 300 + "]" * 300
NO_DOCUMENTS = [
    "",
    "{",
    "[]",
    "null",
    "5",
    '"x"',
    "{}",
    '{"format": "torpor run"}',
    '{"format": "torpor run", "version": 2}',
    '{"format": "torpor run", "version": 3}',
    '{"format": "else"}',
    '{"current_node": []}',
    '{"current_node": "a\\ud800"}',
    '{"current_node": "a", "data": 1e999}',
    "[" * 2000,
    f'{{"current_node": "a", "data": {{"a": {DEEP}}}}}',
    f'{{"current_node": "a", "x": {DEEP}}}',
]


@pytest.mark.parametrize("text", NO_DOCUMENTS, ids=lambda text: text[:40])
def test_what_is_no_document_is_refused_in_words(toy: LineClient, text: str) -> None:
    assert refused(toy, text=text)


NASTY: list[Any] = [
    None, True, -1, 0, 1.5, 2**53, 2**53 + 2, 2**63, 2**64 - 1, 10**30, -1e308, 1e308, "", "x", "../x", "\u0000",
    "é" * 10, "running", "x" * 100_000, [], {}, [None], [[]], {"": None}, {"a": {"b": [1]}}, {"set": {}, "removed": []},
    json.loads("[" * 120 + "]" * 120), json.loads("[" * 200 + "]" * 200),
]  # fmt: skip


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of every value of a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places_of(each, (*path, name))


def mutated(document: Any, dice: random.Random) -> Any:
    """Return a copy with something put in the place of something, left out, or there twice."""
    found = copy.deepcopy(document)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        paths = [path for path in places_of(found) if path]
        *before, last = dice.choice(paths)
        outer = found
        for name in before:
            outer = outer[name]
        match dice.choice(("replace", "replace", "replace", "remove", "double")):
            case "remove":
                del outer[last]
            case "double" if isinstance(outer, list):
                outer.append(copy.deepcopy(outer[last]))
            case "double":
                outer[f"{last}2"] = copy.deepcopy(outer[last])
            case _:
                outer[last] = copy.deepcopy(dice.choice(NASTY))
        if not isinstance(found, dict) or not found:
            return found
    return found


def some_documents(line: LineClient, folder: Path) -> list[Any]:
    """Return one of each kind: a plain one, one within its branches, a failed one, an older one."""
    failed = start(line, then="fail", mended=str(folder / "never"))
    ended(line, failed, "failed")
    whole = start(line, then="branches")
    ended(line, whole)
    forked = exported(line, whole)
    main = forked["run"]["places"][0]
    branch = {**main, "branch": "work:1/left", "state": "left", "status": "ready", "join": "end"}
    forked["run"] |= {"status": "running", "ended_ts": None}
    forked["run"]["places"] = [{**main, "status": "forked", "state": "work", "join": "end"}, branch]
    forked["data"]["work:1/left"] = {"set": {"l": 2}, "removed": ["r"]}
    return [exported(line, whole), forked, exported(line, failed), json.loads(version_1(current_node="work"))]


def test_no_document_harms_the_daemon(short_dir: Path, home: Path) -> None:
    """Refused in words, or a run like any other: shown, exported, taken on by a worker, and there after a crash."""
    daemon = RunningDaemon.start(home, TIMERS + flows(short_dir, "toy"))
    taken: list[str] = []
    with daemon.connect() as line:
        documents = some_documents(line, short_dir)

        @settings(max_examples=200, deadline=None, database=None)
        @given(st.integers(0, len(documents) - 1), st.randoms(use_true_random=False))
        def one(which: int, dice: random.Random) -> None:
            reply = line.ask("run.import", text=json.dumps(mutated(documents[which], dice)))
            if "error" in reply:
                assert reply["error"]["data"]["name"] in ("invalid_params", "too_large"), reply
                return
            run_id = reply["result"]["run_id"]
            taken.append(run_id)
            look_at(line, run_id)

        one()
        status = line.call("status")
        assert status["pid"] == daemon.pid
    daemon.kill()
    with daemon.again().connect() as line:
        assert line.call("status")["runs"] == status["runs"]
        for run_id in taken:
            look_at(line, run_id)
        for run_id in taken[-12:]:
            line.ask("run.resume", run_id=run_id, flow="toy")
            line.ask("run.retry", run_id=run_id)
        for run_id in taken[-12:]:  # it has ended, or says what it waits for: none hangs
            until(lambda run_id=run_id: rests(line, run_id), what=f"the end of {run_id}")
        assert line.call("status")["pid"]
        assert not [each for each in daemon.log_lines() if each.get("event") == "internal_error"]


def rests(line: LineClient, run_id: str) -> bool:
    """Whether nothing is done for a run now, and it says so."""
    run = line.call("run.get", run_id=run_id)["run"]
    waits = any(place["status"] == "waiting" for place in run["places"])
    return waits or run["status"] not in ("pending", "running")


def look_at(line: LineClient, run_id: str) -> None:
    """See that a run can be shown in every way."""
    line.call("run.list", limit=1)
    assert line.call("run.get", run_id=run_id)["run"]["run_id"] == run_id
    list(pages(line, "run.export", run_id=run_id))
