"""The commands: what they print, what they exit with, and that looking wakes nobody."""

from __future__ import annotations

import json
import pathlib
import threading
from typing import TYPE_CHECKING

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor import wire
from torpor.cli import table
from torpor.doctor import subject, wake_test
from torpor.errors import NotPermitted
from waiting import until

if TYPE_CHECKING:
    from client.conftest import Torpor


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        (["send", "wake_signal"], "sent: WAKE"),
        (["wake"], "WAKE"),
        (["sleep"], "WAKE"),
        (["hibernate"], "WAKE"),
        (["hibernate", "--now"], "WAKE"),
        (["reload"], "changed: lifecycle.drowsy_after"),
        (["start"], "torpord is up already: WAKE, pid 4242"),
        (["status"], "WAKE since"),
        (["why"], "awake because    hold me: work"),
        (["log"], ""),
        (["wait", "wake"], "WAKE"),
    ],
)
def test_each_does_its_work_with_a_daemon_that_is_up(
    home: pathlib.Path, torpor: Torpor, line: list[str], printed: str
) -> None:
    with FakeDaemon(home):
        status, out, err = torpor(*line)
        assert (status, err) == (0, "")
        assert printed in out
        status, out, err = torpor(*line, "--json")
        assert (status, err) == (0, "")
        assert all(isinstance(json.loads(each), dict) for each in out.splitlines())
        assert out or line == ["log"]


@pytest.mark.parametrize("line", [["status"], ["why"], ["log"], ["sleep"], ["reload"], ["wake"], ["start"], ["watch"],
                                  ["hibernate"], ["stop"], ["send", "wake_signal"], ["wait", "SLEEP"], ["agent"],
                                  ["agent", "beat", "a"], ["slot", "add", "a"]])  # fmt: skip
def test_a_home_that_may_not_be_looked_at_is_77(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    def forbidden(*_: object) -> bool:
        raise NotPermitted(f"may not look at {home}")

    monkeypatch.setattr("torpor.presence.is_up", forbidden)
    monkeypatch.setattr("torpor.link.Link._connect", forbidden)
    monkeypatch.setattr("torpor.aio_link.AsyncLink._connect", forbidden)
    status, _, err = torpor(*line)
    assert status == 77
    assert err == f"torpor: may not look at {home}\n"


def test_down_is_3_for_all_that_look(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, current_state="HIBERNATION", next_wake_ts="2030-01-01T00:00:00+00:00",
                last_cycle={"outcome": "completed", "ended_ts": "2026-01-02T03:04:05+00:00"})  # fmt: skip
    for line in (["why"], ["log"], ["log", "-f"], ["sleep"], ["reload"], ["agent"], ["agent", "beat", "a"], ["slot"]):
        status, out, err = torpor(*line)
        assert (status, out) == (3, "")
        assert err.startswith("torpor: down: ")
        assert len(err.splitlines()) == 1
    status, out, err = torpor("status")
    assert (status, err) == (3, "")
    assert "down: HIBERNATION since" in out
    assert "completed" in out
    assert "as planned" in out
    status, out, _ = torpor("status", "--json")
    assert status == 3
    assert json.loads(out)["up"] is False
    assert json.loads(out)["current_state"] == "HIBERNATION"
    assert torpor("hibernate")[:2] == (0, "down already, in HIBERNATION\n")
    assert sorted(path.name for path in home.iterdir()) == ["lifecycle_state.json"]  # and left nothing behind


def test_what_would_start_it_and_cannot_is_69(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home)
    for line in (["wake"], ["start"], ["stop"], ["restart"]):
        assert torpor(*line) == (69, "", "torpor: nobody is started here\n")
    status, out, _ = torpor("send", "wake_signal")
    assert (status, out) == (0, "queued in wake.d, and the daemon did not come up: nobody is started here\n")


def test_after_stop(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, reason="stop")
    assert torpor("wake")[0] == 3
    start = f"torpor start --home {home}"
    assert f"`{start}` starts it again" in torpor("wake")[2]
    assert torpor("stop")[:2] == (0, "stopped already, in WAKE\n")
    assert torpor("send", "wake_signal")[:2] == (0, f"left in wake.d: torpor is stopped, run `{start}`\n")
    assert torpor("start")[0] == 69  # it is tried


def test_a_key_that_the_daemon_would_not_take_is_65_and_nothing_is_left(home: pathlib.Path, torpor: Torpor) -> None:
    status, out, err = torpor("send", "wake_signal", "--key", "a\tb")
    assert (status, out) == (65, "")
    assert "control character" in err
    assert not (home / "wake.d").exists()


def test_a_home_that_was_never_used_needs_no_stop(home: pathlib.Path, torpor: Torpor) -> None:
    status, out, _ = torpor("stop")
    assert status == 0
    assert "not running" in out


@pytest.mark.parametrize(
    ("name", "status"),
    [("conflict", 75), ("draining", 75), ("storage_unavailable", 75), ("too_many", 75), ("not_permitted", 77),
     ("invalid_params", 65), ("not_found", 65), ("method_not_found", 65), ("too_large", 65), ("internal_error", 69),
     ("protocol_mismatch", 69), ("safe_mode", 69), ("timeout", 75)],
)  # fmt: skip
def test_a_refusal_is_one_line_and_its_exit_status(home: pathlib.Path, torpor: Torpor, name: str, status: int) -> None:
    def refuse(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], name)

    with FakeDaemon(home, *[refuse] * 500):
        found, out, err = torpor("--timeout=0.2", "wake")
    assert (found, out) == (status, "")
    assert len(err.splitlines()) == 1


