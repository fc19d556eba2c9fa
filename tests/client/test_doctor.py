"""`torpor doctor` as a whole: it wakes nobody, tells what it finds, mends what is safe, and ends with no check."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import pwd
import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from client.doctored import die, leave_draft, mend, report
from client.fake_daemon import FakeDaemon, Visitor, write_state
from torpor.doctor import report as reports
from torpor.doctor.rows import Check, Row

if TYPE_CHECKING:
    from client.conftest import Torpor


pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="listeners are read from /proc: Linux alone"),
    pytest.mark.usefixtures("content_installation"),
]


@pytest.mark.usefixtures("really")
def test_a_home_that_is_not_there_is_no_finding_and_is_not_made(home: pathlib.Path, torpor: Torpor) -> None:
    home.rmdir()
    status, told, rows = report(torpor)
    assert (status, told["up"], told["fixed"], told["home"]) == (0, False, [], str(home))
    assert rows["home"]["severity"] == "note"
    assert {row["severity"] for row in rows.values()} == {"ok", "note"}
    assert not home.exists()


def test_every_row_has_all_fields_and_an_id_of_its_own(torpor: Torpor) -> None:
    _, told, rows = report(torpor)
    assert len(rows) == len(told["rows"]) == len(reports.CHECKS)
    assert [row["id"] for row in told["rows"]] == [check.id for check in reports.CHECKS]
    for row in rows.values():
        assert list(row) == ["id", "looked_at", "found", "severity", "means", "mend", "fix"]
        assert row["looked_at"]
        assert row["found"]
        assert row["means"] not in row["found"] or not row["means"]


def test_one_that_is_up_is_really_asked_and_only_looked_at(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home) as daemon:
        _, told, rows = report(torpor)
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
        status, told, rows = report(torpor, "--fix")
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
        status, _, rows = report(torpor, "--timeout", "2")
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
            status, _, rows = report(torpor, "--timeout", "2")
            daemon.ended.set()
        assert (status, rows["socket"]["severity"]) == (1, "serious")
        # A stopped process takes no other signal before.
        mend(rows["socket"])
        os.waitid(os.P_PID, child.pid, os.WCONTINUED)


def test_a_command_means_the_home_that_was_looked_at(home: pathlib.Path, torpor: Torpor, monkeypatch: Any) -> None:
    (home / "wake.signal").touch()
    monkeypatch.setenv("TORPOR_HOME", "/another")
    assert report(torpor)[2]["waiting"]["mend"] == f"torpor wake --home {shlex.quote(str(home))}"
    monkeypatch.setenv("TORPOR_HOME", str(home))
    assert report(torpor)[2]["waiting"]["mend"] == "torpor wake"


def test_a_lock_whose_socket_nobody_listens_at_is_serious(home: pathlib.Path, torpor: Torpor) -> None:
    with (home / "torpor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, rows = report(torpor)
    assert status == 1
    assert rows["socket"]["severity"] == "serious"
    assert rows["socket"]["mend"] == f"torpor restart --home {shlex.quote(str(home))}"


def _open_home(home: pathlib.Path) -> None:
    home.chmod(0o755)


def _leave_socket(home: pathlib.Path) -> None:
    (home / "torpor.lock").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(home / "torpor.sock"))


SAFE = {"starts": die, "home": _open_home, "socket_path": _leave_socket, "leftovers": leave_draft}


def test_what_fix_mends_is_all_here() -> None:
    # They need a daemon, a service manager (tests/service), and a backup.
    others = {"safe_mode", "units", "store", "planned"}
    assert set(SAFE) | others == {check.id for check in reports.CHECKS if check.fix is not None}


@pytest.mark.parametrize("name", SAFE)
def test_fix_mends_what_is_safe_and_says_so(home: pathlib.Path, torpor: Torpor, name: str) -> None:
    SAFE[name](home)
    _, _, rows = report(torpor)
    assert rows[name]["fix"] == "would"
    status, told, rows = report(torpor, "--fix")
    assert (status, told["fixed"]) == (0, [name])
    assert (rows[name]["fix"], rows[name]["severity"]) == ("done", "ok")
    assert report(torpor, "--fix")[1]["fixed"] == []


@pytest.mark.parametrize("name", [name for name in SAFE if name != "starts"])
def test_the_command_that_a_row_names_does_it_too(home: pathlib.Path, torpor: Torpor, name: str) -> None:
    SAFE[name](home)
    mend(report(torpor)[2][name])
    _, _, rows = report(torpor)
    assert (rows[name]["severity"], rows[name]["fix"]) == ("ok", None)


def test_a_fix_leaves_what_is_young_and_what_belongs_to_a_run_that_may_go_on(
    home: pathlib.Path, torpor: Torpor
) -> None:
    leave_draft(home)
    with FakeDaemon(home):
        report(torpor, "--fix")
        assert sorted(path.name for path in (home / "tmp").iterdir()) == ["run-77", "young.json"]
    report(torpor, "--fix")
    assert [path.name for path in (home / "tmp").iterdir()] == ["young.json"]


def test_a_home_that_is_a_link_is_told_wherever_it_leads(
    home: pathlib.Path, torpor: Torpor, tmp_path: pathlib.Path
) -> None:
    home.rmdir()
    home.symlink_to(tmp_path / "nowhere")
    row = report(torpor)[2]["home"]
    assert (row["severity"], row["found"]) == ("serious", f"{home} is a symlink to {tmp_path / 'nowhere'}")
    assert row["mend"] == f"export TORPOR_HOME={tmp_path / 'nowhere'}"


@pytest.mark.usefixtures("really")
def test_settings_that_the_next_start_refuses_are_a_finding(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "torpor.toml").write_text('[lifecycle]\ndrowsy_after = "soon"\n')
    status, _, rows = report(torpor)
    assert (status, rows["settings"]["severity"]) == (1, "finding")
    assert "drowsy_after" in rows["settings"]["found"]


def test_rejected_files_are_shown_with_their_reason_and_never_deleted(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "wake.rejected").mkdir()
    (home / "wake.rejected" / "x.json").write_text("{")
    (home / "wake.rejected" / "x.json.why").write_text("it is not JSON\x1b[2J\n")
    status, _, rows = report(torpor, "--fix")
    assert (status, rows["rejected"]["severity"]) == (0, "note")
    assert "x.json: it is not JSON" in rows["rejected"]["found"]
    assert "\x1b" not in torpor("doctor")[1]
    assert (home / "wake.rejected" / "x.json").exists()


def test_what_a_run_left_running_is_found_by_what_it_carries(home: pathlib.Path, torpor: Torpor) -> None:
    environ = {**os.environ, "TORPOR_HOME": str(home), "TORPOR_RUN_ID": "4f1c2d3e"}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env=environ) as child:
        status, _, rows = report(torpor, "--fix")
        assert (status, rows["processes"]["severity"]) == (1, "finding")
        assert f"pid {child.pid} of run 4f1c2d3e" in rows["processes"]["found"]
        assert child.poll() is None
        mend(rows["processes"])
        assert child.wait(10) == -15
    assert report(torpor)[2]["processes"]["severity"] == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has others' homes to look at")
def test_in_somebody_elses_home_nothing_is_mended_or_made_or_run(home: pathlib.Path, torpor: Torpor) -> None:
    leave_draft(home)
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    os.chown(home, 1500, 1500)
    before = sorted(str(path) for path in home.rglob("*"))
    status, told, rows = report(torpor, "--fix")
    assert (status, told["fixed"], rows["home"]["severity"]) == (1, [], "note")
    assert "uid 1500's" in rows["home"]["found"]
    assert {row["fix"] for row in rows.values()} == {None}
    assert "another user's" in rows["settings"]["found"]
    assert sorted(str(path) for path in home.rglob("*")) == before


def test_a_tmp_that_leads_elsewhere_is_not_cleared(home: pathlib.Path, torpor: Torpor, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").touch()
    os.utime(tmp_path / "mine", (1, 1))
    (home / "tmp").symlink_to(tmp_path)
    report(torpor, "--fix")
    assert (tmp_path / "mine").exists()


def test_who_has_a_number_and_no_name_is_told_so_and_nothing_breaks(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that was started as some number."""

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    status, _, rows = report(torpor)
    assert [row["found"] for row in rows.values() if "cannot be looked at" in row["found"]] == []
    assert (status, rows["units"]["severity"]) == (0, "note")
    assert "has no name on this machine" in rows["units"]["found"]
    status, _, err = torpor("service", "install")
    assert (status, "has no name on this machine" in err) == (69, True)


