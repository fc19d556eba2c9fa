"""What the benchmark says of a side that was not there to be measured: so, and no figure."""

from __future__ import annotations

import importlib
import pathlib
from typing import Any

import pytest

BENCH = pathlib.Path(__file__).parents[2] / "bench"


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("rows")


def test_a_side_that_is_not_there_was_not_measured(rows: Any) -> None:
    row = rows.Row("wake-ups", "gpg-agent", "times", rows.AT_MOST, 0, [0, 0], [])
    assert rows.table([row]).splitlines()[-1] == (
        "| wake-ups | 0 | not measured | gpg-agent | times | 0 | at most 0 | met |"
    )
    kept = row.document()
    assert kept["theirs"] == {"median": None, "rounds": []}
    assert rows.Row.of(kept) == row
    assert not rows.Row("wake-ups", "gpg-agent", "times", rows.AT_MOST, 0, [2, 2], []).is_met


def test_without_a_gpg_agent_there_is_no_figure_for_it(
    rows: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    processes = importlib.import_module("processes")
    monkeypatch.setattr(processes.shutil, "which", lambda _: None)
    assert processes.gpg_switches(tmp_path, 0.0) is None
