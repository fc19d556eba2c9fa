"""The methods of runs: what each says on the wire, and whole documents in pieces. Both clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import FakeDaemon, Visitor, serve, write_state
from client.some_runs import Shelf, run
from torpor import pieces, wake, wire
from torpor.errors import Down, ProtocolError, Refused, Timeout

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Ask
    from client.fake_daemon import Scene

_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("run_start", ("nightly",), {}, "run.start", {"flow": "nightly"}),
    (
        "run_start",
        ("nightly", {"a": [1]}),
        {"state": "s", "purpose": "p", "session_id": "i", "max_steps": 5, "metadata": {"m": None}},
        "run.start",
        {"flow": "nightly", "data": {"a": [1]}, "state": "s", "purpose": "p", "session_id": "i", "max_steps": 5,
         "metadata": {"m": None}},
    ),
    ("run_pause", ("r",), {}, "run.pause", {"run_id": "r"}),
    ("run_resume", ("r",), {}, "run.resume", {"run_id": "r"}),
    ("run_resume", ("r",), {"flow": "f", "state": "s"}, "run.resume", {"run_id": "r", "flow": "f", "state": "s"}),
    ("run_cancel", ("r",), {}, "run.cancel", {"run_id": "r"}),
    ("run_retry", ("r",), {}, "run.retry", {"run_id": "r"}),
    ("run_remove", ("r",), {}, "run.remove", {"run_id": "r"}),
    ("run_import", ({"a": 1},), {}, "run.import", {"text": '{"a":1}'}),
]  # fmt: skip
_LOOKS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("run_list", (), {}, "run.list", {}),
    (
        "run_list",
        (),
        {"status": "failed", "flow": "f", "session_id": "i", "cursor": "3", "limit": 3},
        "run.list",
        {"status": "failed", "flow": "f", "session_id": "i", "cursor": "3", "limit": 3},
    ),
    ("run_get", ("r",), {}, "run.get", {"run_id": "r"}),
    ("run_get", ("r", "c"), {}, "run.get", {"run_id": "r", "cursor": "c"}),
    ("run_export", ("r",), {}, "run.export", {"run_id": "r"}),
    ("wait_run", ("r",), {}, "wait", {"run_id": "r"}),
    ("wait_run", ("r", "paused"), {"timeout_s": 2.5}, "wait", {"run_id": "r", "status": "paused", "timeout_s": 2.5}),
]


@pytest.mark.parametrize(("method", "args", "more", "said", "params"), [*_CALLS, *_LOOKS])
def test_what_each_says(
    home: pathlib.Path, ask: Ask, method: str, args: Any, more: Any, said: str, params: dict[str, Any]
) -> None:
    with FakeDaemon(home, Shelf(run("r"))) as daemon:
        answer = ask(home, method, *args, **more)
    assert isinstance(answer, dict)
    (request,) = daemon.requests
    key = request["params"].pop("key", None)
    assert (request["method"], request["params"]) == (said, params)
    assert (key is None) == ((method, args, more, said, params) in _LOOKS)
    assert key is None or len(key) == 32


def test_a_key_of_the_callers_is_taken(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home) as daemon:
        ask(home, "run_start", "nightly", key="mine")
    assert daemon.requests[0]["params"] == {"flow": "nightly", "key": "mine"}


@pytest.mark.parametrize(("method", "args"), [(each[0], each[1]) for each in _LOOKS])
def test_looking_starts_nobody(
    home: pathlib.Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, method: str, args: Any
) -> None:
    monkeypatch.setattr(wake, "start", lambda *_: pytest.fail("it was woken"))
    write_state(home, current_state="HIBERNATION")
    with FakeDaemon(home, locks=False) as socket_of_the_service_manager, pytest.raises(Down):
        ask(home, method, *args)
    assert socket_of_the_service_manager.visits == 0


def test_a_call_that_is_asked_again_has_the_same_key(home: pathlib.Path, ask: Ask) -> None:
    def hang_up(visitor: Visitor) -> None:
        visitor.request()

    with FakeDaemon(home, hang_up, serve) as daemon:
        ask(home, "run_start", "nightly")
    first, second = daemon.requests
    assert first["params"] == second["params"]


def test_waiting_that_runs_out_is_a_timeout_and_another_end_a_conflict(home: pathlib.Path, ask: Ask) -> None:
    def refusing(name: str) -> Scene:
        return lambda visitor: visitor.refuse(visitor.request()["id"], name)

    with FakeDaemon(home, refusing("timeout"), refusing("conflict")):
        with pytest.raises(Timeout):
            ask(home, "wait_run", "r", timeout_s=0.0)
        with pytest.raises(Refused) as refused:
            ask(home, "wait_run", "r", "completed")
    assert refused.value.name == "conflict"


_DOCUMENT = {"run_id": "r", "data": {"text": 'ä"\\\n' * 70_000, "deep": [[1.5, None, True]]}}


class _Desk:
    """Takes a document in pieces, and gives it back in pieces. It may forget, or hang up, before one of them."""

    def __init__(self, *, forgets_at: int | None = None, hangs_up_at: int | None = None) -> None:
        self.texts: list[str] = []
        self.documents: list[Any] = []
        self.keys: list[str] = []
        self._forgets_at = forgets_at
        self._hangs_up_at = hangs_up_at
        self._count = 0

    def __call__(self, visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            params = request["params"]
            if request["method"] == "run.export":
                text = json.dumps(_DOCUMENT)
                at = int(params.get("cursor", 0))
                end = at + 100_000
                following = str(end) if end < len(text) else None
                visitor.answer(request, {"text": text[at:end], "cursor": following})
                continue
            self._count += 1
            assert len(params["text"]) <= wire.MAX_PIECE_CHARS
            if self._count == self._forgets_at:
                self.texts = []
            if "cursor" in params and params["cursor"] != str(len(self.texts)):
                visitor.refuse(request["id"], "not_found", field="cursor")
                continue
            if "cursor" not in params:
                self.texts = []
            self._take(params)
            if self._count == self._hangs_up_at:
                return
            if params.get("more"):
                visitor.answer(request, {"cursor": str(len(self.texts))})
            else:
                visitor.answer(request, {"run_id": "r", "status": "paused"})

    def _take(self, params: dict[str, Any]) -> None:
        self.texts.append(params["text"])
        if not params.get("more") and params["key"] not in self.keys:
            self.keys.append(params["key"])
            self.documents.append(json.loads("".join(self.texts)))


def test_a_document_of_several_pieces_goes_both_ways(home: pathlib.Path, ask: Ask) -> None:
    desk = _Desk()
    with FakeDaemon(home, desk, desk) as daemon:
        assert ask(home, "run_export", "r") == _DOCUMENT
        assert ask(home, "run_import", _DOCUMENT) == {"run_id": "r", "status": "paused"}
    assert desk.documents == [_DOCUMENT]
    given = [request for request in daemon.requests if request["method"] == "run.import"]
    assert len(given) == 1 + (len(json.dumps(_DOCUMENT, separators=(",", ":"))) - 1) // pieces.PIECE_CHARS > 2
    assert all(len(json.dumps(request)) < wire.MAX_LINE_BYTES for request in given)
    assert ["key" in request["params"] for request in given] == [False] * (len(given) - 1) + [True]
    assert ["more" in request["params"] for request in given] == [True] * (len(given) - 1) + [False]


@pytest.mark.parametrize("at", [2, 3])
def test_a_daemon_that_forgot_the_pieces_gets_them_again(home: pathlib.Path, ask: Ask, at: int) -> None:
    desk = _Desk(forgets_at=at)
    with FakeDaemon(home, desk, desk):
        ask(home, "run_import", _DOCUMENT)
    assert desk.documents == [_DOCUMENT]


def test_a_daemon_that_always_forgets_is_believed_the_second_time(home: pathlib.Path, ask: Ask) -> None:
    def forget(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            if "cursor" in request["params"]:
                visitor.refuse(request["id"], "not_found")
            else:
                visitor.answer(request, {"cursor": "c"})

    with FakeDaemon(home, forget) as daemon, pytest.raises(Refused) as refused:
        ask(home, "run_import", _DOCUMENT)
    assert refused.value.name == "not_found"
    assert len(daemon.requests) == 4


def test_a_last_piece_without_an_answer_is_given_again_under_its_key(home: pathlib.Path, ask: Ask) -> None:
    desk = _Desk(hangs_up_at=4)
    again: list[Any] = []

    def recognise(visitor: Visitor) -> None:
        request = visitor.request()
        again.append(request["params"])
        visitor.answer(request, {"run_id": "r", "status": "paused", "replayed": True})

    with FakeDaemon(home, desk, recognise) as daemon:
        assert ask(home, "run_import", _DOCUMENT)["replayed"] is True
    assert len(desk.documents) == 1
    assert daemon.requests[-2]["params"] == again[0]


def test_two_imports_of_one_document_are_two_requests(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home) as daemon:
        ask(home, "run_import", {"a": 1})
        ask(home, "run_import", {"a": 1})
    first, second = daemon.requests
    assert first["params"]["key"] != second["params"]["key"]


def test_what_is_no_json_is_the_callers_mistake(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home) as daemon:
        for bad in ({"a": object()}, {"a": float("nan")}):
            with pytest.raises((TypeError, ValueError)):
                ask(home, "run_import", bad)
    assert daemon.requests == []


@pytest.mark.parametrize("text", ['{"half', "[1]"])
def test_an_export_that_is_no_document_is_said_to_be_none(home: pathlib.Path, ask: Ask, text: str) -> None:
    def cut(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {"text": text, "cursor": None})

    with FakeDaemon(home, cut), pytest.raises(ProtocolError, match="exported of run r"):
        ask(home, "run_export", "r")
