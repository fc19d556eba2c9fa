"""What the daemon refuses, as the command line says it: each of these is what the daemon's own messages look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from torpor.cli import refusals, show
from torpor.errors import Refused

if TYPE_CHECKING:
    from client.conftest import Torpor

AT = "2026-11-21T15:20:00.000+00:00"


@pytest.mark.parametrize(
    ("field", "message", "told"),
    [
        ("recovery_at", f"recovery_at is past ({AT}, as it was said)",
         f"--until is past ({show.soon(AT)}, as it was said)"),
        ("retry_after", "retry_after is 90 days ahead", "--after is 90 days ahead"),
        ("agent_id", "agent_id of agent.transition takes a text of 1 to 128 printable characters",
         "NAME takes a text of 1 to 128 printable characters"),
        ("at", f"{AT} is more than 366 days ahead: is the year right?",
         f"{show.soon(AT)} is more than 366 days ahead: is the year right?"),
        ("priority", "priority of slot.add takes a whole number", "--priority takes a whole number"),
        ("message", "a message of a kind", "a message of a kind"),
        ("session_id", "session_id of run.start takes a text", "session_id of run.start takes a text"),
        (None, f"agent 'a' is exhausted until {AT} (known from: recovery_at): agent.transition (`torpor agent idle a`)",
         f"agent 'a' is exhausted until {show.soon(AT)} (said): `torpor agent idle a`"),
        (None, "slot.list names them (`torpor slot ls`)", "`torpor slot ls` names them"),
        (None, "forget some (agent.list names them)", "forget some (`torpor agent ls` names them)"),
    ],
)  # fmt: skip
def test_what_was_typed_is_named_and_times_are_local(field: str | None, message: str, told: str) -> None:
    assert refusals.told(Refused("invalid_params", message, {"field": field} if field else {})) == told


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["agent", "list"], "`torpor agent ls`?"), (["agents"], "`torpor agent`?"), (["slots"], "`torpor slot`?"),
        (["statsu"], "`torpor status`?"), (["runs", "resmue"], "`torpor runs resume`?"), (["xyzzy"], "'xyzzy': see"),
        (["agent", "busy", "-x"], "; where '-x' is the NAME, write `--` before it"),
        (["agent", "busy", "codex", "--raeson=r"], "(`--reason`?)"), (["agent", "ls", "--stauts"], "(`--status`?)"),
        (["agent", "busy"], "required: NAME: see"), (["runs", "show", "-x"], "where '-x' is the RUN"),
    ],
)  # fmt: skip
def test_what_may_be_meant_is_suggested(torpor: Torpor, line: list[str], said: str) -> None:
    status, out, err = torpor(*line)
    assert (status, out, len(err.splitlines())) == (64, "", 1)
    assert said in err
