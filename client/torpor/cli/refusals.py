"""What the daemon refuses, said in the words of the command line: its options, its commands, and the reader's time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torpor.cli import agent_words, show

if TYPE_CHECKING:
    from torpor.errors import Refused

# A parameter of agents and slots, and what is typed for it.
_TYPED = {
    "agent_id": "NAME", "parent_id": "--parent", "pid": "--pid", "wake_command": "--wake-command", "meta": "--meta",
    "doing": "--doing", "reason": "--reason", "recovery_at": "--until", "retry_after": "--after",
    "message": "--message", "slot_id": "SLOT", "at": "--at", "duration_s": "--for", "priority": "--priority",
    "payload": "--payload", "key": "--key",
}  # fmt: skip
_COMMANDS = {
    "agent.register": "agent register", "agent.transition": "agent idle", "agent.list": "agent ls",
    "slot.list": "slot ls", "slot.cancel": "slot cancel",
}  # fmt: skip
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)")
_METHOD = re.compile(rf"\b(?:{'|'.join(map(re.escape, _COMMANDS))})\b")
# "slot.list names them (`torpor slot ls`)": the daemon tells what to type behind the method.
_WITH_COMMAND = re.compile(rf"{_METHOD.pattern}([^;(`]*?) \((`torpor [^`]*`)\)")
_KNOWN_FROM = re.compile(r"\(known from: ([a-z_]+)\)")
_OF_METHOD = r"(?: of (?:agent|slot)\.[a-z]+)?(?= )"


def told(refusal: Refused) -> str:
    """Return the message of a refusal."""
    text = str(refusal)
    typed = _TYPED.get(str(refusal.data.get("field")))
    if typed is not None:
        text = re.sub(rf"^{re.escape(str(refusal.data['field']))}{_OF_METHOD}", typed, text)
    text = _WITH_COMMAND.sub(r"\2\1", text)
    text = _METHOD.sub(lambda found: f"`torpor {_COMMANDS[found[0]]}`", text)
    text = _KNOWN_FROM.sub(lambda found: agent_words.known_from(found[1]), text)
    return _MOMENT.sub(lambda found: show.soon(found[0]), text)
