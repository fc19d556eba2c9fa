"""What `torpor service status` says of units, from what was found out about them."""

from __future__ import annotations

import json
import pathlib
from dataclasses import replace

import pytest

from torpor.cli import service
from torpor.service import look, names


def test_of_a_manager_that_could_not_be_asked_nothing_is_said() -> None:
    place = names.Place("systemd-system", "torpord@ann", "/h", "/h/torpor.sock", "/etc/systemd/system", "ann")
    units = tuple(look.Unit(name, f"{place.directory}/{name}", "ours", "1.0") for name in place.files)
    found = look.Installation(place, units, "/bin/sh", interpreter_there=True, lingers=None, unasked="no", problems=())
    lines = list(service._lines(found))
    said = {name: rest.split() for name, _, rest in (line.partition(" ") for line in lines[: len(units)])}
    assert said == {name: ["ours,", "version", "1.0", "not", "asked"] for name in place.files}
    assert lines[-1].startswith("manager      no ")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (None, "inactive (it has not run yet), 0 restarts"),
        ({"current_state": "HIBERNATION", "pid": None}, "inactive (it hibernates), 0 restarts"),
        ({"current_state": "WAKE", "pid": None}, "inactive (it went down in WAKE), 0 restarts"),
        ({"current_state": "\x1b[2J", "pid": None}, "inactive, 0 restarts"),
    ],
)
def test_of_one_that_is_down_it_is_said_how_it_came_to_be(
    known: dict[str, object] | None, said: str, tmp_path: pathlib.Path
) -> None:
    home = str(tmp_path)
    place = names.Place("systemd-user", "torpord", home, f"{home}/torpor.sock", f"{home}/units", "ann")
    unit = look.Unit(
        "torpord.service", f"{home}/units/torpord.service", "ours", "1.0", active="inactive", result="success"
    )
    found = look.Installation(place, (unit,), "/bin/sh", interpreter_there=True, lingers=True, unasked="", problems=())
    if known is not None:
        (tmp_path / "lifecycle_state.json").write_text(json.dumps(known))
    assert next(iter(service._lines(found))) == f"torpord.service  ours, version 1.0  {said}"
    stopped = replace(found, is_stopped=True)
    assert "inactive (stopped), 0 restarts" in next(iter(service._lines(stopped)))