def test_bad_settings_are_78(home: pathlib.Path, torpor: Torpor) -> None:
    def refuse(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "invalid_params")

    with FakeDaemon(home, refuse):
        assert torpor("reload")[0] == 78


def test_a_path_too_long_is_78(torpor: Torpor) -> None:
    status, _, err = torpor("status", "--home", "/tmp/" + "x" * 200)
    assert status == 78
    assert "bytes long" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [(["nonsense"], "no command 'nonsense'"), (["status", "--nonsense"], "unrecognized"), (["wait"], "required"),
     (["wait", "AWAKE"], "AWAKE"), (["send", "wake_signal", "--timeout", "5x"], "--timeout"),
     (["status", "--home", ""], "--home"), (["send", "wake_signal", "--home="], "--home"),
     (["log", "--since", "yesterday"], "--since"), (["log", "--since", "99999999999d"], "--since"),
     (["log", "--since", "9999d999999999999999h"], "--since"), (["completion", "csh"], "csh"),
     (["status", "--js"], "--js")],
)  # fmt: skip
def test_usage_is_64_and_one_line_that_says_where_to_look(torpor: Torpor, line: list[str], said: str) -> None:
    status, out, err = torpor(*line)
    assert (status, out) == (64, "")
    assert said in err
    assert "--help`" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("row", table.COMMANDS, ids=lambda row: row.name)
def test_every_command_has_help_home_and_timeout(torpor: Torpor, row: table.Command) -> None:
    status, out, err = torpor(*row.name.split(), "--help")
    assert (status, err) == (0, "")
    assert {"--home", "--timeout"} <= set(out.split())
    assert ("--json" in out) == row.prints


@pytest.mark.parametrize("row", table.COMMANDS, ids=lambda row: row.name)
def test_what_is_said_of_the_time_limit_is_so(row: table.Command) -> None:
    """Every command takes one; where no code asks for it, its help says that it does nothing."""
    (said,) = (each.help for each in table.arguments_of(row) if "--timeout" in each.names)
    code = pathlib.Path(table.__file__).with_name(f"{row.function.partition(':')[0]}.py").read_text()
    assert said.startswith("without effect here") == ("args.timeout" not in code)


def test_the_time_limits_of_doctor_are_those_of_its_help() -> None:
    said = {row.name: each.help for row in table.COMMANDS for each in row.arguments if "--timeout" in each.names}
    assert f", {subject.ASK_S:g}s at most" in said["doctor status"]
    assert f", {wake_test.BACK_S:g}s at most" in said["doctor wake-test"]


def test_the_overview_names_every_command(torpor: Torpor) -> None:
    status, out, _ = torpor("--help")
    assert status == 0
    assert all(f"\n  {name} " in out for name in (*(row.name for row in table.singles()), *table.GROUPS))
    for group in table.GROUPS:
        status, told, _ = torpor(group, "--help")
        assert status == 0
        assert all(f"\n  {row.name} " in told for row in table.members(group))
        assert f"`torpor {group}` alone is `torpor {table.members(group)[0].name}`" in told
    assert {table.members(group)[0].name.split()[1] for group in table.GROUPS} == {"ls", "status"}, "they only look"
    assert torpor("--version")[0] == 0


def test_no_answer_in_time_is_75(home: pathlib.Path, torpor: Torpor) -> None:
    def say_nothing(visitor: Visitor) -> None:
        visitor.request()
        visitor.daemon.ended.wait()

    with FakeDaemon(home, say_nothing):
        status, _, err = torpor("status", "--timeout", "0.2")
    assert status == 75
    assert "no answer within 0.2 s" in err


