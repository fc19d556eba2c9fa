"""What `torpor status` says of a daemon in safe mode, of another version, or with a wake that nobody is set for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor import __version__
from torpor.cli import present, show

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

WAKE = "2999-01-02T00:00:00+00:00"
LATER = "2999-01-03T00:00:00+00:00"
UNARMED = "; no timer is set for it: at the first start from then on"


def telling(**told: Any) -> Any:
    """Return a scene in which `status` has this, too."""

    def scene(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), RESULTS["status"] | told)

    return scene


@pytest.mark.parametrize(
    ("runs", "installed", "said"),
    [
        (__version__, "9.9", f"{__version__} runs and 9.9 is installed: `torpor restart --home /somewhere`"),
        (
            __version__,
            None,
            f"{__version__} runs, and its package is gone: install it again, then `torpor restart --home /somewhere`",
        ),
        ("9.9", "9.9", f"9.9 runs, and this client is {__version__}: two installations"),
    ],
)
def test_which_version_runs_where_that_is_not_the_one_that_would(
    home: pathlib.Path, torpor: Torpor, runs: str, installed: str | None, said: str
) -> None:
    scene = telling(version=runs, installed={"version": installed, "changed": runs != installed})
    with FakeDaemon(home, scene):
        assert f"  version   {said}" in torpor("status")[1].splitlines()


def test_safe_mode_comes_first_and_nothing_more_is_asked(home: pathlib.Path, torpor: Torpor) -> None:
    """There are agents and a planned wake, and nobody who could be asked about them."""
    unsafe = {"reason": "died 5 times in a row", "suspect": "wake.d/a.json", "since_ts": "2026-01-02T03:04:05+00:00"}
    of = {"manager": "systemd-user", "unit": "torpord.service", "agents": {"busy": 1}, "next_wake_ts": WAKE}
    with FakeDaemon(home, telling(safe_mode=unsafe, start_cause=None, **of)) as daemon:
        status, out, _ = torpor("status")
        assert (status, daemon.methods()) == (0, ["status"])
    lines = out.splitlines()
    assert lines[0].startswith("safe mode since ")
    assert lines[0].endswith(": died 5 times in a row")
    assert lines[1] == "  suspect   wake.d/a.json"
    assert (
        "  mend      `torpor doctor --home /somewhere` says how, `torpor reload --home /somewhere` tries again" in lines
    )
    assert any(line.startswith("  before    WAKE since ") for line in lines)
    assert any("torpord.service of the user's systemd" in line for line in lines)
    assert "None" not in out


@pytest.mark.parametrize(
    ("armed", "said"),
    [({"wake_armed": WAKE}, ", armed"), ({"wake_armed": None}, UNARMED), ({"wake_armed": LATER}, UNARMED), ({}, "")],
)
def test_one_that_is_down_says_whether_anybody_wakes_it_as_planned(
    home: pathlib.Path, torpor: Torpor, armed: dict[str, object], said: str
) -> None:
    write_state(home, next_wake_ts=WAKE, **armed)
    (home / "wake.at").write_text(f"{WAKE}\n")
    assert f"  wakes     {show.moment(WAKE)} as planned{said}" in torpor("status")[1].splitlines()


def test_a_timer_that_was_taken_away_since_wakes_nobody(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, next_wake_ts=WAKE, wake_armed=WAKE)
    assert f"  wakes     {show.moment(WAKE)} as planned{UNARMED}" in torpor("status")[1].splitlines()


@pytest.mark.parametrize(
    ("managed", "said"),
    [
        ({"unit": "torpord.service", "wake_armed": WAKE}, ", armed"),
        ({"unit": "torpord.service", "wake_armed": None}, ", no timer is set for it"),
        ({"unit": "", "wake_armed": None}, ""),
    ],
)
def test_one_that_is_up_says_so_where_somebody_could(managed: dict[str, object], said: str) -> None:
    found: Any = RESULTS["status"] | {"next_wake_ts": WAKE, "agents": {}} | managed
    assert present.lines(found, present.Present()) == [f"  wakes     {show.moment(WAKE)} (a slot){said}"]
