"""`torpor log`: pages, what is left out, and following."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Scene, Visitor
from torpor.cli import agent_words, show

if TYPE_CHECKING:
    from client.conftest import Torpor


def _page(*seqs: int, following: int) -> dict[str, Any]:
    return {"records": [_record(seq) for seq in seqs], "next": following}


def _record(seq: int) -> dict[str, Any]:
    data = {"from": "WAKE", "to": "DROWSY", "trigger": "drowsy_due"}
    cause = {"source": "deadline", "deadline": "drowsy_due"}
    return {"seq": seq, "ts": f"2026-01-02T0{seq}:00:00.000+00:00", "kind": "state_transition", "data": data,
            "cause": cause}  # fmt: skip


def _pages(*pages: dict[str, Any]) -> Scene:
    def scene(visitor: Visitor) -> None:
        for page in pages:
            visitor.answer(visitor.request(), page)

    return scene


def test_log_leaves_to_json_what_is_not_for_people() -> None:
    data = {"generation": 3, "boot_id": "b", "rebase_s": 0.0, "suspended_s": 1.5, "policy": {"drowsy_after_s": 300}}
    record = {**_record(1), "kind": "started", "data": data, "cause": None}
    assert show.record(record).split()[3:] == ["started", "generation=3"]
    assert show.record({**record, "kind": "settings_loaded", "data": {"policy": {}}}).endswith("  settings_loaded")


def test_what_a_program_calls_itself_moves_no_cursor() -> None:
    """Older ledgers have such names as they were; control and direction characters are no part of a line."""
    found = {"source": "client", "program": "\x1b[31mX\n\x07", "by": "a\u202eb", "pid": 7}
    assert show.cause(found) == "  (a b, [31mX, pid 7)"


def test_log_goes_through_all_pages(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, _pages(_page(1, 2, following=2), _page(3, following=9), _page(following=9))) as daemon:
        _, out, _ = torpor("log", "--kind", "state_transition")
    assert [line.split()[0] for line in out.splitlines()] == ["1", "2", "3"]
    assert "WAKE -> DROWSY" in out
    assert "(drowsy_due)" in out
    kinds = ["state_transition"]
    assert [request["params"] for request in daemon.requests] == [
        {"kinds": kinds}, {"after": 2, "kinds": kinds}, {"after": 9, "kinds": kinds},
    ]  # fmt: skip


def test_log_goes_on_after_a_page_without_records(home: pathlib.Path, torpor: Torpor) -> None:
    empty, last = _page(following=5000), _page(3, following=5003)
    with FakeDaemon(home, _pages(empty, _page(following=5001), last, _page(following=5003))) as daemon:
        _, out, _ = torpor("log", "--kind", "state_transition")
    assert [line.split()[0] for line in out.splitlines()] == ["3"]
    assert [request["params"].get("after") for request in daemon.requests] == [None, 5000, 5001, 5003]


def test_log_since_leaves_out_what_was_before(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, _pages(_page(1, 2, 3, following=3), _page(following=3))):
        _, out, _ = torpor("log", "--json", "--since", "2026-01-02T02:00:00+00:00")
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [2, 3]
    with FakeDaemon(home, _pages(_page(1, following=1), _page(following=1))):
        assert torpor("log", "--since", "2h")[1] == ""


def test_log_may_be_the_newest_few_alone(home: pathlib.Path, torpor: Torpor) -> None:
    pages = [_page(1, 2, 3, following=3), _page(4, following=4), _page(following=4)]
    for limit, left in (("2", ["3", "4"]), ("9", ["1", "2", "3", "4"]), ("0", ["1", "2", "3", "4"])):
        with FakeDaemon(home, _pages(*pages)):
            assert [line.split()[0] for line in torpor("log", "-n", limit)[1].splitlines()] == left


def test_log_may_be_of_one_agent(home: pathlib.Path, torpor: Torpor) -> None:
    nobody: dict[str, Any] = {"agents": [], "cursor": None}
    page = _page(1, 2, following=2)
    page["records"] = [{**record, "data": {"agent_id": who}} for record, who in zip(page["records"], "ab", strict=True)]
    with FakeDaemon(home, _pages(nobody, page, _page(following=2))) as daemon:
        _, out, _ = torpor("log", "--agent", "b")  # one that was forgotten, too
    assert [line.split()[0] for line in out.splitlines()] == ["2"]
    assert daemon.requests[-1]["params"]["kinds"] == list(agent_words.KINDS)


def _follow(visitor: Visitor) -> None:
    visitor.answer(visitor.request())
    visitor.record(8)
    visitor.record(9)
    visitor.daemon.ended.wait()


@pytest.mark.parametrize(("line", "first"), [(["log", "-f"], ["log"] * 2), (["log", "-f", "--json"], ["log"] * 2),
                                             (["watch"], ["status"]), (["watch", "--json"], ["status"])])  # fmt: skip
def test_following_goes_on_until_it_is_interrupted(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch, line: list[str], first: list[str]
) -> None:
    taken: list[int] = []
    from torpor import client

    subscribe = client.Client.subscribe

    def interrupted(*args: Any, **more: Any) -> Any:
        for record in subscribe(*args, **more):
            taken.append(record["seq"])
            yield record
            if record["seq"] == 9:
                raise KeyboardInterrupt

    monkeypatch.setattr(client.Client, "subscribe", interrupted)
    with FakeDaemon(home, _pages(*[RESULTS[each] for each in first]), _follow) as daemon:
        status, out, err = torpor(*line)
    assert (status, err, taken) == (130, "", [8, 9])
    assert "8" in out
    assert daemon.requests[-1]["params"]["after"] == 7
