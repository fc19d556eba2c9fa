"""The client against a server that misbehaves in every way, one after the other, on connections that live on or not.

The plain model is the table in `misbehaving`: what a way leads to. Whatever came before, a call ends in time with what
the first definite answer says; is asked again only where the rule for clients says so, and then with the same key.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from client.fake_daemon import RESULTS
from torpor import AsyncClient, Client, wake
from torpor.errors import ProtocolError, Refused, Timeout
from waiting import until
from world.misbehaving import ASK_AGAIN, GOOD, NONSENSE, REFUSALS, SILENCE, Misbehaving

SOAK = bool(os.environ.get("SOAK"))
TIMEOUT_S = 20.0  # enough on the busiest machine: only silence runs into it, and has one of its own
SHORT_S = 0.15
MOST_SILENCES = 1  # in one example: each is waited out

# A method, its arguments, whether the client gives it a key, and where it is in the results.
CALLS = [
    ("status", (), False, "status"),
    ("hold_list", (), False, "hold.list"),
    ("event", ("wake_signal",), False, "event"),
    ("hibernate", (), True, "hibernate"),
    ("reload", (), True, "reload"),
    ("hold_release", ("h1",), True, "hold.release"),
]
calls = st.sampled_from(CALLS)
retried = st.lists(st.sampled_from(ASK_AGAIN), max_size=3)
definite = st.sampled_from([*GOOD, *REFUSALS, *NONSENSE])


class Talks(RuleBasedStateMachine):
    """One client, and one server after its own mind."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
        self.server = Misbehaving(self.home)
        self.loop = asyncio.new_event_loop()
        self.client: Any = None
        self.silences = 0
        self.starts = mock.patch.object(wake, "start", side_effect=AssertionError("it is up: nobody is started"))
        self.starts.start()

    @initialize(kind=st.sampled_from([Client, AsyncClient]), name=st.none())
    def begin(self, kind: Any, name: str | None) -> None:
        self.client = kind(self.home, timeout=TIMEOUT_S, name=name)

    def teardown(self) -> None:
        if self.client is not None:
            self._done(self.client.close())
        self.server.stop()
        self.loop.close()
        self.starts.stop()
        shutil.rmtree(self.home)

    def _done(self, outcome: Any) -> Any:
        return self.loop.run_until_complete(outcome) if asyncio.iscoroutine(outcome) else outcome

    def _ask(self, method: str, args: tuple[str, ...]) -> Any:
        try:
            return self._done(getattr(self.client, method)(*args))
        except (Refused, ProtocolError, Timeout) as error:
            return error

    @rule(call=calls, first=retried, last=definite)
    def asks(self, call: tuple[str, tuple[str, ...], bool, str], first: list[str], last: str) -> None:
        method, args, keyed, result = call
        self.server.requests.clear()
        self.server.ways.extend([*first, last])
        begun_s = time.monotonic()
        outcome = self._ask(method, args)
        assert time.monotonic() - begun_s < TIMEOUT_S
        if last in GOOD:
            assert outcome == RESULTS[result]
        elif last in REFUSALS:
            assert isinstance(outcome, Refused)
            assert outcome.name == REFUSALS[last]
        else:
            assert isinstance(outcome, ProtocolError)
        self._asked(first, last, keyed=keyed)

    def _asked(self, first: list[str], last: str, *, keyed: bool) -> None:
        """Check what was asked: once for each way that read it, nothing behind the definite answer, under one key."""
        asked = self.server.requests
        assert [each["way"] for each in asked] == [
            way for way in [*first, last] if way not in ("resets", "never listens")
        ]
        assert not self.server.ways
        assert len({str(each.get("params")) for each in asked}) == 1
        assert ("key" in asked[0].get("params", {})) is keyed
        numbers = [each["id"] for each in asked]
        assert numbers == sorted(set(numbers))

    @precondition(lambda self: self.silences < MOST_SILENCES)
    @rule(call=calls, first=retried)
    def asks_and_nobody_answers(self, call: tuple[str, tuple[str, ...], bool, str], first: list[str]) -> None:
        """It says so in its time, and the answer to a later question is not taken for one to this."""
        method, args, keyed, _ = call
        self.silences += 1
        self.server.requests.clear()
        self.server.ways.extend([*first, *SILENCE])
        with mock.patch.object(self.client, "_timeout", SHORT_S * (1 + len(first))):
            assert isinstance(self._ask(method, args), Timeout)
        until(self.server.rests, what="the server to have read all")
        # On a very busy machine the time may be over before all of it was asked.
        self.server.ways.clear()
        keys = {each["params"]["key"] for each in self.server.requests if keyed}
        assert len(keys) <= 1


TestTalks = Talks.TestCase
TestTalks.settings = settings(
    max_examples=300 if SOAK else 15,
    stateful_step_count=30 if SOAK else 10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
