"""`torpor doctor` as a whole: it wakes nobody, tells what it finds, mends what is safe, and ends with no check."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor import __version__
from torpor.doctor import report, subject
from torpor.doctor.rows import Check, Row

if TYPE_CHECKING:
    from client.conftest import Torpor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="listeners are read from /proc: Linux alone")


@pytest.fixture
def really() -> None:
    """Have the installation itself asked, which takes two processes a report."""


@pytest.fixture(autouse=True)
def content_installation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the installation say that all is well, and that it reads stores of version 3."""
    if "really" not in request.fixturenames:
        monkeypatch.setattr(subject, "run", lambda _command, _limit_s: (0, "3"))


def _report(torpor: Torpor, *more: str) -> tuple[int, dict[str, Any], dict[str, dict[str, Any]]]:
    status, out, err = torpor("doctor", "--json", *more)
    assert err == ""
    told = json.loads(out)
    return status, told, {row["id"]: row for row in told["rows"]}


def _mend(row: dict[str, Any]) -> None:
    """Run the command that a row names, as somebody would who believes it."""
    assert row["mend"], row
    subprocess.run(["/bin/sh", "-c", row["mend"]], check=True, timeout=10, stdin=subprocess.DEVNULL)


@pytest.mark.usefixtures("really")
def test_a_home_that_is_not_there_is_no_finding_and_is_not_made(home: pathlib.Path, torpor: Torpor) -> None:
    home.rmdir()
    status, told, rows = _report(torpor)
    assert (status, told["up"], told["fixed"], told["home"]) == (0, False, [], str(home))
    assert rows["home"]["severity"] == "note"
    assert {row["severity"] for row in rows.values()} == {"ok", "note"}
    assert not home.exists()


def test_every_row_has_all_fields_and_an_id_of_its_own(torpor: Torpor) -> None:
    _, told, rows = _report(torpor)
    assert len(rows) == len(told["rows"]) == len(report.CHECKS)
    assert [row["id"] for row in told["rows"]] == [check.id for check in report.CHECKS]
    for row in rows.values():
        assert list(row) == ["id", "looked_at", "found", "severity", "means", "mend", "fix"]
        assert row["looked_at"]
        assert row["found"]
        assert row["means"] not in row["found"] or not row["means"]


def test_one_that_is_up_is_really_asked_and_only_looked_at(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home) as daemon:
        _, told, rows = _report(torpor)
    assert told["up"] is True
    assert {request["method"] for request in daemon.requests} <= {"hello", "status", "why", "doctor"}
    assert rows["socket"]["severity"] == "ok"
    assert "WAKE" in rows["socket"]["found"]
    assert "held" in rows["lock"]["found"]
    # That daemon speaks for another home.
    assert rows["environment"]["severity"] == "finding"
    assert rows["environment"]["mend"] == "export TORPOR_HOME=/somewhere"


def test_a_socket_that_a_service_manager_holds_is_not_connected_to(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, current_state="HIBERNATION", supervisor="systemd")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(home / "torpor.sock"))
        listener.listen()
        listener.settimeout(0)
        status, told, rows = _report(torpor, "--fix")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (status, told["up"]) == (0, False)
    assert "would wake it" in rows["socket"]["found"]
    assert rows["socket_path"]["severity"] == "note"
    assert (home / "torpor.sock").exists()


def test_one_that_hangs_is_serious_and_named(home: pathlib.Path, torpor: Torpor) -> None:
    def silent(visitor: Visitor) -> None:
        visitor.request()
        visitor.daemon.ended.wait(20)

    with FakeDaemon(home, silent) as daemon:
        (home / "torpor.lock").write_text(json.dumps({"pid": os.getpid()}))
        status, _, rows = _report(torpor, "--timeout", "2")
        daemon.ended.set()
    assert status == 1
    assert rows["socket"]["severity"] == "serious"
    assert rows["socket"]["mend"] == f"kill -ABRT {os.getpid()}"
    assert rows["store"]["severity"] != "ok"


def test_one_that_is_stopped_is_told_to_go_on(home: pathlib.Path, torpor: Torpor) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as child:
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)

        def silent(visitor: Visitor) -> None:
            visitor.request()
            visitor.daemon.ended.wait(20)

        with FakeDaemon(home, silent) as daemon:
            (home / "torpor.lock").write_text(json.dumps({"pid": child.pid}))
            status, _, rows = _report(torpor, "--timeout", "2")
            daemon.ended.set()
        assert (status, rows["socket"]["severity"]) == (1, "serious")
        # A stopped process takes no other signal before.
        _mend(rows["socket"])
        os.waitid(os.P_PID, child.pid, os.WCONTINUED)


