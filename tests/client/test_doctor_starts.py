"""`torpor doctor` on starts that died, and on safe mode, into which five of them lead."""

from __future__ import annotations

import json
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from client.doctored import die, mend, report
from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor import __version__

if TYPE_CHECKING:
    from client.conftest import Torpor


pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="listeners are read from /proc: Linux alone"),
    pytest.mark.usefixtures("content_installation"),
]


@pytest.mark.parametrize(("times", "severity"), [(1, "note"), (2, "finding"), (5, "finding")])
def test_starts_that_died_are_counted_and_their_suspect_is_named(
    home: pathlib.Path, torpor: Torpor, times: int, severity: str
) -> None:
    die(home, times)
    row = report(torpor)[2]["starts"]
    assert row["severity"] == severity
    assert f"torpor 9.9 died {times} times in a row before it answered (suspect: wake.d/x.json)" in row["found"]
    assert (row["means"] == "the next start serves safe mode") == (times == 5)


@pytest.mark.parametrize(
    ("interpreter", "command"),
    [
        ("/h/.local/pipx/venvs/torpor/bin/python", "pipx install --force torpor==9.8"),
        ("/h/.local/share/uv/tools/torpor/bin/python", "uv tool install --force torpor==9.8"),
        ("/a b/bin/python", "'/a b/bin/python' -m pip install torpor==9.8"),
    ],
)
def test_a_version_that_never_lived_is_named_with_the_way_back(
    home: pathlib.Path, torpor: Torpor, interpreter: str, command: str
) -> None:
    good = {"version": "9.8", "interpreter": interpreter, "ts": 1_700_000_000.0}
    die(home, 3, good=good)
    row = report(torpor)[2]["starts"]
    assert row["mend"] == command
    assert "9.8 ran well until 2023-11-14T22:13:20+00:00" in row["found"]
    assert json.loads((home / "starts.json").read_text())["good"] == good
    report(torpor, "--fix")
    assert json.loads((home / "starts.json").read_text()) == {"schema_version": 1, "good": good, "starts": []}


def test_what_somebody_scribbled_into_the_homes_files_breaks_no_check(home: pathlib.Path, torpor: Torpor) -> None:
    die(home, 5)
    body = json.loads((home / "starts.json").read_text())
    (home / "starts.json").write_text(json.dumps({**body, "good": 1.5}))
    write_state(home, ways_back={"connect": "x", "spawn": None})
    assert not [row["found"] for row in report(torpor)[2].values() if "cannot be looked at" in row["found"]]


def test_who_went_back_to_the_version_that_ran_well_has_nothing_more_to_mend(
    home: pathlib.Path, torpor: Torpor
) -> None:
    die(home, 5, good={"version": __version__, "interpreter": "/v/python", "ts": 1_700_000_000.0})
    status, _, rows = report(torpor)
    assert (status, rows["starts"]["severity"]) == (0, "note")
    assert "its next start is a first one" in rows["starts"]["means"]


def test_a_crash_ledger_that_is_none_is_a_note(home: pathlib.Path, torpor: Torpor) -> None:
    for content in ("", "{", "[]", '{"good": 1, "starts": [7]}'):
        (home / "starts.json").write_text(content)
        status, _, rows = report(torpor)
        assert (status, rows["starts"]["severity"]) == (0, "note")


def test_safe_mode_is_told_with_its_reason_and_left_by_reload(home: pathlib.Path, torpor: Torpor) -> None:
    is_safe = [True]

    def safely(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            if request["method"] == "status" and is_safe[0]:
                told = {"reason": "five died", "suspect": "hook on_wake", "since_ts": "2026-01-02T03:04:05.000+00:00"}
                visitor.answer(request, {**RESULTS["status"], "home": str(home), "safe_mode": told})
            elif request["method"] == "why" and is_safe[0]:
                visitor.refuse(request["id"], "safe_mode")
            elif request["method"] == "reload":
                is_safe[0] = False
                visitor.answer(request)
            elif request["method"] == "status":
                later = "2026-01-02T03:04:06.000+00:00"
                visitor.answer(request, {**RESULTS["status"], "home": str(home), "started_ts": later})
            else:
                visitor.answer(request)

    with FakeDaemon(home, *[safely] * 20):
        status, _, rows = report(torpor)
        assert (status, rows["safe_mode"]["severity"]) == (1, "serious")
        assert rows["safe_mode"]["mend"] == f"torpor reload --home {shlex.quote(str(home))}"
        assert "five died (suspect: hook on_wake)" in rows["safe_mode"]["found"]
        _, told, rows = report(torpor, "--fix")
        assert (told["fixed"], rows["safe_mode"]["severity"]) == (["safe_mode"], "ok")
        assert rows["safe_mode"]["found"].endswith("not in safe mode")


@pytest.mark.parametrize("by", ["line", "fix"])
def test_an_event_that_starts_died_over_is_put_aside_before_the_next_one(
    home: pathlib.Path, torpor: Torpor, by: str
) -> None:
    for name in ("wake.d", "wake.rejected"):
        (home / name).mkdir(0o700)
    (home / "wake.d" / "po ison.json").write_text("{}")
    told = {"reason": "five died", "suspect": "wake.d/po ison.json", "since_ts": "2026-01-02T03:04:05.000+00:00"}

    def safely(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            mended = not (home / "wake.d" / "po ison.json").exists()
            ts = f"2026-01-02T03:04:0{5 + mended}.000+00:00"
            more = {"home": str(home), "started_ts": ts, "safe_mode": None if mended else told}
            visitor.answer(request, {**RESULTS[request["method"]], **(more if request["method"] == "status" else {})})

    with FakeDaemon(home, *[safely] * 9):
        row = report(torpor)[2]["safe_mode"]
        if by == "line":
            assert row["mend"].endswith(f"&& torpor reload --home {shlex.quote(str(home))}")
            mend({"mend": row["mend"].rpartition(" && ")[0]})
        else:
            assert report(torpor, "--fix")[1]["fixed"] == ["safe_mode"]
    assert (home / "wake.rejected" / "po ison.json").read_text() == "{}"


def test_five_deaths_over_one_event_are_not_begun_anew(home: pathlib.Path, torpor: Torpor) -> None:
    die(home)
    (home / "wake.d").mkdir(0o700)
    (home / "wake.d" / "x.json").write_text("{}")
    _, told, rows = report(torpor, "--fix")
    assert told["fixed"] == ["starts"]
    assert "put x.json aside" in rows["starts"]["found"]
    assert "died over it" in (home / "wake.rejected" / "x.json.why").read_text()
