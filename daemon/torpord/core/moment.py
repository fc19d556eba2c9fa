"""Time as an argument: the three readings that everything in the core is told, and never asks for itself."""

from __future__ import annotations

from torpord.core.value import value


@value
class Now:
    """One reading of the machine's clocks, taken together.

    `awake_s`: seconds the machine was awake since some point in this boot. Suspend does not count and nobody can set
    it, so idle times, `ttl_s` and retries are measured on it.
    `wall_s`: seconds since the epoch, UTC. People set it and it jumps over a suspend, so what is due at a time of day
    follows it.
    `suspended_s`: seconds this boot has spent suspended, as far as the platform tells (0.0 where it does not).
    """

    awake_s: float
    wall_s: float
    suspended_s: float = 0.0
