"""A commit of which nobody knew, and that proves durable: all hear of it who would have heard of it at once."""

from __future__ import annotations

from pathlib import Path

from process.unsure_daemon import Unsure
from waiting import until
from wire.runs import flows, imported, start, version_1

HOURS = '[lifecycle]\ndrowsy_after = "1h"\nsleep_after = "2h"\n'


def test_who_waits_for_a_run_hears_of_its_end(home: Path, short_dir: Path) -> None:
    unsure = Unsure(home, short_dir, HOURS + flows(short_dir, "toy"))
    with unsure.daemon.connect() as line:
        run_id = imported(line, version_1())
        other = start(line, then="wait", gate=str(short_dir / "gate"))
        waiting, beside = (line.request("wait", run_id=each, timeout_s=30) for each in (run_id, other))
        unsure.at("run_cancelled")
        assert unsure.daemon.ask("run.cancel", run_id=run_id)["error"]["data"]["name"] == "storage_unavailable"
        reply = line.read_line()
        assert (reply["id"], reply["result"]["status"]) == (waiting, "cancelled")
        # Whose run has not ended waits on.
        (short_dir / "gate").touch()
        reply = line.read_line()
        assert (reply["id"], reply["result"]["status"]) == (beside, "completed")


def test_settings_are_in_force_that_were_stored(home: Path, short_dir: Path) -> None:
    """All of them: what the world has of them, and what it has not."""
    unsure = Unsure(home, short_dir, HOURS)
    daemon, said = unsure.daemon, short_dir / "said"
    (home / "torpor.toml").write_text(f'{HOURS.replace("1h", "90m")}[hooks]\non_drowsy = ["touch {said}"]\n')
    unsure.at("settings_loaded")
    with daemon.connect() as line:
        assert line.ask("reload")["error"]["data"]["name"] == "storage_unavailable"
        unsure.has_read_anew()
        line.call("event", event="force_sleep")
    until(said.exists, what="the hook of the new settings")


def test_settings_that_the_world_has_nothing_of_are_in_force_too(home: Path, short_dir: Path) -> None:
    unsure = Unsure(home, short_dir, HOURS)
    daemon, said = unsure.daemon, short_dir / "said"
    with daemon.connect() as line:
        line.call("event", event="force_sleep")
        (home / "torpor.toml").write_text(f'{HOURS}[hooks]\non_drowsy = ["touch {said}"]\n')
        unsure.at("state_transition")  # the reload wakes it
        assert line.ask("reload", key="once")["error"]["data"]["name"] == "storage_unavailable"
        unsure.has_read_anew()
        assert line.call("reload", key="once")["changed"] == ["hooks.on_drowsy"]
        assert not said.exists()
        line.call("event", event="force_sleep")
    until(said.exists, what="the hook of the new settings")
