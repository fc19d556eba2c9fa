"""The examples of `client/PROTOCOL.md` are what a daemon answers, line by line."""

from __future__ import annotations

import json
import pathlib
import re
from datetime import datetime
from typing import Any

from daemon_process import RunningDaemon
from wire.agents import until_s

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "client/PROTOCOL.md").read_text()
(EXAMPLE,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)


def _without_times(reply: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is another one each time."""
    return {**reply, "result": {name: said for name, said in reply["result"].items() if not name.endswith("_at")}}


def test_agents_say_what_the_page_says_and_are_answered_so(daemon: RunningDaemon) -> None:
    lines = EXAMPLE.splitlines()
    asked, answered = lines[::2], lines[1::2]
    assert len(asked) == len(answered) == 3
    with daemon.connect() as line:
        for request, expected in zip(asked, answered, strict=True):
            assert (request[:2], expected[:2]) == ("> ", "< ")
            line.send_line(request[2:])
            reply = line.read_line()
            shown = json.loads(expected[2:])
            assert list(reply["result"]) == list(shown["result"])
            assert _without_times(reply) == _without_times(shown)
        # Of the last: in six minutes, as it was asked.
        assert 350 < until_s(reply["result"]["recovery_at"]) <= 360
        assert datetime.fromisoformat(shown["result"]["recovery_at"]).utcoffset() is not None
