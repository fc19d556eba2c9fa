"""Any order of events, deadlines, crashes, restarts and steps of the clock, beside a daemon on paper (`plain`)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.draft import Refusal
from torpord.core.lifecycle import CLIENT_TRIGGERS, Trigger
from torpord.core.policy import Policy
from torpord.writer import UNAVAILABLE, Change
from world.machine import Machine
from world.plain import HIBERNATION, Plain, Times

SOAK = bool(os.environ.get("SOAK"))
CLIENT = {"source": "client"}

seconds = st.sampled_from([0.0, 1.0, 4.0, 5.0, 9.0, 10.0, 20.0, 29.0, 30.0, 31.0, 300.0, 4000.0])
times = st.builds(
    Times,
    drowsy_after_s=st.sampled_from([10.0, 300.0]),
    sleep_after_s=st.sampled_from([5.0, 10.0, 30.0]),
    hibernate_grace_s=st.sampled_from([0.0, 5.0, 60.0]),
    min_up_s=st.sampled_from([0.0, 100.0, 1000.0]),
)
triggers = st.sampled_from(sorted(CLIENT_TRIGGERS))
causes = st.sampled_from(["crash", "crash", "connect", "spawn", "wake.d"])
new_keys = st.booleans()


class Daemons(RuleBasedStateMachine):
    """One home through all its daemons."""

    def __init__(self) -> None:
        super().__init__()
        self.machine: Machine | None = None
        self.count = 0
        self.replies: list[tuple[str, str, ev.Event, Any]] = []

    @initialize(times=times)
    def first(self, times: Times) -> None:
        names = {name: getattr(times, name) for name in Times.__dataclass_fields__}
        self.real = self.machine = Machine(Policy(**names, sleep_min_interval_s=0.0))
        self.real.begin("manual")
        self.plain = Plain(times, self.real.clock.now().awake_s)
        self.plain.begins(self.plain.now_s, asked_for=True, rebooted=False)

    def teardown(self) -> None:
        if self.machine is not None:
            self.machine.close()

    # What clients do.

    def asks(self, event: ev.Event, granted: bool) -> Any:
        """Ask with a key of its own, and remember what was answered."""
        self.count += 1
        key, request = f"key-{self.count}", f"request-{self.count}"
        outcome = self.real.ask(event, key, request)
        assert isinstance(outcome, Refusal) is not granted, outcome
        if granted:
            self.replies.append((key, request, event, outcome))
        return outcome

    def serves(self) -> bool:
        return not self.plain.leaving

    @precondition(serves)
    @rule(trigger=triggers)
    def event(self, trigger: Trigger) -> None:
        before = self.plain.state
        outcome = self.asks(ev.ClientTrigger(CLIENT, trigger), self.plain.hears(trigger.value))
        self.plain.passes(0.0)
        if not isinstance(outcome, Refusal):
            assert outcome["wrapper_event_seq"] == self.plain.uses
            if trigger is not Trigger.FORCE_SLEEP and outcome["state"] == before:
                assert outcome["changed"] is False

    @precondition(serves)
    @rule(ttl_s=st.none() | seconds.filter(bool), connection=st.none() | st.integers(1, 2))
    def hold(self, ttl_s: float | None, connection: int | None) -> None:
        if ttl_s is None and connection is None:
            connection = 1
        name = f"h{self.count + 1}"  # the daemon's ids are never used twice
        event = ev.HoldRequested(CLIENT, name, "who", "why", ttl_s=ttl_s, connection=connection)
        self.asks(event, self.plain.is_held(name, ttl_s, connection))

    @precondition(serves)
    @rule(which=st.integers(0, 5))
    def release(self, which: int) -> None:
        name = [*self.plain.holds, "none"][which % (len(self.plain.holds) + 1)]
        granted = self.plain.is_let_go(name)
        self.asks(ev.HoldReleaseRequested(CLIENT, name), granted)
        self.plain.passes(0.0)

    @rule(connection=st.integers(1, 2))
    def connection_closes(self, connection: int) -> None:
        self.real.writer.owe(ev.ConnectionClosed(CLIENT, connection))
        self.real.settle()
        self.plain.loses_connection(connection)
        self.plain.passes(0.0)

    @precondition(serves)
    @rule(now=st.booleans())
    def hibernate(self, now: bool) -> None:
        self.asks(ev.HibernateWanted(CLIENT, now), self.plain.is_to_hibernate())
        self.plain.passes(0.0)

    @precondition(serves)
    @rule(how=st.sampled_from(["stop", "signal"]))
    def stop(self, how: str) -> None:
        self.asks(ev.StopWanted(CLIENT, how), self.plain.is_to_stop())
        assert self.real.ask(ev.ClientTrigger(CLIENT, Trigger.WAKE_SIGNAL)).name == "draining"

    @precondition(lambda self: self.replies)
    @rule(which=st.integers(0, 3))
    def asks_again(self, which: int) -> None:
        key, request, event, first = self.replies[-1 - which % len(self.replies)]
        assert self.real.ask(event, key, request) == {**first, "replayed": True}
        assert self.real.ask(event, key, "another request").name == "conflict"

    # What time does.

    @rule(seconds=seconds)
    def passes(self, seconds: float) -> None:
        self.real.pass_s(seconds)
        self.plain.passes(seconds)
        if seconds > 100:
            self.replies.clear()  # keys are kept for 15 minutes of the wall clock

    @rule(step_s=st.sampled_from([-400 * 86_400.0, -3_600.0, 1.0, 7_200.0, 90_000.0]))
    def the_clock_is_set(self, step_s: float) -> None:
        self.real.clock.step_s += step_s
        self.real.settle()
        self.replies.clear()

    @rule(seconds=seconds)
    def is_suspended(self, seconds: float) -> None:
        self.real.clock.suspended_s += seconds
        self.real.settle()
        self.replies.clear()

    # What goes wrong.

    @precondition(serves)
    @rule(durable=st.booleans())
    def disk_fails(self, durable: bool) -> None:
        """What was refused left no trace, and the same key takes it; what reports an error may be durable yet."""
        event = ev.ClientTrigger(CLIENT, Trigger.REQUEST_ARRIVED)
        if durable:
            self.real.store.fail_after_commit = 1
        else:
            self.real.store.refuse = True
            assert self.real.ask(event, f"key-{self.count + 1}", f"request-{self.count + 1}") == UNAVAILABLE
            self.agrees()
            self.real.store.refuse = False
        self.asks(event, self.plain.hears("request_arrived"))
        self.plain.passes(0.0)

    @rule(cause=causes, down_s=seconds, reboots=st.booleans(), flies=st.sampled_from(["", "lost", "durable"]))
    def crashes(self, cause: str, down_s: float, reboots: bool, flies: str) -> None:
        self.count += 1
        key, request, event = f"key-{self.count}", f"request-{self.count}", self._hold_of(f"h{self.count}")
        if self.plain.leaving:
            flies = ""
        self.real.kill_at(Change(event, key, request) if flies else None, durable=flies == "durable")
        if flies == "durable":
            self.plain.is_held(event.hold_id, event.ttl_s, None)
        self._starts(cause, down_s, reboots=reboots)
        if flies:
            again = self.real.ask(event, key, request)
            assert again.get("replayed", False) is (flies == "durable")
            assert again["hold_id"] == event.hold_id
            if flies == "lost":
                self.plain.is_held(event.hold_id, event.ttl_s, None)

    @staticmethod
    def _hold_of(name: str) -> ev.HoldRequested:
        return ev.HoldRequested(CLIENT, name, "who", "why", ttl_s=20.0)

    @precondition(lambda self: self.plain.leaving or self.plain.state == HIBERNATION)
    @rule(cause=causes.filter(lambda cause: cause != "crash"), down_s=seconds, reboots=st.booleans())
    def goes(self, cause: str, down_s: float, reboots: bool) -> None:
        assert any(isinstance(effect, fx.GoDown) for effect in self.real.shell.effects)
        self.real.end()
        self._starts(cause, down_s, reboots=reboots)

    def _starts(self, cause: str, down_s: float, *, reboots: bool) -> None:
        self.real.pass_down(down_s)
        if reboots:
            self.real.reboot()
        if down_s > 100:
            self.replies.clear()
        self.real.begin(cause)
        self.plain.begins(self.real.clock.now().awake_s, asked_for=cause != "crash", rebooted=reboots)

    # What must hold.

    @invariant()
    def agrees(self) -> None:
        if self.machine is None:
            return
        world, plain = self.real.world, self.plain
        note(f"{plain}")
        assert world.lifecycle.state.value == plain.state
        assert world.activity.event_seq == plain.uses
        assert set(world.holds.by_id) == set(plain.holds)
        assert bool(world.lifecycle.wish) == plain.wish
        assert world.process.generation == plain.lives
        assert bool(world.process.leaving) == plain.leaving
        assert world.lifecycle.since_awake_s == pytest.approx(plain.since_s, abs=1e-3)
        assert world.activity.idle_since_awake_s == pytest.approx(plain.used_s, abs=1e-3)

    @invariant()
    def what_is_seen_is_stored(self) -> None:
        if self.machine is not None:
            assert self.real.store.load() == self.real.world


TestDaemons = Daemons.TestCase
TestDaemons.settings = settings(
    max_examples=3000 if SOAK else 80,
    stateful_step_count=60 if SOAK else 30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
