"""Which agent is meant, and how it is named where there is little room.

A harness calls its agents by ids that a machine made, `claude-code:` and 36 characters. They are shown as git shows its
own: as many characters as tell them apart. A name that is typed may be such a beginning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from torpor import home as homes
from torpor.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torpor.agent_replies import Agent
    from torpor.client import Client

T = TypeVar("T")

_FEWEST_CHARS = 4  # of a machine's id
_SHOWN_CHARS = range(8, 36)  # of a UUID, as many as are needed
_SHOWN_MATCHES = 3
_MACHINE_MADE = re.compile(r"(.*:)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(/.*)?", re.DOTALL)


def short(agent_ids: Iterable[str]) -> dict[str, str]:
    """Return what each agent is called in a table: its id, one with a UUID as far as tells it from the others."""
    shown: dict[str, str] = {}
    left = dict.fromkeys(agent_ids)
    for chars in _SHOWN_CHARS:
        if not left:
            break
        by_form: dict[str, list[str]] = {}
        for agent_id in left:
            by_form.setdefault(_cut(agent_id, chars), []).append(agent_id)
        shown |= {ids[0]: form for form, ids in by_form.items() if len(ids) == 1}
        left = dict.fromkeys(agent_id for ids in by_form.values() if len(ids) > 1 for agent_id in ids)
    return shown | {agent_id: agent_id for agent_id in left}


def _cut(agent_id: str, chars: int) -> str:
    found = _MACHINE_MADE.fullmatch(agent_id)
    if found is None:
        return agent_id
    of_harness, uuid, below = found[1] or "", found[2], found[3] or ""
    return of_harness + uuid[:chars].rstrip("-") + below[: 1 + chars]


def every(client: Client, status: str | None = None) -> Iterator[Agent]:
    """Yield all agents by name; `exhausted`: also those that are offline besides."""
    asked: dict[str, Any] = {"exhausted": True} if status == "exhausted" else {"status": status}
    cursor: str | None = None
    while True:
        try:
            page = client.agent_list(**asked, cursor=cursor, limit=1000)
        except Refused as refusal:
            if refusal.data.get("field") != "exhausted":
                raise
            asked = {}  # a daemon from before there was that parameter
            continue
        yield from (each for each in page["agents"] if status != "exhausted" or each["recovery_at"])
        cursor = page["cursor"]
        if cursor is None:
            return


def ask_of(client: Client, name: str, ask: Callable[[str], T]) -> T:
    """Return what `ask` answers for the agent that is meant. Raises Refused, and what `ask` raises.

    The name is first taken as it stands; only where nobody has it, for the beginning of one.
    """
    try:
        return ask(name)
    except Refused as refusal:
        if refusal.name != "not_found":
            raise
    found = _beginning(client, name)
    if not found:
        list_all = homes.command("torpor agent ls --all", client.home)
        raise Refused("not_found", f"there is no agent {name[:80]!r}: `{list_all}` lists them")
    return ask(_only(name, found))


def say_of(client: Client, name: str, say: Callable[[str], T]) -> T:
    """Do so for a word that makes its agent known where nobody is meant.

    A new name is not taken for another's: `worker-1` is not short for `worker-10`, nor `build` for `build-2`. Short for
    one are the beginning of a machine's id, and a part of a word.
    """
    try:
        return say(name)
    except Refused as refusal:
        if refusal.name != "not_found":
            raise
    found = [each for each in _beginning(client, name) if _is_short_for(name, each)]
    if found:
        register = homes.command("torpor agent register NAME", client.home)
        return say(_only(name, found, f", or `{register}` makes known one of just that name"))
    client.agent_register(name)
    return say(name)


def meant(client: Client, name: str, *, is_new: bool = False) -> str:
    """Return the id of the agent that is meant; the name itself where nobody is, as of one that was forgotten.

    `is_new`: it may well be one that is not known yet, as in `say_of`.
    """
    found = [each for each in _beginning(client, name) if not is_new or each == name or _is_short_for(name, each)]
    return name if name in found or not found else _only(name, found)


def _beginning(client: Client, name: str) -> list[str]:
    """Return the ids that `name` may be short for; those with as many parts, where there are such."""
    ids = [agent["agent_id"] for agent in every(client)]
    parts = name.split("/")
    exact = [each for each in ids if _each_begins(each.split("/"), parts)]
    return exact or [each for each in ids if each.startswith(name)]


def _each_begins(whole: list[str], parts: list[str]) -> bool:
    return len(whole) == len(parts) and all(each.startswith(part) for each, part in zip(whole, parts, strict=True))


def _is_short_for(name: str, agent_id: str) -> bool:
    machine_made = _MACHINE_MADE.fullmatch(agent_id)
    if machine_made is not None:
        return len(name) >= machine_made.start(2) + _FEWEST_CHARS
    return len(name) >= _FEWEST_CHARS and name[-1].isalpha() and agent_id[len(name) : len(name) + 1].isalpha()


def _only(name: str, found: list[str], hint: str = "") -> str:
    if len(found) == 1:
        return found[0]
    first = ", ".join(found[:_SHOWN_MATCHES]) + (", ..." if len(found) > _SHOWN_MATCHES else "")
    told = f"{len(found)} agents begin with {name[:80]!r}: {first}: write more of the name{hint}"
    raise Refused("invalid_params", told)


def folder(meta: object) -> str:
    """Return the last part of the folder that an agent works in, as its `meta` tells; "" where it does not."""
    cwd = meta.get("cwd") if isinstance(meta, dict) else None
    return cwd.rstrip("/").rpartition("/")[2] if isinstance(cwd, str) else ""


def has_folder(agent: Mapping[str, object]) -> bool:
    """Say whether an agent may have told its folder: those of a harness do."""
    return _MACHINE_MADE.fullmatch(str(agent["agent_id"])) is not None
