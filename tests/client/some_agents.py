"""Agents and slots as the daemon tells of them, for the tests to say only what they are about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from client.fake_daemon import RESULTS, Visitor


def ts(from_now_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=from_now_s)).isoformat(timespec="milliseconds")


def agent(agent_id: str, status: str = "idle", since_s: float = 60.0, **more: Any) -> dict[str, Any]:
    doing = status if status in ("busy", "on_call") else "idle"
    back_ts = ts(600) if status == "exhausted" else None
    return {"agent_id": agent_id, "status": status, "since_ts": ts(-since_s), "online": status != "offline",
            "doing": doing, "seen_ts": ts(-1), "source": "torpor", "exhausted_at": None, "exhaust_reason": None,
            "recovery_at": back_ts, "recovery_source": None, "parent_id": None, "pid": None, "slot_id": None,
            "slots": 0, "next_slot_ts": None, "holds": [], "quiet": False, **more}  # fmt: skip


def slot(
    slot_id: str, agent_id: str = "codex", status: str = "planned", due_s: float = 0.0, **more: Any
) -> dict[str, Any]:
    return {"slot_id": slot_id, "agent_id": agent_id, "type": "work", "at": ts(due_s), "due_ts": ts(due_s),
            "duration_s": None, "priority": 0, "payload": None, "status": status, "offers": 0,
            "offered_again_ts": None, "taken_ts": None, "armed": False, **more}  # fmt: skip


def word(agent_id: str, status: str = "idle", **more: Any) -> dict[str, Any]:
    return {"agent_id": agent_id, "status": status, "changed": True, "slots": [], "due": 0, "seq": 9, **more}


class Room:
    """A daemon that knows these agents and slots: a scene for any number of connections.

    `refused`: method to what it is refused with. `a_page`: of the lists; those of agents look at so many, as the
    daemon does, and so may be empty.
    """

    def __init__(self, *agents: dict[str, Any], slots: list[dict[str, Any]] | None = None, a_page: int = 100) -> None:
        self.agents = {each["agent_id"]: each for each in agents}
        self.slots = slots or []
        self.holds: list[dict[str, Any]] = []
        self.refused: dict[str, tuple[str, dict[str, Any]]] = {}
        self.wakes_ts: str | None = None
        self.a_page = a_page

    def __call__(self, visitor: Visitor) -> None:
        while True:
            self.answer(visitor, visitor.request())

    def answer(self, visitor: Visitor, request: dict[str, Any]) -> None:
        method, params = request["method"], request["params"]
        if method in self.refused:
            name, data = self.refused[method]
            visitor.refuse(request["id"], name, **data)
        elif self._is_unknown(method, params):
            visitor.refuse(request["id"], "not_found", agent_id=params.get("agent_id"))
        else:
            visitor.answer(request, self._result(method, params))

    def _is_unknown(self, method: str, params: dict[str, Any]) -> bool:
        if "slot_id" in params:
            return params["slot_id"] not in [each["slot_id"] for each in self.slots]
        named = method.startswith("agent.") or method == "slot.add"
        return named and method not in ("agent.register", "agent.list") and params["agent_id"] not in self.agents

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "agent.register":
                self.agents[params["agent_id"]] = agent(params["agent_id"])
                return {**word(params["agent_id"]), "heartbeat_s": 40.0}
            case "agent.heartbeat":
                is_out = self.agents[params["agent_id"]]["recovery_at"] is not None
                return word(params["agent_id"], "exhausted" if is_out else params.get("doing", "idle"))
            case "agent.transition":
                until = {"recovery_at": ts(600), "recovery_source": "estimated"} if params["to"] == "exhausted" else {}
                return word(params["agent_id"], params["to"], **until)
            case "agent.get":
                of = [each for each in self.slots if each["agent_id"] == params["agent_id"]]
                found = {**self.agents[params["agent_id"]], "wake_command": None, "meta": None, "slots": of}
                return {"agent": found | self.agents[params["agent_id"]] | {"slots": of}}
            case "agent.list" if params.get("exhausted"):
                out = [each for each in self.agents.values() if each["recovery_at"] is not None]
                return self._page("agents", out, params, "status")
            case "agent.list":
                return self._page("agents", list(self.agents.values()), params, "status")
            case "slot.list":
                return self._page("slots", self.slots, params, "agent_id")
            case "hold.list":
                return {"holds": self.holds, "cursor": None}
            case "agent.forget":
                return {"agent_id": params["agent_id"], "forgotten": True}
            case "slot.add":
                at = datetime.fromisoformat(params["at"])
                return {"slot_id": "57279a8941a3a528", "due_ts": at.isoformat(), "armed": False, "status": "planned"}
            case "slot.take":
                return {**word("codex", "busy"), "slot": slot(params["slot_id"], status="taken")}
            case "slot.finish":
                return word("codex")
            case "slot.cancel":
                return {"slot_id": params["slot_id"], "cancelled": True}
            case "wait":
                return {"agent_id": params["agent_id"], "status": params["status"], "seq": 9}
            case "status":
                return {
                    **RESULTS["status"],
                    "agents": self._counts(),
                    "recovering": self._recovering(),
                    "holds": self.holds,
                    "next_wake_ts": self.wakes_ts,
                }
            case _:
                return RESULTS[method]

    def _counts(self) -> dict[str, int]:
        said = [each["status"] for each in self.agents.values()]
        return {status: said.count(status) for status in ("offline", "exhausted", "busy", "on_call", "idle")}

    def _recovering(self) -> dict[str, Any]:
        times = sorted(each["recovery_at"] for each in self.agents.values() if each["recovery_at"] is not None)
        return {"count": len(times), "next_ts": times[0] if times else None}

    def _page(self, name: str, all_of: list[dict[str, Any]], params: dict[str, Any], by: str) -> dict[str, Any]:
        begin = int(params.get("cursor", 0))
        end = begin + min(self.a_page, params.get("limit", self.a_page))
        found = [each for each in all_of[begin:end] if params.get(by) in (None, each[by])]
        return {name: found, "cursor": str(end) if end < len(all_of) else None}
