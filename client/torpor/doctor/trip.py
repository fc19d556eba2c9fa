"""A trip of `torpor doctor wake-test`: down into hibernation, and the wait for whoever comes back.

Who waits does not connect, as that alone would wake it: the lock and `lifecycle_state.json` tell.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from torpor import errors, presence, wire
from torpor import home as homes
from torpor.client import Client
from torpor.deadline import Deadline
from torpor.doctor import units
from torpor.service import look, systemd

if TYPE_CHECKING:
    from torpor.replies import Status, Why

DOWN_S = 60.0
_SETTLED_S = 5.0
_LOOK_EVERY_S = 0.01
_ASK_EVERY_S = 0.05
# Reasons of `why` that say nothing against going down: it was used a moment ago, perhaps by this very test.
_NO_NEED = ("activity", "grace", "wish", "condition", "unreadable")


class NotNow(errors.Error):
    """Somebody needs the daemon, or it cannot go down: nothing was forced."""


class TooLate(Exception):  # noqa: N818 - no error: the moment that it was to be down by has come
    """It was still up when it was to be down."""


def needs(status: Status, why: Why | None) -> list[str]:
    """Say who needs the daemon, and what keeps it from going down; empty: it may go."""
    if status["safe_mode"] or why is None:
        return [f"it is in safe mode: {homes.command('torpor doctor', status['home'])}"]
    if status["shadow_run"]:
        return ["shadow_run is set: it never goes down"]
    reasons = [*why["awake_because"], *why["not_yet_because"]]
    return [_told(each) for each in reasons if each["kind"] not in _NO_NEED]


def _told(reason: Any) -> str:
    return f"{reason.get('who')}: {reason.get('why')}"


def down(home: str, *, by_wall_s: float | None = None) -> int:
    """Send it to hibernation, and return its generation once it is gone, and its service manager has seen that.

    Raises NotNow with what is in the way; TooLate where it is still up at `by_wall_s`, whatever that is.
    """
    limit_s = DOWN_S if by_wall_s is None else max(0.0, min(DOWN_S, by_wall_s - time.time()))
    deadline = Deadline(limit_s)
    with Client(home) as client:
        generation = client.status()["generation"]
        waiting = client.hibernate(now=True)["waiting_for"]
        if waiting:
            client.event("wake_signal")  # takes the wish back
            raise NotNow("; ".join(_told(each) for each in waiting))
    try:
        while not _is_down_in(home, generation):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        blocked = _stay(home)
        if by_wall_s is not None:
            raise TooLate from None
        raise NotNow(f"it did not go down within {DOWN_S:g} s: {blocked}") from None
    _settle(home)
    return generation


def _is_down_in(home: str, generation: int) -> bool:
    """Say whether that life is over. Raises NotNow where it ended otherwise than in hibernation."""
    if presence.is_up(home):
        return False
    known = presence.last_known(home) or {}
    if known.get("generation") != generation:
        return True  # somebody was quicker than the look: the wait for the next one finds it
    if presence.was_stopped(home, known) or known.get("reason") == "signal":
        raise NotNow("somebody stopped it meanwhile")
    # It says goodbye there before it lets go of the lock.
    if known.get("pid") is not None:
        raise NotNow("it died on its way down, without a word")
    return True


def _stay(home: str) -> str:
    """Take the wish to go down back, and say what stood in its way."""
    try:
        with Client(home) as client:
            why = client.why()
            client.event("wake_signal")
            reasons = [*why["awake_because"], *why["not_yet_because"]]
            return "; ".join(_told(each) for each in reasons) or "it does not say why (`torpor why`)"
    except errors.Error as error:
        return str(error)


def _settle(home: str) -> None:
    """Wait until the service manager has seen the end, where it can be asked: what comes next is then a start alone."""
    try:
        place = look.at(units.place_of(home))
    except errors.Error:
        return
    if place.manager == "launchd" or not systemd.is_here():
        return
    deadline = Deadline(_SETTLED_S)
    try:
        while True:
            shown = systemd.show(place, place.files[:1], ("ActiveState",))
            if shown.problem or shown.of(place.files[0], "ActiveState") in ("inactive", "failed", ""):
                return
            deadline.sleep(_ASK_EVERY_S)
    except TimeoutError:
        return  # whoever comes is started behind that end


def back(home: str, generation: int, limit_s: float) -> bool:
    """Wait for the next life after `generation`, without waking it; False where none has come within `limit_s`."""
    deadline = Deadline(limit_s)
    try:
        while not _is_another(home, generation):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return False
    return True


def _is_another(home: str, generation: int) -> bool:
    known = presence.last_known(home) or {}
    found = known.get("generation")
    return isinstance(found, int) and found > generation


def least_up_s(client: Client) -> float:
    """Return how much longer this process stays up whatever is asked of it: `min_up` from its start on."""
    status = client.status()
    begun = client.log(after=max(0, status["ledger_seq"] - 500), kinds=["started"])["records"]
    least = begun[-1]["data"].get("policy", {}).get("min_up_s", 5.0) if begun else 5.0
    return max(0.0, float(least) - status["uptime_s"])


def wall_s(ts: str) -> float:
    """Return a time of the wire in seconds since 1970."""
    return datetime.fromisoformat(ts).timestamp()


def touch(home: str) -> str:
    """Leave a `wake.signal`, and return its path. Raises OSError."""
    path = os.path.join(home, wire.WAKE_SIGNAL_NAME)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    return path
