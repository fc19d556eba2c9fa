"""`client/PROTOCOL.md` lists what the code has, no more and no less."""

from __future__ import annotations

import pathlib
import re

import pytest

from torpor import wire
from torpord.control.methods import ROWS
from torpord.core.kinds import KINDS

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "client/PROTOCOL.md").read_text()


def _table(first_header: str) -> dict[str, list[str]]:
    """Return the tables whose first column has this header, as rows by the name they begin with."""
    rows: dict[str, list[str]] = {}
    within = False
    for text in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", text)[1:-1]]
        if not text.startswith("|"):
            within = False
        elif cells[0] == first_header:
            within = True
        elif within and (name := re.match(r"`([^`]+)`", cells[0])):
            assert name[1] not in rows, f"{name[1]} stands twice in the table of each {first_header}"
            rows[name[1]] = cells[1:]
    assert rows, f"the page has no table of each {first_header}"
    return rows


def test_every_method_is_there_and_no_other() -> None:
    assert list(_table("method")) == [row.name for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_method_has_the_params_of_the_code(row: object) -> None:
    assert isinstance(row, type(ROWS[0]))
    cells = _table("method")[row.name]
    # What stands in brackets describes the parameter before it.
    named = re.findall(r"`([a-z_]+\??)`", re.sub(r"\([^)]*\)", "", cells[0]))
    assert named == [name if param.required else f"{name}?" for name, param in row.params.items()]
    assert cells[1] == ("changing" if row.change else "looking")


def test_every_error_is_there_with_its_number() -> None:
    assert {name: int(cells[0]) for name, cells in _table("name").items()} == wire.ERROR_CODES


def test_no_number_is_given_twice() -> None:
    assert len(set(wire.ERROR_CODES.values())) == len(wire.ERROR_CODES)


def test_every_limit_is_there_with_its_value() -> None:
    assert {name: int(cells[0]) for name, cells in _table("limit").items()} == wire.LIMITS


def test_every_kind_is_there_and_no_other() -> None:
    assert set(_table("kind")) == {kind for kind, record in KINDS.items() if record.ledgered}


@pytest.mark.parametrize("kind", [kind for kind, record in KINDS.items() if record.ledgered])
def test_a_kinds_fields_are_fields_of_the_code(kind: str) -> None:
    text = _table("kind")[kind][0]
    fields = {name.rstrip("_") for name in KINDS[kind].__dataclass_fields__}
    # What stands in brackets, or behind a field and a colon, are its values: "`how`: `stop` or `signal`".
    names = re.sub(r"(`[a-z_]+`): .*", r"\1", re.sub(r"\([^)]*\)", "", text))
    assert set(re.findall(r"`([a-z_]+)`", names)) <= fields | {"wake_signal"}


def test_every_event_is_there_and_no_other() -> None:
    assert set(_table("event")) == set(wire.EVENTS)


def test_it_is_the_page_of_this_protocol() -> None:
    assert PAGE.startswith(f"# The torpor protocol, version {wire.PROTOCOL}\n")