def test_ctrl_c_is_130_and_quiet(home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torpor.link.Link._receive", interrupted)
    with FakeDaemon(home):
        assert torpor("status") == (130, "", "")


def test_stop_waits_until_it_is_gone(home: pathlib.Path, torpor: Torpor) -> None:
    def stop(visitor: Visitor) -> None:
        visitor.answer(visitor.request())
        threading.Thread(target=visitor.daemon.stop, kwargs={"reason": "stop"}).start()
        visitor.daemon.ended.wait()

    daemon = FakeDaemon(home, _once, stop)
    daemon.listen()
    daemon.accept()
    assert torpor("stop")[:2] == (0, f"stopped in WAKE: `torpor start --home {home}` starts it again\n")
    assert daemon.methods() == ["hello", "stop"]


def _once(visitor: Visitor) -> None:
    request = visitor.request()
    visitor.answer(request, {**RESULTS[request["method"]], "daemon": {"pid": None}})


def test_stop_that_is_not_obeyed_is_75(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home):
        status, _, err = torpor("stop", "--timeout", "0.3")
    assert status == 75
    assert "was told to stop and still runs" in err


def test_hibernate_says_what_it_waits_for(home: pathlib.Path, torpor: Torpor) -> None:
    def busy(visitor: Visitor) -> None:
        waiting = [{"kind": "hold", "id": "h", "who": "make", "why": "all"}]
        visitor.answer(visitor.request(), {"state": "WAKE", "waiting_for": waiting})

    with FakeDaemon(home, busy):
        assert torpor("hibernate")[1] == "WAKE: goes down when these let go: make (all)\n"


def test_waiting_goes_on_through_a_daemon_that_is_down(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, current_state="HIBERNATION")
    assert torpor("wait", "HIBERNATION")[:2] == (0, "HIBERNATION\n")
    found: list[tuple[int, str, str]] = []
    waiter = threading.Thread(target=lambda: found.append(torpor("wait", "WAKE", "--timeout", "20")))
    waiter.start()
    with FakeDaemon(home) as daemon:
        until(lambda: daemon.methods() == ["wait"])
        waiter.join()
    assert found[0][:2] == (0, "WAKE\n")


@pytest.mark.parametrize(
    ("following", "said"),
    [
        ({"state": None, "at": None, "blocked_by": []}, "nothing"),
        ({"state": "HIBERNATION", "at": None, "blocked_by": []}, "HIBERNATION not by itself"),
        (
            {"state": "HIBERNATION", "at": None, "blocked_by": ["the sleep cycle is at its beginning"]},
            "HIBERNATION by itself, once nothing is in the way: the sleep cycle is at its beginning",
        ),
        ({"state": "SLEEP", "at": "2026-01-02T03:04:05+00:00", "blocked_by": []}, "SLEEP due now"),
        ({"state": "SLEEP", "at": "2026-01-02T03:04:05+00:00", "blocked_by": ["a"]}, "SLEEP due now; in the way: a"),
    ],
)
def test_why_says_what_comes_next_and_whether_by_itself(
    home: pathlib.Path, torpor: Torpor, following: dict[str, object], said: str
) -> None:
    def told(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), RESULTS["why"] | {"not_yet_because": [], "next": following})

    with FakeDaemon(home, told):
        assert torpor("why")[1].splitlines()[0] == f"WAKE, next {said}"


@pytest.mark.parametrize("limit", ["0", "0.3"])
def test_waiting_that_runs_out_is_75(home: pathlib.Path, torpor: Torpor, limit: str) -> None:
    write_state(home, current_state="HIBERNATION")
    status, _, err = torpor("wait", "WAKE", "--timeout", limit)
    assert status == 75
    assert " passed, and torpor is" in err


def test_status_shows_what_there_is(home: pathlib.Path, torpor: Torpor) -> None:
    def full(visitor: Visitor) -> None:
        hold = {"hold_id": "h", "who": "make", "why": "all", "since_ts": None, "until_ts": None, "bound": "process",
                "pid": 3}  # fmt: skip
        sleep = {
            "last_cycle": {"outcome": "failed", "ended_ts": "2026-01-02T03:04:05+00:00"},
            "progress": {"step": "backup", "done": 1, "of": 4},
            "quarantine": {"step": "trim", "until_ts": "2026-01-02T03:04:05+00:00"},
            "debt_s": 3.0,
        }
        found = RESULTS["status"] | {"holds": [hold] * 12, "sleep": sleep, "shadow_run": True}
        visitor.answer(visitor.request(), found)

    with FakeDaemon(home, full):
        _, out, _ = torpor("status")
    for said in ("make: all (as long as its process)", "and 2 more", "failed", "1 of 4 done, at backup",
                 "in quarantine until", "shadow_run is set"):  # fmt: skip
        assert said in out
    assert "version" not in out


def test_every_exit_status_of_ours_is_one_of_the_contracts() -> None:
    assert {wire.EX_OK, wire.EX_DOWN, wire.EX_USAGE, wire.EX_DATAERR, wire.EX_UNAVAILABLE, wire.EX_IOERR,
            wire.EX_TEMPFAIL, wire.EX_NOPERM, wire.EX_CONFIG} == {0, 3, 64, 65, 69, 74, 75, 77, 78}  # fmt: skip


def test_a_reload_that_leads_out_of_safe_mode_says_so(home: pathlib.Path, torpor: Torpor) -> None:
    def safely(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {"leaving": True, "changed": []})

    with FakeDaemon(home, safely):
        status, out, _ = torpor("reload")
    assert (status, "safe mode is left" in out) == (0, True)
