"""`torpor.toml`: read, checked, and turned into values to work by. Others use these names alone."""

from torpord.config.settings import KEYS, Settings, changed, load
from torpord.config.values import Command

__all__ = ["KEYS", "Command", "Settings", "changed", "load"]
