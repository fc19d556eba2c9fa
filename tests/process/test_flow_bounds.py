"""What a run carries has bounds, each an error that says so; and what is within them comes back in every life."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon_process import CallRefusedError, RunningDaemon
from process.flow_runs import assert_whole_after, flow_settings, history_at_end, start
from process.flows.large import nested
from torpord import log
from torpord.core.nesting import MAX_NESTING


def test_how_deep_a_value_may_be(home: Path) -> None:
    """orjson reads deeper than it writes: a value between the two would be kept, and never be told to anybody."""
    daemon = RunningDaemon.start(home, flow_settings("large:deep"))
    kept = start(daemon, "deep", levels=MAX_NESTING, given=nested(MAX_NESTING))
    refused = [start(daemon, "deep", levels=levels) for levels in (MAX_NESTING + 1, 253, 1000)]
    found = history_at_end(daemon, kept)
    assert found.run["result"] == found.run["data"]["deep"] == found.run["data"]["given"] == nested(MAX_NESTING)
    assert found.outcomes == ["dig.1.1 next", "survive.1.1 crashed", "survive.1.2 next", "result.1.1 complete"]
    for run_id in refused:
        found = history_at_end(daemon, run_id)
        assert found.outcomes == ["dig.1.1 failed"]
        assert "run.data['deep'] is " in found.run["error"]["message"]
    for key, levels in (({}, MAX_NESTING + 1), ({}, 254), ({"key": "k"}, 254)):
        with pytest.raises(CallRefusedError, match="invalid_params"):
            daemon.call("run.start", flow="deep", data={"given": nested(levels)}, **key)
    document, cursor = "", {}
    while cursor is not None:
        piece = daemon.call("run.export", run_id=kept, **cursor)
        document, cursor = document + piece["text"], {"cursor": piece["cursor"]} if piece["cursor"] else None
    imported = daemon.call("run.import", text=document)
    assert imported["status"] == "completed"
    assert_whole_after(daemon)


def test_branches_that_together_carry_more_than_a_worker_can_be_told(home: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("large:wide"))
    found = history_at_end(daemon, start(daemon, "wide", branches=20, bytes=900_000))
    assert found.run["status"] == "failed"
    assert "that a worker can be told" in found.run["error"]["message"]
    assert found.outcomes[-20:] == ["wait.1.1 crashed"] * 20
    assert daemon.call("status")["generation"] == 1
    assert_whole_after(daemon)


def test_the_log_takes_a_line_about_any_value() -> None:
    assert json.loads(log._written({"event": "odd", "number": 2**70}, str)) == {"event": "odd", "number": str(2**70)}
