"""An upgrade while runs go on: what this process left to the next one, the next one is started for."""

from __future__ import annotations

import structlog

from torpor import wire
from torpord.core.world import World
from torpord.shell.installed import Installed
from torpord.shell.start_up import AGAIN, Ground

log = structlog.get_logger("torpord")


def reason_behind(ground: Ground, world: World, installed: Installed) -> str:
    """Return how a hibernation ends whose runs may wait for the version that is installed now: "hibernate", or AGAIN.

    With an inherited socket the service manager starts it, for the file that is left; else this process becomes it.
    Only for another version: else two installations, or one that is gone, would have it start for ever.
    """
    waiting = [run.run_id for run in world.runs.live.values() if run.awaits_start]
    if not waiting or not installed.is_replaced or installed.view()["version"] is None:
        return "hibernate"
    if ground.listener is None:
        ground.hand_on()
        return AGAIN
    try:
        (ground.options.home / wire.WAKE_SIGNAL_NAME).touch(mode=0o600)
    except OSError as error:  # then the next touch starts it
        log.warning("not_woken_for_runs", error=str(error), runs=waiting[:20])
    return "hibernate"
