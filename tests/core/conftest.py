"""A life, and agents in it."""

from __future__ import annotations

import pytest

from core.life import Life, started
from core.some_agents import AgentLife


@pytest.fixture
def life() -> Life:
    return started()


@pytest.fixture
def it(life: Life) -> AgentLife:
    """An agent "a" that is online and idle."""
    agents = AgentLife(life)
    agents.register()
    return agents
