"""The commands that are to mend an installation mean the home that was looked at, and are a shell's to run."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from torpor.service import problems
from torpor.service.look import Installation, Unit
from torpor.service.names import Place

if TYPE_CHECKING:
    import pathlib


@pytest.fixture
def found(tmp_path: pathlib.Path) -> Installation:
    home = tmp_path / "a home (mine)"
    home.mkdir()
    place = Place("systemd-user", "torpord-x", str(home), str(home / "torpor.sock"), str(tmp_path), "ann")
    units = tuple(Unit(name, f"{tmp_path}/{name}", "edited") for name in place.files)
    return Installation(place, units, "/bin/sh", interpreter_there=False, lingers=True, unasked="", problems=())


def mends(found: Installation) -> set[str]:
    return {mend for _, _, mend in problems.of(found)}


def test_a_home_that_is_not_the_shells_is_named(found: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    named = f"torpor service install --home {shlex.quote(found.place.home)}"
    assert mends(found) == {named, f"{named} --force (keeps yours)"}
    monkeypatch.setenv("TORPOR_HOME", found.place.home)
    assert mends(found) == {"torpor service install", "torpor service install --force (keeps yours)"}


def test_a_plan_that_is_not_armed_is_mended_there(found: Installation) -> None:
    units = (replace(found.units[0], judged="ours", active="inactive"),)
    late = replace(found, units=units, interpreter_there=True, planned="2026-11-21T19:00:00Z", armed="")
    assert f"torpor start --home {shlex.quote(found.place.home)}" in mends(late)


def test_a_manager_that_does_not_answer_takes_a_command(found: Installation) -> None:
    assert "loginctl enable-linger ann" in mends(replace(found, unasked="nobody there"))
