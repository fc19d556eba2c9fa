"""The parts of a world as the store has them: all of it comes back, and what an earlier version wrote is read."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from core.life import POLICY, Life, at, started
from store.living import a_store, assert_stored, store_of
from torpord.core.cycle_history import Cycle
from torpord.core.lifecycle import State
from torpord.core.planned_history import Planned, Ways
from torpord.core.world import World
from torpord.store.codec import PARTS

# Fields that a part has got since 0.1.0 was first stored, by part; all of a part that was not there.
SINCE = {
    "process": ("timer", "manager", "unit"),
    "cycle": ("others", "upkept"),
    "planned": tuple(Planned.__dataclass_fields__),
    "ways": tuple(Ways.__dataclass_fields__),
}


def everything() -> Life:
    """Live a life in which each of these fields says something."""
    life = at(State.DROWSY, replace(POLICY, sleep_flow="chain"))
    life.pass_("sleep_due")
    life.cycle_completes()
    life.step_fails()
    life.start(cause="connect", timer="systemd-user", manager="systemd-user", unit="torpord-work", wake_file=True)
    life.pass_("arm_due")
    life.arms("no runtime directory")
    life.register()
    life.slot(6_000.0)
    life.pass_("arm_due")
    return life


def test_all_of_a_world_comes_back() -> None:
    life = everything()
    for part, names in SINCE.items():
        had = getattr(life.world, part)
        said = {name for name in names if getattr(had, name) != getattr(type(had)(), name)}
        assert said | {"armed_ts"} >= set(names), (part, said)
    with a_store() as store:
        assert_stored(store_of(store, life), life.world)
    life.arms()
    assert life.world.planned.armed_ts is not None
    with a_store() as store:
        assert_stored(store_of(store, life), life.world)


def test_what_an_earlier_version_wrote_is_read_as_it_was() -> None:
    life = started()
    with a_store() as store:
        store_of(store, life)
        for part, names in SINCE.items():
            (body,) = store.connection.execute("SELECT body FROM world WHERE part = ?", (part,)).fetchone()
            kept = {name: value for name, value in orjson.loads(body).items() if name not in names}
            store.connection.execute("UPDATE world SET body = ? WHERE part = ?", (orjson.dumps(kept).decode(), part))
        store.connection.execute("DELETE FROM world WHERE part IN ('planned', 'ways')")
        found = store.load()
    assert found.planned == Planned()
    assert found.ways == Ways()
    assert (found.process.timer, found.process.manager, found.process.unit) == ("", "", "")
    assert found.cycle == Cycle(phase=life.world.cycle.phase)
    assert found.lifecycle == life.world.lifecycle


@pytest.mark.parametrize("part", sorted(PARTS))
def test_every_part_is_a_document(part: str) -> None:
    assert orjson.loads(orjson.dumps(getattr(World(), part))) is not None