def test_a_command_means_the_home_that_was_looked_at(home: pathlib.Path, torpor: Torpor, monkeypatch: Any) -> None:
    (home / "wake.signal").touch()
    monkeypatch.setenv("TORPOR_HOME", "/another")
    assert _report(torpor)[2]["waiting"]["mend"] == f"torpor wake --home {shlex.quote(str(home))}"
    monkeypatch.setenv("TORPOR_HOME", str(home))
    assert _report(torpor)[2]["waiting"]["mend"] == "torpor wake"


def test_a_lock_whose_socket_nobody_listens_at_is_serious(home: pathlib.Path, torpor: Torpor) -> None:
    with (home / "torpor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, rows = _report(torpor)
    assert status == 1
    assert rows["socket"]["severity"] == "serious"
    assert rows["socket"]["mend"] == f"torpor restart --home {shlex.quote(str(home))}"


def _open_home(home: pathlib.Path) -> None:
    home.chmod(0o755)


def _leave_socket(home: pathlib.Path) -> None:
    (home / "torpor.lock").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(home / "torpor.sock"))


def _leave_draft(home: pathlib.Path) -> None:
    (home / "tmp").mkdir(0o700)
    for name in ("draft.json", "young.json"):
        (home / "tmp" / name).touch()
    (home / "tmp" / "run-77").mkdir()
    (home / "tmp" / "run-77" / "inner").touch()
    old = time.time() - 100_000
    for name in ("draft.json", "run-77"):
        os.utime(home / "tmp" / name, (old, old))


def _die(home: pathlib.Path, times: int = 5, version: str = "9.9", good: dict[str, Any] | None = None) -> None:
    (home / "tmp").mkdir(0o700)
    (home / "torpor.lock").touch()
    dead = {
        "ts": 1.0,
        "pid": 4,
        "version": version,
        "interpreter": "/v/python",
        "suspect": "wake.d/x.json",
        "end": None,
    }
    told = {**dead, "end": "failed: bad settings"}
    (home / "starts.json").write_text(
        json.dumps({"schema_version": 1, "good": good, "starts": [told, *[dead] * times]})
    )


SAFE = {"starts": _die, "home": _open_home, "socket_path": _leave_socket, "leftovers": _leave_draft}


def test_what_fix_mends_is_all_here() -> None:
    # They need a daemon, a service manager (tests/service), and a backup.
    others = {"safe_mode", "units", "store", "planned"}
    assert set(SAFE) | others == {check.id for check in report.CHECKS if check.fix is not None}


@pytest.mark.parametrize("name", SAFE)
def test_fix_mends_what_is_safe_and_says_so(home: pathlib.Path, torpor: Torpor, name: str) -> None:
    SAFE[name](home)
    _, _, rows = _report(torpor)
    assert rows[name]["fix"] == "would"
    status, told, rows = _report(torpor, "--fix")
    assert (status, told["fixed"]) == (0, [name])
    assert (rows[name]["fix"], rows[name]["severity"]) == ("done", "ok")
    assert _report(torpor, "--fix")[1]["fixed"] == []


@pytest.mark.parametrize("name", [name for name in SAFE if name != "starts"])
def test_the_command_that_a_row_names_does_it_too(home: pathlib.Path, torpor: Torpor, name: str) -> None:
    SAFE[name](home)
    _mend(_report(torpor)[2][name])
    _, _, rows = _report(torpor)
    assert (rows[name]["severity"], rows[name]["fix"]) == ("ok", None)


def test_a_fix_leaves_what_is_young_and_what_belongs_to_a_run_that_may_go_on(
    home: pathlib.Path, torpor: Torpor
) -> None:
    _leave_draft(home)
    with FakeDaemon(home):
        _report(torpor, "--fix")
        assert sorted(path.name for path in (home / "tmp").iterdir()) == ["run-77", "young.json"]
    _report(torpor, "--fix")
    assert [path.name for path in (home / "tmp").iterdir()] == ["young.json"]


def _store(path: pathlib.Path, version: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [("y" * 500,) for _ in range(500)])
        db.execute(f"PRAGMA user_version = {version}")
    db.close()


