"""The methods of agents and slots, which both clients have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from torpor import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from datetime import datetime
    from types import EllipsisType

    from torpor import agent_replies, talk

    Steps = Callable[[talk.Talk], Generator[talk.Step, Any, Any]]

R = TypeVar("R")

# What the daemon gets to answer that a `wait` ran out, before the client stops waiting for that.
WAIT_GRACE_S = 2.0


class AgentMethods:
    """The methods of agents and slots of the blocking client."""

    def agent_register(
        self,
        agent_id: str,
        *,
        parent_id: str | EllipsisType | None = ...,
        pid: int | EllipsisType | None = ...,
        wake_command: str | Sequence[str] | EllipsisType | None = ...,
        meta: Any = ...,
    ) -> agent_replies.Registered:
        """Make an agent known, and say that it is there; where it is known, change what is given.

        `pid`: its process, whose end ends its presence at once. `wake_command`: what is run when a slot of it is due
        and it is not there, for a shell or as a list of arguments. `meta`: JSON for your own use. None takes away.
        """
        call = calls.agent_register(agent_id, parent_id=parent_id, pid=pid, wake_command=wake_command, meta=meta)
        return self._ask(call)

    def agent_heartbeat(self, agent_id: str, doing: str | None = None) -> agent_replies.Word:
        """Say that an agent is there, and what it is doing; returns the slots that are due for it.

        One that is doing nothing, or does not say, starts no daemon: Down.
        """
        return self._ask(calls.agent_heartbeat(agent_id, doing))

    def agent_transition(
        self,
        agent_id: str,
        to: str,
        *,
        reason: str | None = None,
        recovery_at: str | datetime | None = None,
        retry_after: float | str | None = None,
        headers: Mapping[str, str | float] | None = None,
        message: str | None = None,
        force: bool = False,
    ) -> agent_replies.Word:
        """Say what an agent is now: one of `torpor.wire.AGENT_TARGETS`. "offline" starts no daemon: Down.

        With "exhausted", `reason` is "rate_limit" or "billing", and until when is told by the first that is given of
        `recovery_at` (ISO 8601 with offset), `retry_after` (seconds or an HTTP date), the provider's `headers` and its
        `message`; without any it is estimated. `force`: also where that is earlier than what is known.
        """
        call = calls.agent_transition(
            agent_id,
            to,
            reason=reason,
            recovery_at=recovery_at,
            retry_after=retry_after,
            headers=headers,
            message=message,
            force=force,
        )
        return self._ask(call)

    def agent_get(self, agent_id: str) -> agent_replies.WholeAgentIs:
        """Return all that is known of an agent."""
        return self._ask(calls.agent_get(agent_id))

    def agent_list(
        self,
        *,
        status: str | None = None,
        exhausted: bool = False,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> agent_replies.Agents:
        """Return agents by name: a page, which may be empty, then the one after its `cursor`.

        `exhausted`: only those whose quota is used up, also where they are offline.
        """
        return self._ask(calls.agent_list(status, cursor, limit, exhausted=exhausted))

    def agent_forget(self, agent_id: str) -> agent_replies.Forgotten:
        """Forget an agent, and cancel its slots."""
        return self._ask(calls.agent_forget(agent_id))

    def wait_agent(self, agent_id: str, status: str, *, timeout_s: float | None = None) -> agent_replies.WaitedAgent:
        """Return as soon as an agent is in `status`; Timeout after `timeout_s`.

        Refused `not_found` where it is not known, or forgotten meanwhile. A daemon that is down is Down.
        """
        limit_s = None if timeout_s is None else timeout_s + WAIT_GRACE_S
        call = calls.wait_agent(agent_id, status, timeout_s)
        reply: agent_replies.WaitedAgent = self._aside(lambda fresh: fresh.ask(call), limit_s)
        return reply

    def slot_add(
        self,
        agent_id: str,
        type: str,  # noqa: A002 - the wire's name
        at: str | datetime,
        *,
        duration_s: float | None = None,
        priority: int | None = None,
        payload: Any = None,
        key: str | None = None,
    ) -> agent_replies.SlotAdded:
        """Plan work for an agent: "work" or "on_call", at a time with offset; one that has passed is due at once.

        Of several that are due the one with the highest `priority` is offered first. `payload`: JSON for the agent,
        up to 16 KiB. With `key` it is added once, however often asked.
        """
        call = calls.slot_add(agent_id, type, at, duration_s=duration_s, priority=priority, payload=payload, key=key)
        return self._ask(call)

    def slot_take(self, slot_id: str, *, agent_id: str | None = None) -> agent_replies.SlotTaken:
        """Take a slot that is due: one takes it, and every other is Refused `conflict`."""
        return self._ask(calls.slot_take(slot_id, agent_id))

    def slot_finish(self, slot_id: str) -> agent_replies.Word:
        """End a slot that was taken; returns those that are due now."""
        return self._ask(calls.slot_finish(slot_id))

    def slot_cancel(self, slot_id: str, *, reason: str | None = None) -> agent_replies.SlotCancelled:
        """Take a slot back, whatever has become of it."""
        return self._ask(calls.slot_cancel(slot_id, reason))

    def slot_list(
        self,
        *,
        agent_id: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> agent_replies.Slots:
        """Return slots: a page, then the one after its `cursor`."""
        return self._ask(calls.slot_list(agent_id, status, cursor, limit))

    def _ask(self, call: calls.Call[R]) -> R:
        raise NotImplementedError

    def _aside(self, steps_of: Steps, timeout_s: float | None) -> Any:
        raise NotImplementedError


class AsyncAgentMethods:
    """The methods of agents and slots of the client for asyncio, to be awaited."""

    async def agent_register(
        self,
        agent_id: str,
        *,
        parent_id: str | EllipsisType | None = ...,
        pid: int | EllipsisType | None = ...,
        wake_command: str | Sequence[str] | EllipsisType | None = ...,
        meta: Any = ...,
    ) -> agent_replies.Registered:
        """Make an agent known, and say that it is there; where it is known, change what is given.

        `pid`: its process, whose end ends its presence at once. `wake_command`: what is run when a slot of it is due
        and it is not there, for a shell or as a list of arguments. `meta`: JSON for your own use. None takes away.
        """
        call = calls.agent_register(agent_id, parent_id=parent_id, pid=pid, wake_command=wake_command, meta=meta)
        return await self._ask(call)

    async def agent_heartbeat(self, agent_id: str, doing: str | None = None) -> agent_replies.Word:
        """Say that an agent is there, and what it is doing; returns the slots that are due for it.

        One that is doing nothing, or does not say, starts no daemon: Down.
        """
        return await self._ask(calls.agent_heartbeat(agent_id, doing))

    async def agent_transition(
        self,
        agent_id: str,
        to: str,
        *,
        reason: str | None = None,
        recovery_at: str | datetime | None = None,
        retry_after: float | str | None = None,
        headers: Mapping[str, str | float] | None = None,
        message: str | None = None,
        force: bool = False,
    ) -> agent_replies.Word:
        """Say what an agent is now: one of `torpor.wire.AGENT_TARGETS`. "offline" starts no daemon: Down.

        With "exhausted", `reason` is "rate_limit" or "billing", and until when is told by the first that is given of
        `recovery_at` (ISO 8601 with offset), `retry_after` (seconds or an HTTP date), the provider's `headers` and its
        `message`; without any it is estimated. `force`: also where that is earlier than what is known.
        """
        call = calls.agent_transition(
            agent_id,
            to,
            reason=reason,
            recovery_at=recovery_at,
            retry_after=retry_after,
            headers=headers,
            message=message,
            force=force,
        )
        return await self._ask(call)

    async def agent_get(self, agent_id: str) -> agent_replies.WholeAgentIs:
        """Return all that is known of an agent."""
        return await self._ask(calls.agent_get(agent_id))

    async def agent_list(
        self,
        *,
        status: str | None = None,
        exhausted: bool = False,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> agent_replies.Agents:
        """Return agents by name: a page, which may be empty, then the one after its `cursor`.

        `exhausted`: only those whose quota is used up, also where they are offline.
        """
        return await self._ask(calls.agent_list(status, cursor, limit, exhausted=exhausted))

    async def agent_forget(self, agent_id: str) -> agent_replies.Forgotten:
        """Forget an agent, and cancel its slots."""
        return await self._ask(calls.agent_forget(agent_id))

    async def wait_agent(
        self, agent_id: str, status: str, *, timeout_s: float | None = None
    ) -> agent_replies.WaitedAgent:
        """Return as soon as an agent is in `status`; Timeout after `timeout_s`.

        Refused `not_found` where it is not known, or forgotten meanwhile. A daemon that is down is Down.
        """
        limit_s = None if timeout_s is None else timeout_s + WAIT_GRACE_S
        call = calls.wait_agent(agent_id, status, timeout_s)
        reply: agent_replies.WaitedAgent = await self._aside(lambda fresh: fresh.ask(call), limit_s)
        return reply

    async def slot_add(
        self,
        agent_id: str,
        type: str,  # noqa: A002 - the wire's name
        at: str | datetime,
        *,
        duration_s: float | None = None,
        priority: int | None = None,
        payload: Any = None,
        key: str | None = None,
    ) -> agent_replies.SlotAdded:
        """Plan work for an agent: "work" or "on_call", at a time with offset; one that has passed is due at once.

        Of several that are due the one with the highest `priority` is offered first. `payload`: JSON for the agent,
        up to 16 KiB. With `key` it is added once, however often asked.
        """
        call = calls.slot_add(agent_id, type, at, duration_s=duration_s, priority=priority, payload=payload, key=key)
        return await self._ask(call)

    async def slot_take(self, slot_id: str, *, agent_id: str | None = None) -> agent_replies.SlotTaken:
        """Take a slot that is due: one takes it, and every other is Refused `conflict`."""
        return await self._ask(calls.slot_take(slot_id, agent_id))

    async def slot_finish(self, slot_id: str) -> agent_replies.Word:
        """End a slot that was taken; returns those that are due now."""
        return await self._ask(calls.slot_finish(slot_id))

    async def slot_cancel(self, slot_id: str, *, reason: str | None = None) -> agent_replies.SlotCancelled:
        """Take a slot back, whatever has become of it."""
        return await self._ask(calls.slot_cancel(slot_id, reason))

    async def slot_list(
        self,
        *,
        agent_id: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> agent_replies.Slots:
        """Return slots: a page, then the one after its `cursor`."""
        return await self._ask(calls.slot_list(agent_id, status, cursor, limit))

    async def _ask(self, call: calls.Call[R]) -> R:
        raise NotImplementedError

    async def _aside(self, steps_of: Steps, timeout_s: float | None) -> Any:
        raise NotImplementedError
