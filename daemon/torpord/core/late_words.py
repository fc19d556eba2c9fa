"""Words that were left in a file of `wake.d/` and are heard later than they were said: what of them is news still.

A daemon may be down for a night. What was said before it is heard in the morning, perhaps after what is said then.
`said_ts` is when a word was said, by the wall clock; None for one that was heard at once.
"""

from __future__ import annotations

from torpord.core.agents import Agent
from torpord.core.draft import Draft


def is_late(draft: Draft, said_ts: float | None) -> bool:
    """Whether who said this would have gone offline since, had nothing else been heard of it: it is no presence."""
    return said_ts is not None and draft.now.wall_s - said_ts > draft.world.policy.heartbeat_timeout_s


def is_overtaken(draft: Draft, agent: Agent, said_ts: float | None) -> bool:
    """Whether more is known of an agent than when it said this: then this ends nothing.

    It was said before the quota was known to be used up, or it is late and something was heard of the agent since. Not
    so where it is not late: words that are left and words that are sent may cross by moments.
    """
    if said_ts is None:
        return False
    if agent.exhaustion is not None and said_ts < agent.exhaustion.at_ts:
        return True
    return is_late(draft, said_ts) and said_ts < draft.world.agents.seen[agent.agent_id].wall_s
