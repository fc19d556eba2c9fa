"""Single keys, what they say together, and what a reload calls changed."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from config.reading import given, refusal
from torpord.config import Settings, changed
from torpord.core.policy import DAY_S, Policy

NIGHTLY = '[flows.nightly]\npython = "notes:flow"\n'


def test_no_settings_are_the_defaults(tmp_path: Path) -> None:
    assert given(tmp_path, "") == Settings()
    assert Settings().flows == {"housekeeping": {"name": "housekeeping", "builtin": True}}
    assert Settings().policy == Policy()
    assert (Policy().sleep_flow, Policy().flows) == ("housekeeping", ("housekeeping",))


def test_each_key_arrives_at_its_place(tmp_path: Path) -> None:
    text = '[lifecycle]\nplanned_reach = "30m"\n[sleep]\nflow = "nightly"\nyield_within = "500ms"\n'
    text += '[agents]\nheartbeat_timeout = "15m"\ndefault_recovery = "1h"\n'
    policy = given(tmp_path, f'{text}[runs]\nkeep = "7d"\nkeep_count = 0\n{NIGHTLY}').policy
    assert policy == Policy(
        planned_reach_s=1800.0,
        sleep_flow="nightly",
        yield_within_s=0.5,
        heartbeat_timeout_s=900.0,
        default_recovery_s=3600.0,
        runs_keep_s=7 * DAY_S,
        runs_keep_count=0,
        flows=("housekeeping", "nightly"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[runs]\nkeep_count = 1.5", "line 2: runs.keep_count = 1.5 is not a whole number from 0 to 1000000"),
        ("[runs]\nkeep_count = true", "line 2: runs.keep_count = True is not a whole number"),
        ("[runs]\nkeep_count = -1", "line 2: runs.keep_count = -1 is not"),
        ("[runs]\n# keep = 1\nkeep = '2y'", "line 3: runs.keep = '2y' is not a duration"),
        ("[sleep]\nyield_within = '2'", "line 2: sleep.yield_within = '2' is not a duration"),
        ("[sleep]\nflow = 3", "line 2: sleep.flow = 3 is not a name"),
        (
            "[sleep]\n\nflow = 'night'\n" + NIGHTLY,
            "line 3: sleep.flow = 'night' is the name of no flow; there are: house",
        ),
        ("[lifecycle]\nplanned_reach = 'far'", "line 2: lifecycle.planned_reach = 'far' is not a duration"),
        ("[sleep.when]\npower = 'solar'", 'line 2: sleep.when.power = \'solar\' is not "any" or "mains"'),
        ("sleep.when.powr = 'any'", "line 1: unknown key sleep.when.powr = 'any'; known here: flow, min_interval,"),
        (
            "[agents]\nheartbeat_timeout = '0s'",
            'line 2: agents.heartbeat_timeout = \'0s\' is not a duration from "100ms" to a year, such as "2m"',
        ),
        ("[agents]\nheartbeat_timeout = -1", "line 2: agents.heartbeat_timeout = -1 is not a duration"),
        ("[agents]\ndefault_recovery = 'soon'", "line 2: agents.default_recovery = 'soon' is not a duration"),
        ("[agents]\ntimeout = '1m'", "line 2: unknown key agents.timeout = '1m'; known here: default_recovery, heart"),
        ("[hooks]\non_wake = [3]", "line 2: hooks.on_wake = [3] is not a list of commands"),
        ("[hooks]\non_wake = 'true'", "line 2: hooks.on_wake = 'true' is not a list of commands"),
        ("[hooks]\non_wake = [[]]", "line 2: hooks.on_wake = [[]] is not a list of commands"),
        ("[flow.x]\npython = 'a:b'", "line 1: unknown key flow = {'x': {'python': 'a:b'}}; known here: agents, flows,"),
    ],
)
def test_a_bad_value_is_refused_with_key_value_and_line(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text).startswith(said)


def test_a_reload_names_what_changed(tmp_path: Path) -> None:
    before = given(tmp_path, NIGHTLY + "[flows.old]\npython = 'a:b'\n")
    after = given(tmp_path, NIGHTLY.replace("notes", "other") + "[flows.new]\npython = 'a:b'\n[runs]\nkeep = '1d'\n")
    assert changed(before, before) == ()
    assert changed(before, after) == ("runs.keep", "flows.new", "flows.nightly", "flows.old")
    assert changed(Settings(), before) == ("flows.nightly", "flows.old")


def test_the_shortest_time_out_is_taken(tmp_path: Path) -> None:
    assert given(tmp_path, '[agents]\nheartbeat_timeout = "100ms"\n').policy.heartbeat_timeout_s == 0.1


def test_a_policy_survives_the_store_and_the_ledger() -> None:
    policy = Policy(flows=("housekeeping", "nightly"))
    assert orjson.loads(orjson.dumps(policy.document())) == policy.document()
    for written in (policy, asdict(policy), policy.document()):
        assert Policy(**orjson.loads(orjson.dumps(written))) == policy


def test_a_policy_of_an_older_store_has_the_defaults() -> None:
    assert Policy(drowsy_after_s=1.0, shadow_run=True) == replace(Policy(), drowsy_after_s=1.0, shadow_run=True)
