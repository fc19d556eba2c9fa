"""The commands of flows: the daemon's executable knows, and is asked with the same home."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest

from torpor.cli import flows, main

if TYPE_CHECKING:
    import pathlib

_TELL = "import sys; print(sys.argv[1:]); sys.exit({'broken': 65, 'nosuch': 64}.get(sys.argv[-1], 0))"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "COMMAND", (sys.executable, "-c", _TELL))


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["flows"], []),
        (["flows", "--json"], ["--json"]),
        (["flows", "ls"], []),
        (["flows", "show", "nightly"], ["--", "nightly"]),
        (["flows", "show", "nightly", "--json"], ["--json", "--", "nightly"]),
        (["flows", "graph", "nightly"], ["--graph", "--", "nightly"]),
    ],
)
def test_what_is_asked(home: pathlib.Path, capfd: pytest.CaptureFixture[str], line: list[str], said: list[str]) -> None:
    assert main([*line, "--home", str(home)]) == 0
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == (f"{[str(home), *said]}\n", "")


@pytest.mark.usefixtures("told")
def test_it_ends_as_the_executable_ends(home: pathlib.Path) -> None:
    assert main(["flows", "show", "broken", "--home", str(home)]) == 65
    assert main(["flows", "graph", "nosuch", "--home", str(home)]) == 65  # as `runs start nosuch`


def test_what_is_not_installed_or_does_not_end_is_one_line(
    home: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "COMMAND", (sys.executable, "-c", "import signal; signal.pause()"))
    assert main(["flows", "--timeout", "0.1", "--home", str(home)]) == 75
    assert "not loaded within 0.1s" in capfd.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["flows", "--home", str(home)]) == 69
    assert "torpord is not installed beside this client" in capfd.readouterr().err
    for line in (["flows", "show"], ["flows", "graph", "x", "--json"], ["flows", "nightly"]):
        assert main([*line, "--home", str(home)]) == 64
