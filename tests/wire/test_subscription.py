"""The ledger as it happens: no gap and no repeat, from any place, whatever goes on meanwhile."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from torpor import wire
from waiting import until
from wire.writing import lines, message

# A hold and its release with this long a reason write about 1.4 kB of ledger, as the wire shows it.
LONG = "y" * wire.MAX_TEXT_CHARS
SHADOW = '[lifecycle]\nshadow_run = true\nmin_up = "0s"\n'


def make_lines(daemon: RunningDaemon, pairs: int, why: str = "w") -> int:
    """Write two lines of ledger a pair, pipelined; returns the newest seq."""
    with daemon.connect() as line:
        for _ in range(0, pairs, 100):
            count = min(pairs, 100)
            line.send(lines([message("hold.acquire", n, who="w", why=why) for n in range(count)]))
            taken = [line.read_line(30)["result"]["hold_id"] for _ in range(count)]
            line.send(lines([message("hold.release", 0, hold_id=hold_id) for hold_id in taken]))
            for _ in taken:
                line.read_line(30)
        return int(line.call("status")["ledger_seq"])


def records(line: LineClient, until_seq: int) -> list[dict[str, Any]]:
    """Read records up to this one."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["seq"] < until_seq:
        message = line.read_line(30)
        assert message["method"] == "record", message
        assert "id" not in message
        found.append(message["params"])
    return found


def test_from_now_on(daemon: RunningDaemon) -> None:
    make_lines(daemon, 3)
    with daemon.connect() as line:
        head = line.call("status")["ledger_seq"]
        assert line.call("subscribe") == {"next": head}
        newest = make_lines(daemon, 2)
        found = records(line, newest)
        assert [each["seq"] for each in found] == list(range(head + 1, newest + 1))
        assert set(found[0]) == {"seq", "ts", "kind", "data", "cause"}
        assert found == line_log(daemon, head)


def line_log(daemon: RunningDaemon, after: int) -> list[dict[str, Any]]:
    """Return the ledger behind `after` as `log` shows it."""
    found: list[dict[str, Any]] = daemon.call("log", after=after)["records"]
    return found


