"""Settings read again: all of them, or none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from daemon_process import CallRefusedError, RunningDaemon
from waiting import until

BEFORE = '[lifecycle]\ndrowsy_after = "200s"\n'
AFTER = '[lifecycle]\ndrowsy_after = "100s"\n\n[log]\nlevel = "debug"\n'


def _drowsy_after_s(daemon: RunningDaemon) -> float:
    """Round up: a little of it has passed."""
    left = daemon.call("status")["next"]["in_s"]
    return float(-(-left // 50) * 50)


def _write(daemon: RunningDaemon, text: str) -> None:
    (daemon.home / "torpor.toml").write_text(text)


def test_it_names_what_changed(home: Path) -> None:
    daemon = RunningDaemon.start(home, BEFORE)
    assert _drowsy_after_s(daemon) == 200
    _write(daemon, AFTER)
    assert sorted(daemon.call("reload")["changed"]) == ["lifecycle.drowsy_after", "log.level"]
    assert _drowsy_after_s(daemon) == 100
    assert daemon.call("reload") == {"changed": []}
    (record,) = daemon.call("log", kinds=["settings_loaded"])["records"]
    assert record["cause"]["pid"] == os.getpid()


def test_a_file_that_is_gone_means_the_defaults(home: Path) -> None:
    daemon = RunningDaemon.start(home, BEFORE)
    (home / "torpor.toml").unlink()
    assert daemon.call("reload") == {"changed": ["lifecycle.drowsy_after"]}
    assert _drowsy_after_s(daemon) == 300


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[lifecycle]\n\ndrowsy_afterwards = "1s"\n', ("drowsy_afterwards", "line 3")),
        ('[lifecycle]\ndrowsy_after = "soon"\n', ("drowsy_after", "soon", "line 2")),
        ('[lifecycle]\ndrowsy_after = "10s"\nshadow_run = "yes"\n', ("shadow_run", "yes", "line 3")),
        ("[lifecycle\n", ("line 1",)),
        ("[nosuch]\n", ("nosuch",)),
        ('[lifecycle]\ndrowsy_after = "2h"\nsleep_after = "1h"\n', ("sleep_after", "drowsy_after")),
        ("\x00", ("torpor.toml",)),
    ],
)
def test_bad_settings_are_a_conflict_and_change_nothing(home: Path, text: str, named: tuple[str, ...]) -> None:
    daemon = RunningDaemon.start(home, BEFORE)
    before = daemon.call("status")
    _write(daemon, text)
    with pytest.raises(CallRefusedError) as refused:
        daemon.call("reload")
    assert refused.value.name == "conflict"
    assert refused.value.error["data"]["file"] == str(home / "torpor.toml")
    assert all(each in refused.value.error["message"] for each in named)
    after = daemon.call("status")
    assert (after["ledger_seq"], after["wrapper_event_seq"]) == (before["ledger_seq"], before["wrapper_event_seq"])
    assert _drowsy_after_s(daemon) == 200
    _write(daemon, AFTER)
    assert "lifecycle.drowsy_after" in daemon.call("reload")["changed"]


def test_sighup_does_the_same_and_is_no_request(home: Path) -> None:
    daemon = RunningDaemon.start(home, BEFORE)
    _write(daemon, AFTER)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: _drowsy_after_s(daemon) == 100, what="the new settings")
    (record,) = daemon.call("log", kinds=["settings_loaded"])["records"]
    assert (record["cause"]["source"], record["cause"]["name"]) == ("signal", "SIGHUP")
    assert daemon.call("status")["wrapper_event_seq"] == 0


def test_sighup_with_bad_settings_is_logged_and_changes_nothing(home: Path) -> None:
    daemon = RunningDaemon.start(home, BEFORE)
    _write(daemon, "nonsense\n")
    daemon.process.send_signal(signal.SIGHUP)
    told = until(
        lambda: [each for each in daemon.log_lines() if each.get("event") == "settings_not_reloaded"], what="the log"
    )
    assert "line 1" in told[0]["why"]
    assert _drowsy_after_s(daemon) == 200


def test_a_reload_that_comes_again_reads_nothing(home: Path) -> None:
    daemon = RunningDaemon.start(home, BEFORE)
    first = daemon.call("reload", key="k")
    _write(daemon, AFTER)
    assert daemon.call("reload", key="k") == {**first, "replayed": True}
    assert _drowsy_after_s(daemon) == 200
    assert sorted(daemon.call("reload", key="another")["changed"]) == ["lifecycle.drowsy_after", "log.level"]
