"""The table: every pair of state and trigger, under every set of guards, beside the same written down once more."""

from __future__ import annotations

import itertools

import pytest

from torpord.core.lifecycle import ACTIVITY, CLIENT_TRIGGERS, TABLE, Guard, State, Trigger, compute_transition, mermaid

STATES = ("WAKE", "DROWSY", "SLEEP", "HIBERNATION")
GUARDS = ("idle", "sleep_eligible", "still_idle", "grace_over")
TRIGGERS = (
    "request_arrived",
    "wake_signal",
    "drowsy_due",
    "heartbeat_refresh",
    "sleep_due",
    "force_sleep",
    "sleep_cycle_done",
    "hibernation_grace_expired",
)

# What is promised, row by row: (from, event, guard, to). "any" is written out by `expected`.
CONTRACT = (
    ("any", "request_arrived", "", "WAKE"),
    ("DROWSY, SLEEP, HIBERNATION", "wake_signal", "", "WAKE"),
    ("WAKE", "drowsy_due", "idle", "DROWSY"),
    ("DROWSY", "heartbeat_refresh", "", "WAKE"),
    ("DROWSY", "sleep_due", "sleep_eligible", "SLEEP"),
    ("WAKE", "force_sleep", "", "DROWSY"),
    ("DROWSY", "force_sleep", "", "SLEEP"),
    ("SLEEP", "sleep_cycle_done", "still_idle", "HIBERNATION"),
    ("SLEEP", "hibernation_grace_expired", "grace_over", "HIBERNATION"),
)

EVERY_SET_OF_GUARDS = [
    frozenset(chosen) for size in range(len(GUARDS) + 1) for chosen in itertools.combinations(GUARDS, size)
]


def expected(state: str, trigger: str, guards: frozenset[str]) -> str:
    for starts, event, guard, to in CONTRACT:
        from_here = starts == "any" or state in starts.split(", ")
        if from_here and event == trigger and (not guard or guard in guards):
            return to
    return state


def test_the_names_are_the_contracts() -> None:
    assert tuple(state.value for state in State) == STATES
    assert {trigger.value for trigger in Trigger} == set(TRIGGERS)
    assert {guard.value for guard in Guard} == set(GUARDS)


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("state", STATES)
def test_every_pair_leads_where_the_contract_says(state: str, trigger: str) -> None:
    for names in EVERY_SET_OF_GUARDS:
        guards = frozenset(Guard(name) for name in names)
        found = compute_transition(State(state), Trigger(trigger), guards)
        assert found is State(expected(state, trigger, names)), names


def test_the_table_has_no_row_that_is_not_the_contracts() -> None:
    written = {
        (state, event) for starts, event, _, _ in CONTRACT for state in STATES if starts == "any" or state in starts
    }
    assert {(state.value, trigger.value) for state, trigger in TABLE} == written


def test_clients_may_send_four_and_three_of_them_are_activity() -> None:
    assert {"heartbeat_refresh", "request_arrived", "wake_signal", "force_sleep"} == CLIENT_TRIGGERS
    assert {"heartbeat_refresh", "request_arrived", "wake_signal"} == ACTIVITY


def test_the_diagram_has_every_arrow_once_and_no_other() -> None:
    drawn = [line.strip() for line in mermaid().splitlines()]
    assert drawn[0] == "stateDiagram-v2"
    arrows = dict(line.split(" : ") for line in drawn[1:] if "[*]" not in line)
    wanted: dict[str, set[str]] = {}
    for state, (_, trigger, guard, to) in itertools.product(STATES, CONTRACT):
        if state != to and expected(state, trigger, frozenset(GUARDS)) == to:
            wanted.setdefault(f"{state} --> {to}", set()).add(trigger + (f" [{guard}]" if guard else ""))
    assert {arrow: set(labels.split(", ")) for arrow, labels in arrows.items()} == wanted
    assert len(drawn) == 1 + len(wanted) + 2  # the head, the arrows, the start and the end
    assert "[*] --> WAKE : started" in drawn
    assert "HIBERNATION --> [*] : the process ends" in drawn