@pytest.mark.parametrize(
    "mend_store", [lambda _h, _t, row: _mend(row), lambda _h, t, _r: t("doctor", "--fix")], ids=["line", "fix"]
)
def test_a_damaged_store_is_serious_and_both_ways_put_the_backup_there(
    home: pathlib.Path, torpor: Torpor, mend_store: Any
) -> None:
    _store(home / "torpor.db", 3)
    assert _report(torpor)[2]["store"]["severity"] == "ok"
    (home / "backups").mkdir()
    (home / "backups" / "torpor-20260101T000000Z.db").write_bytes((home / "torpor.db").read_bytes())
    with (home / "torpor.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 60_000)
    status, _, rows = _report(torpor)
    assert (status, rows["store"]["severity"], rows["store"]["fix"]) == (1, "serious", "would")
    mend_store(home, torpor, rows["store"])
    assert _report(torpor)[2]["store"]["severity"] == "ok"
    assert (home / "torpor.db").read_bytes() == (home / "backups" / "torpor-20260101T000000Z.db").read_bytes()
    assert b"\xff" * 60_000 in (home / "unreadable.1" / "torpor.db").read_bytes()
    assert not (home / "torpor.db.draft").exists()


def test_the_newest_backup_that_is_good_is_taken(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "backups").mkdir()
    for number, version in (1, 3), (2, 3), (3, 99):
        _store(home / "backups" / f"torpor-2026010{number}T000000Z.db", version)
        os.utime(home / "backups" / f"torpor-2026010{number}T000000Z.db", (number, number))
    (home / "backups" / "torpor-20260104T000000Z.db").write_bytes(b"cut short")
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    status, told, rows = _report(torpor, "--fix")
    assert (told["fixed"], rows["store"]["severity"]) == (["store"], "ok")
    assert "torpor-20260102T000000Z.db in its place: what came after" in rows["store"]["found"]
    assert status == 0


def test_without_a_backup_a_damaged_store_is_put_aside_and_nothing_of_it_is_lost(
    home: pathlib.Path, torpor: Torpor
) -> None:
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    status, told, _ = _report(torpor, "--fix")
    assert (status, told["fixed"]) == (0, ["store"])
    assert not (home / "torpor.db").exists()
    assert (home / "unreadable.1" / "torpor.db").read_bytes() == b"this is no store, and was never one"


def test_a_newer_store_is_never_touched(home: pathlib.Path, torpor: Torpor) -> None:
    _store(home / "torpor.db", 99)
    before = (home / "torpor.db").read_bytes()
    assert _report(torpor, "--fix")[1]["fixed"] == []
    assert (home / "torpor.db").read_bytes() == before


@pytest.mark.parametrize(("version", "severity"), [(99, "serious"), (2, "note"), (3, "ok")])
def test_a_stores_version_is_told(home: pathlib.Path, torpor: Torpor, version: int, severity: str) -> None:
    _store(home / "torpor.db", version)
    row = _report(torpor)[2]["store"]
    assert row["severity"] == severity
    assert f"version {version}" in row["found"]


@pytest.mark.parametrize("content", [b"", b"this is no store, and was never one"])
def test_a_store_that_is_none_is_serious(home: pathlib.Path, torpor: Torpor, content: bytes) -> None:
    (home / "torpor.db").write_bytes(content)
    row = _report(torpor)[2]["store"]
    assert row["severity"] == "serious"
    assert row["mend"] == f"torpord run --new-store --home {shlex.quote(str(home))}"


def test_a_store_that_was_not_closed_or_is_in_use_is_not_opened(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "torpor.db").write_bytes(b"not looked at")
    (home / "torpor.db-wal").touch()
    row = _report(torpor)[2]["store"]
    assert row["severity"] == "note"
    (home / "torpor.db-wal").unlink()
    with FakeDaemon(home):
        assert _report(torpor)[2]["store"]["severity"] == "note"
    assert sorted(path.name for path in home.glob("torpor.db*")) == ["torpor.db"]


@pytest.mark.usefixtures("really")
def test_settings_that_the_next_start_refuses_are_a_finding(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "torpor.toml").write_text('[lifecycle]\ndrowsy_after = "soon"\n')
    status, _, rows = _report(torpor)
    assert (status, rows["settings"]["severity"]) == (1, "finding")
    assert "drowsy_after" in rows["settings"]["found"]


def test_rejected_files_are_shown_with_their_reason_and_never_deleted(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "wake.rejected").mkdir()
    (home / "wake.rejected" / "x.json").write_text("{")
    (home / "wake.rejected" / "x.json.why").write_text("it is not JSON\x1b[2J\n")
    status, _, rows = _report(torpor, "--fix")
    assert (status, rows["rejected"]["severity"]) == (0, "note")
    assert "x.json: it is not JSON" in rows["rejected"]["found"]
    assert "\x1b" not in torpor("doctor")[1]
    assert (home / "wake.rejected" / "x.json").exists()


def test_what_a_run_left_running_is_found_by_what_it_carries(home: pathlib.Path, torpor: Torpor) -> None:
    environ = {**os.environ, "TORPOR_HOME": str(home), "TORPOR_RUN_ID": "4f1c2d3e"}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env=environ) as child:
        status, _, rows = _report(torpor, "--fix")
        assert (status, rows["processes"]["severity"]) == (1, "finding")
        assert f"pid {child.pid} of run 4f1c2d3e" in rows["processes"]["found"]
        assert child.poll() is None
        _mend(rows["processes"])
        assert child.wait(10) == -15
    assert _report(torpor)[2]["processes"]["severity"] == "ok"


