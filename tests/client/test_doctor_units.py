"""What the doctor makes of the service manager's units: judged from facts, with no manager."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torpor.doctor.units import Limit, UnitsFacts, judge_limits, judge_manager, judge_units
from torpor.service.look import Installation, Problem, Unit
from torpor.service.names import Place

PLACE = Place("systemd-user", "torpord", "/h/t", "/h/t/torpor.sock", "/h/.config/systemd/user", "ann")
SYSTEM = Place("systemd-system", "torpord@ann", "/var/lib/torpor/ann", "/run/s", "/etc/systemd/system", "ann")


def _units(place: Place) -> tuple[Unit, ...]:
    return tuple(
        Unit(name, f"{place.directory}/{name}", "ours", active="active", enabled="enabled") for name in place.files
    )


UNITS = _units(PLACE)
WELL = Installation(PLACE, UNITS, "/v/python", interpreter_there=True, lingers=True, unasked="", problems=())
NOTHING = replace(WELL, units=tuple(replace(unit, judged="absent") for unit in UNITS))
EDITED = replace(
    WELL,
    units=(UNITS[0], UNITS[1], replace(UNITS[2], judged="edited")),
    problems=(Problem("torpord.path", "edited by hand", "torpor service install --force (keeps yours)"),),
)
OUTDATED = replace(
    WELL,
    units=(replace(UNITS[0], judged="outdated"), *UNITS[1:]),
    problems=(Problem("torpord.service", "not as this torpor would write it", "torpor service install"),),
)


@pytest.mark.parametrize(
    ("facts", "severity", "mend", "fix"),
    [
        (UnitsFacts(WELL), "ok", None, None),
        (
            UnitsFacts(replace(WELL, place=SYSTEM, units=_units(SYSTEM), unasked="only root")),
            "note",
            "sudo torpor service status --system --for ann",
            None,
        ),
        (UnitsFacts(NOTHING), "note", "torpor service install --home /h/t", None),
        (UnitsFacts(replace(NOTHING, place=SYSTEM)), "note", "sudo torpor service install --system --for ann", None),
        (UnitsFacts(NOTHING, unreachable="no systemd"), "note", None, None),
        (UnitsFacts(None, "no unit can have that name"), "note", None, None),
        (UnitsFacts(EDITED), "finding", "torpor service install --force", None),
        (UnitsFacts(OUTDATED), "finding", "torpor service install", "would"),
        (UnitsFacts(OUTDATED, unreachable="only root"), "finding", "torpor service install", None),
        (UnitsFacts(OUTDATED, is_in_the_way=True), "finding", "torpor service install", None),
        (UnitsFacts(replace(OUTDATED, interpreter_there=False)), "serious", "torpor service install", "would"),
    ],
)
def test_units_are_judged_and_only_torpors_own_are_mended(
    facts: UnitsFacts, severity: str, mend: str | None, fix: str | None
) -> None:
    row = judge_units(facts)
    assert (row.severity, row.mend, row.fix) == (severity, mend, fix)


def test_drop_ins_are_respected_and_shown() -> None:
    units = (replace(UNITS[0], drop_ins=("/h/x.conf",)), *UNITS[1:])
    row = judge_units(UnitsFacts(replace(WELL, units=units)))
    assert row.severity == "ok"
    assert "torpord.service active enabled, with /h/x.conf; torpord.socket active enabled" in row.found


@pytest.mark.parametrize(
    ("limits", "severity", "mend"),
    [
        ([], "ok", None),
        ([Limit("torpord.service", "WatchdogUSec=0", closes=False)], "finding", None),
        (
            [Limit("torpord.service", "StartLimitIntervalUSec=10s", closes=True, drop_ins=("/h/a b.conf",))],
            "serious",
            "rm '/h/a b.conf' && systemctl --user daemon-reload",
        ),
        ([Limit("torpord.path", "TriggerLimitIntervalUSec=2s", closes=True, drop_ins=("/a", "/b"))], "serious", None),
    ],
)
def test_a_limit_that_closes_the_socket_is_serious(limits: list[Limit], severity: str, mend: str | None) -> None:
    row = judge_limits((PLACE, limits))
    assert (row.severity, row.mend) == (severity, mend)


def test_a_drop_in_of_the_systems_is_roots_to_take_away() -> None:
    limit = Limit("torpord@ann.socket", "TriggerLimitIntervalUSec=2s", closes=True, drop_ins=("/etc/x.conf",))
    row = judge_limits((replace(PLACE, manager="systemd-system"), [limit]))
    assert row.mend == "sudo rm /etc/x.conf && sudo systemctl daemon-reload"


def test_limits_that_cannot_be_read_are_not_called_good() -> None:
    assert judge_limits("no units are installed").severity == "note"


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (None, "ok"),
        (NOTHING, "ok"),
        (WELL, "ok"),
        (replace(WELL, lingers=False), "note"),
        (replace(WELL, lingers=None), "ok"),
    ],
)
def test_a_manager_that_goes_with_the_login_is_a_note(found: Installation | None, severity: str) -> None:
    row = judge_manager(found)
    assert (row.severity, row.mend) == (severity, None if severity == "ok" else "loginctl enable-linger ann")


def test_a_systemd_that_does_not_know_what_the_units_say_is_found() -> None:
    row = judge_manager(None, "249")
    assert (row.severity, "systemd 249" in row.found) == ("finding", True)