def test_a_socket_path_that_is_too_long_is_a_row(home: pathlib.Path, torpor: Torpor, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORPOR_SOCKET", "/" + "x" * 200)
    status, _, rows = report(torpor)
    assert (status, rows["socket_path"]["severity"]) == (1, "serious")


def test_a_check_that_fails_is_its_row_and_not_the_end(home: pathlib.Path) -> None:
    def broken(_: object) -> Row:
        raise ZeroDivisionError("by zero")

    checks = (Check("first", broken), Check("second", lambda _: Row("second", "it", "well")))
    found = reports.examine(str(home), fix=True, checks=checks)
    assert [row.severity for row in found.rows] == ["serious", "ok"]
    assert "ZeroDivisionError: by zero" in found.rows[0].found


def test_a_fix_that_fails_is_a_finding_with_its_error(home: pathlib.Path) -> None:
    def cannot(_: object) -> str:
        raise PermissionError(13, "not yours")

    checks = (Check("one", lambda _: Row("one", "it", "ill", "note", fix="would"), cannot),)
    found = reports.examine(str(home), fix=True, checks=checks)
    assert (found.rows[0].severity, found.fixed, found.has_findings) == ("finding", (), True)
    assert "not yours" in found.rows[0].found


def test_a_fix_waits_for_who_starts_a_daemon_and_not_for_ever(home: pathlib.Path, torpor: Torpor) -> None:
    leave_draft(home)
    with (home / "torpor.spawn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, told, rows = report(torpor, "--fix", "--timeout", "1")
        assert (status, told["fixed"], rows["leftovers"]["severity"]) == (1, [], "finding")
    assert report(torpor, "--fix")[1]["fixed"] == ["leftovers"]


def test_people_get_a_line_and_two_more_where_something_is_to_be_done(home: pathlib.Path, torpor: Torpor) -> None:
    home.chmod(0o755)
    status, out, _ = torpor("doctor")
    assert status == 1
    lines = out.splitlines()
    assert lines[0] == f"serious  home         {home} has mode 0755: it must be its owner's alone"
    assert lines[1] == "         means        no daemon can start here"
    assert lines[2] == f"         mend         chmod 700 {home}    (`torpor doctor --fix --home {home}` does it)"
    assert torpor("doctor", "--fix")[1].startswith(f"mended   home         chmod 700 {home}; now ")
