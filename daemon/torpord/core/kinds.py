"""Every kind of record by its name, and how a line of the ledger becomes a record again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torpord.core import agent_records, run_records
from torpord.core.records import Record

__all__ = ["KINDS", "agent_records", "parse", "run_records"]


def _under(root: type[Record]) -> dict[str, type[Record]]:
    found = {root.kind: root} if root.kind else {}
    for cls in root.__subclasses__():
        found |= _under(cls)
    return found


KINDS: Mapping[str, type[Record]] = _under(Record)


def parse(kind: str, data: Mapping[str, Any]) -> Record:
    """Give a ledger line its record back. Raises KeyError for a kind this version does not know."""
    cls = KINDS[kind]
    names = {f.name.rstrip("_"): f.name for f in fields(cls) if f.name not in cls.unledgered}
    values = {names[key]: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return cls(**values)
