"""`torpor doctor` under a real systemd: it wakes nobody, and finds and mends what happened to the units."""

from __future__ import annotations

import json
import pathlib
import shlex
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from service import box as boxes
from service import seat as seats
from service.caller import Caller
from service.seat import RUNTIME, USER
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = f"/home/{USER}/.local/state/torpor"
UNITS = f"/home/{USER}/.config/systemd/user"


@pytest.fixture(scope="module")
def box() -> Iterator[boxes.Box]:
    """A real systemd, and a user who has installed torpor's units for herself."""
    if reason := boxes.why_not():
        pytest.skip(reason)
    with boxes.Box() as booted:
        seats.furnish(booted, units=False)
        torpor(booted, "service", "install")
        yield booted


def ann(box: boxes.Box, script: str) -> str:
    return box.run("sh", "-c", f"cd /; {script}", env=RUNTIME, user=USER)


def torpor(box: boxes.Box, *words: str) -> tuple[int, str]:
    """Run a command of torpor's as that user."""
    line = shlex.join([sys.executable, "-P", "-m", "torpor", *words])
    out, _, status = ann(box, f"{line}; echo exit $?").rstrip("\n").rpartition("exit ")
    return int(status), out


def doctor(box: boxes.Box, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    status, out = torpor(box, "doctor", "--json", *words)
    told = json.loads(out)
    assert all(row["fix"] == "done" for row in told["rows"] if row["id"] in told["fixed"])
    return status, {row["id"]: row for row in told["rows"]}


def wrong(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return what would be worth an exit status of 1, by its row."""
    return {name: row["found"] for name, row in rows.items() if row["severity"] in ("finding", "serious")}


def started(box: boxes.Box) -> str:
    return ann(box, "systemctl --user show torpord.service --value -p InvocationID").strip()


def test_a_fresh_install_is_in_order_and_is_not_woken_by_it(box: boxes.Box) -> None:
    before = started(box)
    status, rows = doctor(box)
    assert wrong(rows) == {}
    assert (status, started(box)) == (0, before)
    assert [rows[name]["severity"] for name in ("units", "limits", "settings", "home", "socket_path")] == ["ok"] * 5
    assert rows["manager"]["mend"] == f"loginctl enable-linger {USER}"


def test_with_the_daemon_up_it_is_asked(box: boxes.Box) -> None:
    Caller(box.path(f"{HOME}/torpor.sock")).look("status")
    status, rows = doctor(box)
    assert (status, wrong(rows)) == (0, {})
    assert rows["socket"]["severity"] == rows["lock"]["severity"] == rows["environment"]["severity"] == "ok"


def test_what_is_planned_is_compared_with_the_managers_timer(box: boxes.Box) -> None:
    caller = Caller(box.path(f"{HOME}/torpor.sock"))
    caller.ask("agent.register", agent_id="night")
    at = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    caller.ask("slot.add", agent_id="night", type="work", at=at)
    until(lambda: caller.look("why")["planned"]["armed"], what="the timer")
    _, rows = doctor(box)
    assert (rows["planned"]["severity"], "wake.at and torpord.timer agree" in rows["planned"]["found"]) == ("ok", True)
    assert rows["ways"]["severity"] == "note"
    assert rows["ways"]["found"].endswith("ago, wake.signal never, wake.d never, timer never")
    ann(box, "systemctl --user stop torpord.timer")
    _, rows = doctor(box)
    assert (rows["planned"]["severity"], rows["planned"]["mend"]) == ("finding", "torpor restart")
    caller.ask("agent.forget", agent_id="night")
    until(lambda: not caller.look("why")["planned"]["wanted"], what="no plan")
    until(lambda: not pathlib.Path(box.path(f"{HOME}/wake.at")).exists(), what="no file")


def test_what_would_start_it_for_nothing_is_taken_away(box: boxes.Box) -> None:
    ann(box, "systemctl --user stop torpord.service")
    later = "--on-calendar=@4000000000 --unit=torpord.service"
    ann(box, f"echo 2096-10-02T07:06:40Z > {HOME}/wake.at; systemd-run --user --quiet {later}")
    _, rows = doctor(box, "--fix")
    assert (rows["planned"]["severity"], rows["planned"]["fix"]) == ("ok", "done")
    assert ann(box, f"ls {HOME}/wake.at 2>/dev/null || true") == ""
    assert "not-found" in ann(box, "systemctl --user show torpord.timer -p LoadState")


def test_fix_puts_the_units_in_order(box: boxes.Box) -> None:
    ann(box, f"systemctl --user stop torpord.path; systemctl --user disable torpord.socket; rm {UNITS}/torpord.path")
    status, rows = doctor(box)
    assert (status, rows["units"]["severity"], rows["units"]["fix"]) == (1, "finding", "would")
    status, rows = doctor(box, "--fix")
    assert (wrong(rows), rows["units"]["severity"], rows["units"]["fix"]) == ({}, "ok", "done")


def test_what_somebody_edited_is_named_and_left_alone(box: boxes.Box) -> None:
    kept = ann(box, f"cat {UNITS}/torpord.path")
    ann(box, f"echo '# mine' >> {UNITS}/torpord.path; systemctl --user daemon-reload")
    status, rows = doctor(box, "--fix")
    assert (status, rows["units"]["severity"], rows["units"]["fix"]) == (1, "finding", None)
    assert ann(box, f"tail -n 1 {UNITS}/torpord.path").strip() == "# mine"
    ann(box, f"printf %s {shlex.quote(kept)} > {UNITS}/torpord.path; systemctl --user daemon-reload")


def test_a_drop_in_that_brings_a_start_limit_is_serious_and_its_line_takes_it_away(box: boxes.Box) -> None:
    drop_in = f"{UNITS}/torpord.service.d/limit.conf"
    text = "[Unit]\\nStartLimitIntervalSec=10s\\n"
    ann(box, f"mkdir -p {UNITS}/torpord.service.d; printf '{text}' > {drop_in}; systemctl --user daemon-reload")
    status, rows = doctor(box)
    assert (status, rows["limits"]["severity"]) == (1, "serious"), rows
    assert rows["limits"]["mend"] == f"rm {drop_in} && systemctl --user daemon-reload"
    ann(box, rows["limits"]["mend"])
    assert doctor(box)[0] == 0


def test_fix_brings_a_daemon_out_of_safe_mode_with_its_backup(box: boxes.Box) -> None:
    """The socket is the manager's: with a damaged store somebody is told so, and served again when it is mended."""
    ann(box, "systemctl --user stop torpord.service")
    Caller(box.path(f"{HOME}/torpor.sock")).look("status")
    ann(box, "systemctl --user stop torpord.service")
    name = "torpor-20260101T000000Z.db"
    ann(box, f"cd {HOME}; mkdir -p backups; cp torpor.db backups/{name}; echo no store > torpor.db")
    assert Caller(box.path(f"{HOME}/torpor.sock")).look("status")["safe_mode"]
    status, rows = doctor(box)
    assert (status, sorted(wrong(rows))) == (1, ["safe_mode", "store"])
    _, rows = doctor(box, "--fix")
    assert wrong(rows) == {}
    assert name in rows["store"]["found"]
    assert Caller(box.path(f"{HOME}/torpor.sock")).look("status")["safe_mode"] is None