@pytest.mark.parametrize("place", ["begin", "middle", "head"])
def test_from_any_place(daemon: RunningDaemon, place: str) -> None:
    head = make_lines(daemon, 10)
    after = {"begin": 0, "middle": head // 2, "head": head}[place]
    with daemon.connect() as line:
        assert line.call("subscribe", after=after) == {"next": after}
        newest = make_lines(daemon, 1)
        assert [each["seq"] for each in records(line, newest)] == list(range(after + 1, newest + 1))


def test_a_place_that_is_not_there_yet_is_not_found(line: LineClient) -> None:
    head = line.call("status")["ledger_seq"]
    for method in ("subscribe", "log"):
        error = line.ask(method, after=head + 1)["error"]
        assert (error["data"]["name"], error["data"]["newest"]) == ("not_found", head)


def test_only_some_kinds(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("subscribe", after=0, kinds=["hold_released", "nosuch"])
        make_lines(daemon, 3)
        kinds = [line.read_line()["params"]["kind"] for _ in range(3)]
        assert kinds == ["hold_released"] * 3
        assert line.ask("status")["result"]  # nothing else is on its way


def test_a_connection_follows_once_and_goes_on_asking(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("subscribe")
        assert line.ask("subscribe")["error"]["data"]["name"] == "conflict"
        assert line.call("status")["state"] == "WAKE"
        hold_id_request = line.request("hold.acquire", who="w", why="y")
        kinds = [line.read_line(), line.read_line()]
        assert {each.get("id", each.get("method")) for each in kinds} == {hold_id_request, "record"}


def _busy(daemon: RunningDaemon, pairs: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=make_lines, args=(daemon, pairs)) for _ in range(8)]
    for thread in threads:
        thread.start()
    return threads


def test_no_gap_and_no_repeat_while_eight_connections_write(daemon: RunningDaemon) -> None:
    begun = [daemon.connect() for _ in range(4)]
    try:
        begun[0].call("subscribe", after=0)
        begun[1].call("subscribe")
        threads = _busy(daemon, 100)
        begun[2].call("subscribe", after=1)
        until(lambda: daemon.call("status")["ledger_seq"] > 200, what="some lines")
        begun[3].call("subscribe", after=100)
        for thread in threads:
            thread.join()
        newest = daemon.call("status")["ledger_seq"]
        assert newest == 1 + 8 * 200
        for line, after in zip(begun, (0, 1, 1, 100), strict=True):
            assert [each["seq"] for each in records(line, newest)] == list(range(after + 1, newest + 1))
    finally:
        for line in begun:
            line.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_gap_and_no_repeat_over_a_restart(daemon: RunningDaemon, end: str) -> None:
    seen: list[int] = []
    current = daemon
    for _ in range(3):
        with current.connect() as line:
            line.call("subscribe", after=seen[-1] if seen else 0)
            make_lines(current, 5)
            bye = _end_while_it_follows(current, end, line, seen)
            assert bye == ("signal" if end == "stop" else "")
        current = current.again()
    newest = current.call("status")["ledger_seq"]
    with current.connect() as line:
        line.call("subscribe", after=seen[-1])
        seen += [each["seq"] for each in records(line, newest)]
    assert seen == list(range(1, newest + 1))


def _end_while_it_follows(daemon: RunningDaemon, end: str, line: LineClient, seen: list[int]) -> str:
    """End the daemon, read to the end of the stream; returns the reason of its bye."""
    getattr(daemon, end)()
    bye = ""
    while (text := line.read_bytes_line()) is not None:
        said = json.loads(text)
        assert not bye, "bye is the last"
        if said["method"] == "bye":
            bye = said["params"]["reason"]
        else:
            seen.append(said["params"]["seq"])
    return bye


@pytest.mark.parametrize(("method", "reason"), [("stop", "stop"), ("hibernate", "hibernate")])
def test_bye_comes_before_a_planned_end(home: Path, method: str, reason: str) -> None:
    daemon = RunningDaemon.start(home, '[lifecycle]\nmin_up = "0s"\n')
    with daemon.connect() as line:
        line.call("subscribe")
        daemon.call(method, **({"now": True} if method == "hibernate" else {}))
        said = line.read_line()
        while said["method"] == "record":
            said = line.read_line()
        assert (said["method"], said["params"]) == ("bye", {"reason": reason})
        assert line.at_end()
    assert daemon.wait_gone() == 0


def trimmed(home: Path, before_trim: Any = None) -> tuple[RunningDaemon, int]:
    """Return a daemon whose ledger begins later than at 1, and its oldest line."""
    daemon = RunningDaemon.start(home, SHADOW + '[ledger]\nkeep = "0s"\n')
    make_lines(daemon, 20)
    if before_trim is not None:
        before_trim(daemon)
    daemon.call("hibernate")
    assert daemon.call("wait", state="HIBERNATION", timeout_s=10)["state"] == "HIBERNATION"
    error = daemon.ask("log", after=0)["error"]
    assert error["data"]["name"] == "not_found"
    return daemon, int(error["data"]["oldest"])


def test_what_is_older_than_the_oldest_kept_is_not_found(home: Path) -> None:
    daemon, oldest = trimmed(home)
    assert oldest > 40
    for method in ("log", "subscribe"):
        with daemon.connect() as line:
            error = line.ask(method, after=oldest - 2)["error"]
            assert (error["code"], error["data"]["name"], error["data"]["field"]) == (-32001, "not_found", "after")
            assert error["data"]["oldest"] == oldest
            assert str(oldest - 1) in error["message"]  # what to ask for instead
    assert daemon.call("log", after=oldest - 1)["records"][0]["seq"] == oldest
    assert daemon.call("log")["records"][0]["seq"] == oldest
    with daemon.connect() as line:
        line.call("subscribe", after=oldest - 1)
        assert line.read_line()["params"]["seq"] == oldest
    newest = daemon.call("status")["ledger_seq"]
    successor = _restarted(daemon)
    assert successor.call("log", after=newest)["records"][0]["seq"] == newest + 1  # numbers go on


def _restarted(daemon: RunningDaemon) -> RunningDaemon:
    daemon.stop()
    return daemon.again()


def test_who_catches_up_while_the_ledger_is_trimmed_is_told_of_the_gap(home: Path) -> None:
    slow: list[LineClient] = []

    def follow(daemon: RunningDaemon) -> None:
        make_lines(daemon, 1500, LONG)
        slow.append(daemon.connect())
        slow[0].call("subscribe", after=0)

    _, oldest = trimmed(home, follow)
    with slow[0] as line:
        seen = 0
        while (said := line.read_line())["method"] == "record":
            assert said["params"]["seq"] == seen + 1
            seen += 1
        assert seen < oldest - 1
        assert (said["method"], said["params"]["reason"]) == ("bye", "trimmed")
        assert line.at_end()


def test_who_catches_up_is_paced(daemon: RunningDaemon) -> None:
    """It may be as slow as it likes: the store keeps the lines, not the daemon's memory."""
    head = make_lines(daemon, 1500, LONG)
    with daemon.connect() as line:
        line.call("subscribe", after=0)
        head = make_lines(daemon, 500, LONG)  # more than 1 MiB goes by while it reads nothing
        found = records(line, head)
        assert [each["seq"] for each in found] == list(range(1, head + 1))
        assert daemon.call("status")["rss_bytes"] < 100 << 20


def test_who_follows_live_and_falls_behind_is_dropped_and_told(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("subscribe")
        make_lines(daemon, 2500, LONG)
        seqs: list[int] = []
        while (said := line.read_line())["method"] == "record":
            seqs.append(said["params"]["seq"])
        assert seqs == list(range(2, len(seqs) + 2))
        assert said == {"jsonrpc": "2.0", "method": "bye", "params": {"reason": "behind"}}
        assert line.at_end()
        assert daemon.call("status")["ledger_seq"] > len(seqs) + 1


@pytest.mark.parametrize("pairs", [500, 1500], ids=["from memory", "from the store"])
def test_no_line_is_cut_when_the_end_comes_while_somebody_catches_up(daemon: RunningDaemon, pairs: int) -> None:
    make_lines(daemon, pairs, LONG)
    with daemon.connect() as line:
        line.call("subscribe", after=1)
        assert line.read_line()["params"]["seq"] == 2
        daemon.process.terminate()
        until(lambda: not daemon.socket.exists(), what="the point of no return")
        seen, said = 2, line.read_line()
        while said["method"] == "record":
            assert said["params"]["seq"] == seen + 1
            seen += 1
            said = line.read_line()
        assert said["params"] == {"reason": "signal"}
        assert seen < 2 * pairs
        assert line.at_end()
    assert daemon.wait_gone() == 0


def test_a_half_closed_follower_goes_on_following(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.request("subscribe", after=0)
        line.half_close()
        assert line.read_line()["result"] == {"next": 0}
        newest = make_lines(daemon, 3)
        assert len(records(line, newest)) == newest


def test_the_ledger_of_the_wire_is_the_ledger_of_the_store(daemon: RunningDaemon) -> None:
    make_lines(daemon, 10)
    found = line_log(daemon, 0)
    daemon.stop()
    with closing(sqlite3.connect(daemon.home / "torpor.db")) as db:
        stored = db.execute("SELECT seq, kind FROM ledger ORDER BY seq").fetchall()
    assert [(each["seq"], each["kind"]) for each in found] == stored[: len(found)]
    assert [kind for _, kind in stored[len(found) :]] == ["stop_requested", "stopped"]
