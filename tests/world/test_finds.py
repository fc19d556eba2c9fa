"""The histories find something: each of some faults, planted in the store or the settings, is found out by them.

Not each: hibernating without its grace is not, in so few of them. `tests/core/test_going_down.py` finds that one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from torpord.core.policy import Policy
from torpord.store.store import Store
from world.machine import Machine
from world.test_world import Daemons

# As in make test, but always the same ones; and what fails first is enough.
SAME = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
Plant = Callable[[pytest.MonkeyPatch], None]


def keys_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "kept_replies", lambda _store, _keys: {})


def holds_are_not_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "_write_holds", lambda _store, _before, _after: None)


def a_commit_that_reports_an_error_is_taken_for_none(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "durable", lambda _store, _batch: False)


def settings_with(**changed: Any) -> Plant:
    """Have the daemon live by other settings than the paper does."""
    init = Machine.__init__

    def begin(machine: Machine, policy: Policy) -> None:
        init(machine, replace(policy, **changed))

    return lambda patch: patch.setattr(Machine, "__init__", begin)


FAULTS: dict[str, Plant] = {
    "keys are forgotten": keys_are_forgotten,
    "holds are not stored": holds_are_not_stored,
    "a commit that reports an error is taken for none": a_commit_that_reports_an_error_is_taken_for_none,
    "it does not stay up for its least time": settings_with(min_up_s=0.0),
    "it is drowsy too late": settings_with(drowsy_after_s=301.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises((AssertionError, AttributeError)):  # or a refusal in the place of an answer
        run_state_machine_as_test(Daemons, settings=SAME)