@pytest.mark.parametrize(("times", "severity"), [(1, "note"), (2, "finding"), (5, "finding")])
def test_starts_that_died_are_counted_and_their_suspect_is_named(
    home: pathlib.Path, torpor: Torpor, times: int, severity: str
) -> None:
    _die(home, times)
    row = _report(torpor)[2]["starts"]
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
    _die(home, 3, good=good)
    row = _report(torpor)[2]["starts"]
    assert row["mend"] == command
    assert "9.8 ran well until 2023-11-14T22:13:20+00:00" in row["found"]
    assert json.loads((home / "starts.json").read_text())["good"] == good
    _report(torpor, "--fix")
    assert json.loads((home / "starts.json").read_text()) == {"schema_version": 1, "good": good, "starts": []}


def test_what_somebody_scribbled_into_the_homes_files_breaks_no_check(home: pathlib.Path, torpor: Torpor) -> None:
    _die(home, 5)
    body = json.loads((home / "starts.json").read_text())
    (home / "starts.json").write_text(json.dumps({**body, "good": 1.5}))
    write_state(home, ways_back={"connect": "x", "spawn": None})
    assert not [row["found"] for row in _report(torpor)[2].values() if "cannot be looked at" in row["found"]]


def test_who_went_back_to_the_version_that_ran_well_has_nothing_more_to_mend(
    home: pathlib.Path, torpor: Torpor
) -> None:
    _die(home, 5, good={"version": __version__, "interpreter": "/v/python", "ts": 1_700_000_000.0})
    status, _, rows = _report(torpor)
    assert (status, rows["starts"]["severity"]) == (0, "note")
    assert "its next start is a first one" in rows["starts"]["means"]


def test_a_crash_ledger_that_is_none_is_a_note(home: pathlib.Path, torpor: Torpor) -> None:
    for content in ("", "{", "[]", '{"good": 1, "starts": [7]}'):
        (home / "starts.json").write_text(content)
        status, _, rows = _report(torpor)
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
        status, _, rows = _report(torpor)
        assert (status, rows["safe_mode"]["severity"]) == (1, "serious")
        assert rows["safe_mode"]["mend"] == f"torpor reload --home {shlex.quote(str(home))}"
        assert "five died (suspect: hook on_wake)" in rows["safe_mode"]["found"]
        _, told, rows = _report(torpor, "--fix")
        assert (told["fixed"], rows["safe_mode"]["severity"]) == (["safe_mode"], "ok")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has others' homes to look at")
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
        row = _report(torpor)[2]["safe_mode"]
        if by == "line":
            assert row["mend"].endswith(f"&& torpor reload --home {shlex.quote(str(home))}")
            _mend({"mend": row["mend"].rpartition(" && ")[0]})
        else:
            assert _report(torpor, "--fix")[1]["fixed"] == ["safe_mode"]
    assert (home / "wake.rejected" / "po ison.json").read_text() == "{}"


