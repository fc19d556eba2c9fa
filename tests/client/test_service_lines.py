"""What `torpor service status` says of units, from what was found out about them."""

from __future__ import annotations

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
