"""Sending an event for good: over the socket where the daemon is up, into `wake.d/` and waking it where it is down."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, Literal

from torpor import calls, presence, spool, talk, wire
from torpor import home as homes
from torpor.deadline import Deadline
from torpor.errors import Down, Error, Refused
from torpor.link import Link

_LOOK_EVERY_S = 0.02
_SHOWN_CHARS = 80  # of a key that is none


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an event; in each case it is durable and will not be lost.

    `how` is "sent" (the daemon has applied it, and is in `state`), "queued" (it was left in `wake.d/`, and the daemon
    has taken it or been started, or `note` says why not: it is in safe mode, say) or "stopped" (it lies in `wake.d/`
    until somebody runs `torpor start`). `note` says the same in one line, for people.
    """

    how: Literal["sent", "queued", "stopped"]
    state: str | None
    note: str


def send(
    event: str = "request_arrived",
    *,
    key: str | None = None,
    home: str | os.PathLike[str] | None = None,
    timeout: float | None = 30.0,
) -> Delivery:
    """Send one of `torpor.wire.EVENTS` to the daemon of `home`, which need not be up.

    With `key` the event is applied once, however often it is sent, also across the two ways. `timeout` seconds are for
    all of it; where they end while the daemon is starting, the event is safe already and "queued" is the answer.
    Raises Refused for what is no event or a bad key, NotPermitted, Timeout, ProtocolError, BadHome, or Unreachable
    where the event could not even be left in `wake.d/`.
    """
    directory = homes.home_dir(home)
    place = talk.Place(directory, homes.socket_path(directory))
    deadline = Deadline(timeout)
    with contextlib.closing(Link(place)) as link:
        talker = talk.Talk(place, when_down="tell")
        try:
            reply: dict[str, Any] = link.run(talker, talker.ask(calls.event(event, key, None)), deadline)
        except Down:
            return _leave(place, event, key, deadline)
        except Refused as refusal:
            if refusal.name != "safe_mode":
                raise
            # It takes nothing in until it is mended: that is not the sender's trouble.
            _drop(place, event, key)
            doctor = homes.command("torpor doctor", place.home)
            return Delivery("queued", None, f"queued in {wire.SPOOL_NAME}: torpor is in safe mode: {doctor}")
    return Delivery("sent", reply["state"], f"sent: {reply['state']}")


def _leave(place: talk.Place, event: str, key: str | None, deadline: Deadline) -> Delivery:
    path = _drop(place, event, key)
    try:
        if _was_taken(place, path, deadline):
            return Delivery("queued", None, f"queued in {wire.SPOOL_NAME}: the daemon, which is up, has taken it")
    except TimeoutError:
        return Delivery("queued", None, f"queued in {wire.SPOOL_NAME}: a daemon is up, and has not taken it yet")
    if not presence.is_up(place.home) and presence.was_stopped(place.home, presence.last_known(place.home)):
        start = homes.command("torpor start", place.home)
        return Delivery("stopped", None, f"left in {wire.SPOOL_NAME}: torpor is stopped, run `{start}`")
    with contextlib.closing(Link(place)) as link:
        talker = talk.Talk(place)
        try:
            link.run(talker, talker.reach(), deadline)
        except Error as error:
            # Not the sender's trouble: the event is safe, and whoever starts the daemon next delivers it.
            return Delivery("queued", None, f"queued in {wire.SPOOL_NAME}, and the daemon did not come up: {error}")
    return Delivery("queued", None, f"queued in {wire.SPOOL_NAME}: the daemon is starting")


def _drop(place: talk.Place, event: str, key: str | None) -> str:
    """Leave the event in `wake.d/`, and return the path of its file. Raises as `send`."""
    _refuse_bad(event, key)
    return spool.drop(place.home, "event", {"event": event, "key": key or calls.new_key()})


def _was_taken(place: talk.Place, path: str, deadline: Deadline) -> bool:
    """Say whether a daemon that holds the lock takes the file, socket or no socket; False: it went, or was not there.

    The lock alone is no answer: a daemon that is about to go has looked into `wake.d/` for the last time.
    Raises the built-in TimeoutError.
    """
    while presence.is_up(place.home):
        if not os.path.exists(path):
            return True
        deadline.sleep(_LOOK_EVERY_S)
    return False


def _refuse_bad(event: str, key: str | None) -> None:
    """Refuse what the daemon would refuse: in `wake.d/` nobody could be told any more."""
    if event not in wire.EVENTS:
        raise Refused("invalid_params", f"{event!r} is no event: {', '.join(wire.EVENTS)}", {"field": "event"})
    if key is not None and not (1 <= len(key) <= wire.MAX_KEY_CHARS and key.isprintable()):
        wanted = f"a key has 1 to {wire.MAX_KEY_CHARS} characters, none of them a control character"
        raise Refused("invalid_params", f"{wanted}: {key[:_SHOWN_CHARS]!a} is none", {"field": "key"})
