"""A disk that is full between a call's intent and its outcome: the effect was had, and is told when there is room."""

from __future__ import annotations

import pytest

from daemon_process import RunningDaemon
from process.disk import SmallDisk
from process.flow_runs import (
    assert_once,
    assert_whole_after,
    flow_settings,
    history,
    history_at_end,
    repeated,
    start,
    until,
)
from process.flows.outside import marks

HELD = "call.intended"
MOST_THAT_STILL_FIT = 20


@pytest.mark.parametrize("killed", [False, True])
def test_a_call_that_cannot_be_recorded(killed: bool, disk: SmallDisk) -> None:
    daemon = RunningDaemon.start(disk.home, flow_settings("toy:calls"))
    folder = disk.home.parent / "out"
    run_id = start(daemon, "calls", folder, until=2, snares={HELD: 2}, how="hold")
    until((folder / HELD).exists, what="the worker behind its intent")
    disk.fill()
    with daemon.connect() as client:
        for number in range(MOST_THAT_STILL_FIT):
            if "error" in client.ask("event", event="request_arrived", key=str(number)):
                break
        else:
            raise AssertionError("the disk is not full")
        had = len(marks(folder, "effect"))
        (folder / f"{HELD}.go").touch()
        until(lambda: len(marks(folder, "effect")) == had + 1, what="the effect")
        refused = client.ask("run.start", flow="calls", key="no")
        assert refused["error"]["data"]["name"] == "storage_unavailable"
        assert client.call("status")["runs"]["running"] == 1
        assert [call["status"] for call in history(client, run_id).calls].count("begun") == 1
    if killed:
        daemon.kill()
        disk.free()
        daemon = daemon.again()
    else:
        disk.free()
    found = history_at_end(daemon, run_id)
    assert_once(found, folder, disk.home)
    assert len(repeated(folder)) == int(killed), "without an outcome it is had again, under its key"
    assert_whole_after(daemon)
