"""What may happen to agents and slots in a random history: their words, good and bad, and what is seen of them.

Each move is `(life, a, b)`, as in `core/histories.py`: the numbers choose among what is there.
"""

from __future__ import annotations

from collections.abc import Callable

from core.life import CLIENT, SHELL, Life
from torpord.core import agent_events as ae
from torpord.core.agents import Doing, Status

# So few that they meet often, and one that is never known.
NAMES = ("a", "b", "c", "d")
NOBODY = "nobody"
AFTER_S = (-5.0, 0.0, 1.0, 60.0, 300.0, 900.0, 3_600.0, 20_000.0, 100_000.0)
SOURCES = ("recovery_at", "headers", "message", "estimated", "estimated")
_DOINGS = (None, None, *Doing)


def a_name(life: Life, choice: int) -> str:
    """Choose an agent that is known, mostly; any of them may have been forgotten."""
    names = [name for _, name in life.world.agents.ids] or [NOBODY]
    return NOBODY if choice == 9 else names[choice % len(names)]


def a_slot(life: Life, choice: int) -> str:
    """Choose one of the slots; "none" where there is none, and sometimes where there is."""
    ids = sorted(life.world.agents.slots.keys()) or ["none"]
    return "none" if choice == 9 else ids[choice % len(ids)]


def _register(life: Life, a: int, b: int) -> None:
    ways: tuple[dict[str, object], ...] = (
        {},
        {"wake_command": "true"},
        {"wake_command": ("echo", "you")},
        {"pid": 50 + b, "pid_start": "1"},
        {"parent_id": "a", "meta": '{"m":1}'},
        {"wake_command": None, "pid": None},
    )
    life.register(NAMES[a % len(NAMES)], **ways[b % len(ways)])


def all_register(life: Life) -> None:
    """Let there be one of each kind of agent."""
    for place in range(len(NAMES)):
        _register(life, place, place)


def _tell(life: Life, a: int, b: int) -> None:
    life.tell((*Status, "idle", "idle", "busy", "busy")[b % 9], a_name(life, a), reason="rate_limit" if b % 2 else "")


def _report(life: Life, a: int, b: int) -> None:
    life.exhaust(AFTER_S[b % len(AFTER_S)], SOURCES[(a + b) % len(SOURCES)], a_name(life, a), force=b % 4 == 0)


def _slot(life: Life, a: int, b: int) -> None:
    kind = ("work", "work", "on_call")[a % 3]
    life.slot(AFTER_S[b % len(AFTER_S)], f"s{len(life.turns)}", a_name(life, a), type=kind, priority=b % 3)


def _slot_word(life: Life, a: int, b: int) -> None:
    slot_id = a_slot(life, a)
    agents = life.world.agents
    taken = [agent.slot_id for agent in agents.by_id.values() if agent.slot_id]
    due = [slot.slot_id for slot in agents.slots.values() if slot.state in ("offered", "waiting", "queued")]
    ways: tuple[Callable[[], ae.AgentWord], ...] = (
        lambda: ae.SlotTakeWanted(CLIENT, slot_id),
        lambda: ae.SlotTakeWanted(CLIENT, min(due, default=slot_id)),
        lambda: ae.SlotTakeWanted(CLIENT, slot_id, a_name(life, b)),
        lambda: ae.SlotFinishWanted(CLIENT, min(taken, default=slot_id)),
        lambda: ae.SlotFinishWanted(CLIENT, slot_id),
        lambda: ae.SlotCancelWanted(CLIENT, slot_id, "off"),
    )
    life.do(ways[b % len(ways)]())


def _seen_of(life: Life, a: int, b: int) -> None:
    """Let something be seen of agents that they did not say."""
    agents = life.world.agents
    woken = sorted(agents.waking.keys())
    name = woken[0] if woken and b % 4 == 0 else a_name(life, a)
    agent = agents.by_id.get(name)
    pid, start = (agent.said.pid, agent.said.pid_start) if agent else (None, None)
    waking = agent.waking if agent and agent.waking else "none"
    ways: tuple[ae.AgentEvent, ...] = (
        ae.WakeCommandEnded(SHELL, name, waking, ("", "exit status 1")[b % 2]),
        ae.AgentProcessEnded(SHELL, name, pid or 1, start or "1"),
        ae.AgentProcessEnded(SHELL, name, 1, "another"),
        ae.AgentsExpired(SHELL, NAMES),
        ae.AgentProcessUnwatched(SHELL, name, pid or 1, start or "1"),
    )
    life.do(ways[b % len(ways)])


def _beats(life: Life, a: int, b: int) -> None:
    """Let the agents go on beating, for some minutes: a quarter of them not."""
    for _ in range(1 + b % 4):
        for place, (_, name) in enumerate(list(life.world.agents.ids)):
            if (place + a) % 4:
                life.beat(name)
        life.advance(50.0)


WAYS: dict[str, tuple[Callable[[Life, int, int], object], int]] = {
    "register": (_register, 1),
    "beat": (lambda life, a, b: life.beat(a_name(life, a), _DOINGS[b % len(_DOINGS)]), 2),
    "beats": (_beats, 1),
    "tell": (_tell, 1),
    "report": (_report, 1),
    "slot": (_slot, 2),
    "slot_word": (_slot_word, 3),
    "seen_of": (_seen_of, 1),
    "forget": (lambda life, a, b: life.do(ae.AgentForgetWanted(CLIENT, a_name(life, a))) if b > 6 else None, 1),
}