def test_five_deaths_over_one_event_are_not_begun_anew(home: pathlib.Path, torpor: Torpor) -> None:
    _die(home)
    (home / "wake.d").mkdir(0o700)
    (home / "wake.d" / "x.json").write_text("{}")
    _, told, rows = _report(torpor, "--fix")
    assert told["fixed"] == ["starts"]
    assert "put x.json aside" in rows["starts"]["found"]
    assert "died over it" in (home / "wake.rejected" / "x.json.why").read_text()


def test_a_damaged_store_in_safe_mode_without_a_backup_is_begun_anew_by_that_daemon(
    home: pathlib.Path, torpor: Torpor
) -> None:
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")

    def safely(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            more = {"home": str(home), "safe_mode": {"reason": "torpor.db", "suspect": None, "since_ts": "x"}}
            visitor.answer(request, {**RESULTS[request["method"]], **(more if request["method"] == "status" else {})})

    with FakeDaemon(home, safely):
        mend = _report(torpor)[2]["store"]["mend"]
    assert mend.endswith(f"&& torpor reload --home {shlex.quote(str(home))}")
    _mend({"mend": mend.rpartition(" && ")[0]})
    assert not (home / "torpor.db").exists()


def test_in_somebody_elses_home_nothing_is_mended_or_made_or_run(home: pathlib.Path, torpor: Torpor) -> None:
    _leave_draft(home)
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    os.chown(home, 1500, 1500)
    before = sorted(str(path) for path in home.rglob("*"))
    status, told, rows = _report(torpor, "--fix")
    assert (status, told["fixed"], rows["home"]["severity"]) == (1, [], "note")
    assert "uid 1500's" in rows["home"]["found"]
    assert {row["fix"] for row in rows.values()} == {None}
    assert "another user's" in rows["settings"]["found"]
    assert sorted(str(path) for path in home.rglob("*")) == before


def test_a_tmp_that_leads_elsewhere_is_not_cleared(home: pathlib.Path, torpor: Torpor, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").touch()
    os.utime(tmp_path / "mine", (1, 1))
    (home / "tmp").symlink_to(tmp_path)
    _report(torpor, "--fix")
    assert (tmp_path / "mine").exists()


def test_a_socket_path_that_is_too_long_is_a_row(home: pathlib.Path, torpor: Torpor, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORPOR_SOCKET", "/" + "x" * 200)
    status, _, rows = _report(torpor)
    assert (status, rows["socket_path"]["severity"]) == (1, "serious")


def test_a_check_that_fails_is_its_row_and_not_the_end(home: pathlib.Path) -> None:
    def broken(_: object) -> Row:
        raise ZeroDivisionError("by zero")

    checks = (Check("first", broken), Check("second", lambda _: Row("second", "it", "well")))
    found = report.examine(str(home), fix=True, checks=checks)
    assert [row.severity for row in found.rows] == ["serious", "ok"]
    assert "ZeroDivisionError: by zero" in found.rows[0].found


def test_a_fix_that_fails_is_a_finding_with_its_error(home: pathlib.Path) -> None:
    def cannot(_: object) -> str:
        raise PermissionError(13, "not yours")

    checks = (Check("one", lambda _: Row("one", "it", "ill", "note", fix="would"), cannot),)
    found = report.examine(str(home), fix=True, checks=checks)
    assert (found.rows[0].severity, found.fixed, found.has_findings) == ("finding", (), True)
    assert "not yours" in found.rows[0].found


def test_a_fix_waits_for_who_starts_a_daemon_and_not_for_ever(home: pathlib.Path, torpor: Torpor) -> None:
    _leave_draft(home)
    with (home / "torpor.spawn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, told, rows = _report(torpor, "--fix", "--timeout", "1")
        assert (status, told["fixed"], rows["leftovers"]["severity"]) == (1, [], "finding")
    assert _report(torpor, "--fix")[1]["fixed"] == ["leftovers"]


def test_people_get_a_line_and_two_more_where_something_is_to_be_done(home: pathlib.Path, torpor: Torpor) -> None:
    home.chmod(0o755)
    status, out, _ = torpor("doctor")
    assert status == 1
    lines = out.splitlines()
    assert lines[0] == f"serious  home         {home} has mode 0755: it must be its owner's alone"
    assert lines[1] == "         means        no daemon can start here"
    assert lines[2] == f"         mend         chmod 700 {home}    (`torpor doctor --fix` does it)"
    assert torpor("doctor", "--fix")[1].startswith(f"mended   home         chmod 700 {home}; now ")
