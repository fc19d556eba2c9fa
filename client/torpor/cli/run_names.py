"""Which run is meant: by its id, by the first characters of it, or as the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from torpor import home as homes
from torpor import presence
from torpor.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torpor.client import Client
    from torpor.run_replies import Run

T = TypeVar("T")

_LAST = "last"
_FEWEST_CHARS = 4
_SHOWN_CHARS = 80
_SHOWN_MATCHES = 3


def ask_of(client: Client, name: str, ask: Callable[[str], T]) -> T:
    """Return what `ask` answers for the run that `name` means. Raises Refused, and what `ask` raises.

    The name is first taken for the id itself: then a request needs nothing but itself, and starts a daemon that is
    down, as it should; only when there is no such id is the list looked through.
    """
    if name == _LAST and presence.is_up(client.home):  # a question that can only be refused is not asked
        return ask(_meant(client, name))
    try:
        return ask(name)
    except Refused as refusal:
        if refusal.name != "not_found" or refusal.data.get("field") not in (None, "run_id"):
            raise
        run_id = _meant(client, name)
        if run_id == name:  # it is there: something else was not found
            raise
    return ask(run_id)


def every(client: Client, *, status: str | None = None, flow: str | None = None) -> Iterator[Run]:
    """Yield all runs, the newest first."""
    cursor: str | None = None
    while True:
        page = client.run_list(status=status, flow=flow, cursor=cursor)
        yield from page["runs"]
        cursor = page["cursor"]
        if cursor is None:
            return


def _meant(client: Client, name: str) -> str:
    if name == _LAST:
        newest = next(every(client), None)
        if newest is None:
            begin = homes.command("torpor runs start FLOW", client.home)
            raise Refused("not_found", f"there are no runs yet: `{begin}` begins one")
        return newest["run_id"]
    shown = repr(name[:_SHOWN_CHARS])
    if len(name) < _FEWEST_CHARS:
        raise Refused("not_found", f"there is no run {shown}: write {_FEWEST_CHARS} or more characters of its id")
    found = [run["run_id"] for run in every(client) if run["run_id"].startswith(name)]
    if not found:
        list_all = homes.command("torpor runs", client.home)
        raise Refused("not_found", f"there is no run whose id begins with {shown}: `{list_all}` lists them")
    if len(found) > 1:
        first = ", ".join(found[:_SHOWN_MATCHES]) + (", ..." if len(found) > _SHOWN_MATCHES else "")
        raise Refused("invalid_params", f"{len(found)} runs begin with {shown}: {first}: write more of the id")
    return found[0]
