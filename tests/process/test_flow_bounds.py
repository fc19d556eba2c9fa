"""What a run carries has bounds, each an error that says so; and what is within them comes back in every life."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import CallRefusedError, RunningDaemon, end_all
from process.flow_runs import assert_whole_after, flow_settings, history, history_at_end, start, status_at_end, until
from process.flows.large import nested
from torpord import log
from torpord.core.nesting import MAX_NESTING

MANY = 10_000


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
    document = exported(daemon, kept)
    imported = daemon.call("run.import", text=document)
    assert imported["status"] == "completed"
    assert_whole_after(daemon)


def exported(daemon: RunningDaemon, run_id: str) -> str:
    with daemon.connect() as client:
        piece = client.call("run.export", run_id=run_id)
        texts = [piece["text"]]
        while piece["cursor"]:
            piece = client.call("run.export", run_id=run_id, cursor=piece["cursor"])
            texts.append(piece["text"])
    return "".join(texts)


@pytest.fixture
def fast_home() -> Iterator[Path]:
    """A home in memory, where there is one: ten thousand commits to a disk take as long as the disk likes."""
    with tempfile.TemporaryDirectory(prefix="tp-", dir="/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") as folder:
        yield Path(folder, "home")
        end_all(Path(folder, "home"))


def test_ten_thousand_steps(fast_home: Path) -> None:
    """They are done, told page by page and exported whole; and a kill in the middle of them costs one attempt."""
    daemon = RunningDaemon.start(fast_home, flow_settings("large:many"))
    run_id = daemon.call("run.start", flow="many", data={"steps": MANY - 1}, max_steps=MANY)["run_id"]
    with daemon.connect() as client:
        until(lambda: client.call("run.get", run_id=run_id)["run"]["steps"] > MANY // 2, limit_s=60, what="half of it")
    daemon.kill()
    daemon = daemon.again()
    assert status_at_end(daemon, run_id, limit_s=60) == "completed"
    with daemon.connect() as client:
        found = history(client, run_id)
    assert found.run["steps"] == MANY
    done = [step for step in found.steps if step["outcome"] != "interrupted"]
    assert len(found.steps) - len(done) <= 1
    assert [step["visit"] for step in done] == [*range(1, MANY), 1]
    assert len(json.loads(exported(daemon, run_id))["steps"]) == len(found.steps)
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
