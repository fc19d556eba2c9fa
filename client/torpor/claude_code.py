"""What the hooks of Claude Code mean: from a payload to words about an agent. No I/O.

The events and their fields are those of https://code.claude.com/docs/en/hooks. What is not known there says nothing, or
at most that its session is still there: a newer Claude Code has more events, and an older one fewer fields.

A session is one agent, `claude-code:SESSION`; each of its subagents is one below it, `claude-code:SESSION/SUBAGENT`.
Nothing that is loaded for this is more than the interpreter has loaded anyway: a tool waits for each hook twice.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, TypeAlias

    Word: TypeAlias = tuple[str, dict[str, Any]]

HARNESS = "claude-code"
# Each event whose hook is worth its time. Never one that decides something by what a hook prints.
EVENTS = (
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest",
    "Notification", "Stop", "StopFailure", "SubagentStart", "SubagentStop", "PreCompact", "PostCompact", "SessionEnd",
)  # fmt: skip
OF_TOOLS = ("PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest")  # a matcher says which tools

_WORKS = ("UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "PreCompact", "PostCompact")
_WAKES = ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse")
# The model has answered: whatever quota there was is not used up any more.
_PROVES = ("PreToolUse", "PostToolUse")
_ASKS = ("permission_prompt", "idle_prompt", "elicitation_dialog", "elicitation_url_dialog", "agent_needs_input")
# Versions that do not tell the type yet; seen in https://github.com/gabriel-dehan/claude_hooks/issues/17
_ASKS_IN_WORDS = ("Claude needs your permission", "Claude is waiting for your input")
_LIMITS = {"rate_limit": "rate_limit", "billing_error": "billing"}
_TELLS = ("last_assistant_message", "error_details", "error_message")

# Together with the harness's name they stay below wire.MAX_AGENT_ID_CHARS; Claude Code's own are UUIDs.
_SESSION_CHARS, _SUBAGENT_CHARS = 64, 48
_MESSAGE_CHARS = 1024
_META_CHARS = 512  # of one text: two of them stay below wire.MAX_META_BYTES in any script


class Meaning:
    """What one hook means.

    `word`: what is to be said of the session, `agent_id`. `beside`: what of a subagent; it may be refused.
    `registers`: the session is to be made known first, in any case; `introduces`: where it is not known yet.
    `if_down`: "wake" leaves it for the daemon and starts that, "keep" only leaves it. `proves`: the model answered.
    """

    __slots__ = ("agent_id", "beside", "cwd", "if_down", "introduces", "proves", "registers", "word")

    def __init__(self, agent_id: str, word: "Word", cwd: str) -> None:
        self.agent_id = agent_id
        self.word = word
        self.cwd = cwd
        self.beside: list[Word] = []
        self.registers = False
        self.introduces = True
        self.proves = False
        self.if_down: Literal["", "keep", "wake"] = ""

    def register(self) -> "Word":
        """Return the word that makes the session known."""
        return _register(self.agent_id, cwd=self.cwd)


def read(payload: "Mapping[str, Any]") -> Meaning | None:
    """Return what the hook with this payload means, or None where it means nothing."""
    session, event = _id(payload.get("session_id"), _SESSION_CHARS), payload.get("hook_event_name")
    if not session or not isinstance(event, str) or event not in EVENTS:
        return None
    agent_id = f"{HARNESS}:{session}"
    meaning = Meaning(agent_id, ("agent.heartbeat", {"agent_id": agent_id}), _fit(payload.get("cwd"), _META_CHARS))
    if event in _WAKES:
        meaning.if_down = "wake"
    if payload.get("agent_id") is not None:
        # Of whatever event, a Stop too: Claude Code sends some with the session's own id that are a subagent's.
        meaning.beside = _of_subagent(agent_id, event, payload)
        if event == "SubagentStop" and meaning.beside:  # it may come when the session is long over: no word of that
            meaning.word, meaning.beside, meaning.introduces = meaning.beside[0], [], False
        return meaning
    meaning.proves = event in _PROVES
    _of_session(meaning, event, payload)
    return meaning


def _of_session(meaning: Meaning, event: str, payload: "Mapping[str, Any]") -> None:
    match event:
        case "SessionStart":
            meaning.registers = True
            if payload.get("source") != "compact":  # that one comes in the midst of work
                _does(meaning, "idle")
        case "Stop":
            _does(meaning, "busy" if _works_on(payload.get("background_tasks")) else "idle")
        case "StopFailure":
            _failed(meaning, payload)
        case "PermissionRequest":
            _does(meaning, "idle")
        case "Notification":
            if _asks(payload):
                _does(meaning, "idle")
        case "SessionEnd":
            # Also one that is cleared, or left for another: it may be resumed, and its quota is used up all the same.
            meaning.introduces = False
            meaning.word = ("agent.transition", {"agent_id": meaning.agent_id, "to": "offline"})
        case _ if event in _WORKS:
            _does(meaning, "busy")


def _does(meaning: Meaning, doing: str) -> None:
    meaning.word = ("agent.heartbeat", {"agent_id": meaning.agent_id, "doing": doing})


def _works_on(tasks: object) -> bool:
    """Say whether a turn that stopped only pauses, until one of its tasks in the background ends."""
    if not isinstance(tasks, list):
        return False
    return any(not isinstance(task, dict) or task.get("status", "running") == "running" for task in tasks)


def _asks(payload: "Mapping[str, Any]") -> bool:
    kind = payload.get("notification_type")
    return kind in _ASKS if kind is not None else str(payload.get("message")).startswith(_ASKS_IN_WORDS)


def _failed(meaning: Meaning, payload: "Mapping[str, Any]") -> None:
    """Tell a quota that is used up from all else that ends a turn, which is idleness."""
    kind = payload.get("error") or payload.get("error_type")
    reason = _LIMITS.get(kind) if isinstance(kind, str) else None
    if reason is None:
        _does(meaning, "idle")
        return
    params = {"agent_id": meaning.agent_id, "to": "exhausted", "reason": reason, "key": os.urandom(16).hex()}
    message = next((text for name in _TELLS if (text := _fit(payload.get(name), _MESSAGE_CHARS))), "")
    if message:
        params["message"] = message
    meaning.word = ("agent.transition", params)
    meaning.if_down = "keep"


def _of_subagent(parent_id: str, event: str, payload: "Mapping[str, Any]") -> "list[Word]":
    """Return what is to be said of the subagent: nothing relies on its start having been seen, or on its stop."""
    name = _id(payload["agent_id"], _SUBAGENT_CHARS)
    if not name:
        return []
    agent_id = f"{parent_id}/{name}"
    match event:
        case "SubagentStart":
            made = _register(agent_id, parent_id=parent_id, kind=_fit(payload.get("agent_type"), _META_CHARS))
            return [made, ("agent.heartbeat", {"agent_id": agent_id, "doing": "busy"})]
        case "SubagentStop":
            return [("agent.forget", {"agent_id": agent_id})]
        case _:
            return [("agent.heartbeat", {"agent_id": agent_id})]


def _register(agent_id: str, *, parent_id: str = "", **about: str) -> "Word":
    meta = {"via": HARNESS, **{name: text for name, text in about.items() if text}}
    return ("agent.register", {"agent_id": agent_id, **({"parent_id": parent_id} if parent_id else {}), "meta": meta})


def _fit(text: object, most: int) -> str:
    """Return `text` as the wire takes it, at most `most` characters; "" for what is none."""
    if not isinstance(text, str):
        return ""
    return "".join(char if char.isprintable() else " " for char in text[:most]).strip()


def _id(text: object, most: int) -> str:
    """Return `text` as a part of an agent's id, without the slash that sets a subagent's apart."""
    return "" if not isinstance(text, str) else "".join(c for c in text if c.isprintable() and c not in "/ ")[:most]
