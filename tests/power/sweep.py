"""Which moments of a recording are looked at, and which syncs are left out to see that the looks find it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from power.cuts import Looks, LostError, Moment, Recording, forget, moments
from power.promises import Promises

_NONE = "(?!)"  # matches nothing
# The paths (behind the recording's root) of which the sync is left out, and a word of what is then found. None of them
# is there for nothing. That of the file `stopped` is: the name alone says it.
NEEDED = {
    r".*/in": "the store is gone",  # the home's own name
    r".*/home": "the store is gone|a log without its store",
    r".*/torpor\.db-wal": "was answered|before it was durable",
    r".*/torpor\.db": "malformed|AssertionError",  # a checkpoint writes into it, and then uses its log anew
    r".*/tmp/lifecycle_state\.json": "JSONDecodeError|UnicodeDecodeError",
    r".*/wake\.d": "files are lost",
    r".*/tmp/\d+-.*\.json": "JSONDecodeError",  # a file of `wake.d/`, before it had that name
    r".*/backups": "the backup that was told of is not there",
    r".*/backups/draft": "malformed|not a database|AssertionError",
}


def some_of(recording: Recording, dice: Random, count: float) -> Iterator[Moment]:
    """Choose about so many moments of a recording, any."""
    for moment in moments(recording):
        if dice.random() < count / len(recording.ops):
            yield moment


def loss(recording: Recording, left_out: str = _NONE) -> str:
    """Look at what was synced whenever a promise was made, without such syncs; return the first loss, "" for none."""
    pattern = re.compile(left_out)
    looks, promised = Looks(recording.root), Promises().size()
    try:
        for moment in moments(recording, lambda path: pattern.fullmatch(path) is not None):
            if promised != (promised := moment.promises.size()):
                looks.look(moment, "what was synced", moment.disk.kept_what_was_synced())
    except LostError as error:
        forget(error)
        return str(error)
    return ""


def look_both(looks: Looks, moment: Moment, dice: Random) -> None:
    """Look at the least that a disk may have kept, and at some mixture. Raises LostError."""
    looks.look(moment, "what was synced", moment.disk.kept_what_was_synced())
    looks.look(moment, "some", moment.disk.kept_some(dice))


def not_found_out(recording: Recording) -> dict[str, str]:
    """Leave out each sync that is needed; return what was found where that was not what should have been."""
    found = {path: loss(recording, path) for path in NEEDED}
    return {path: told for path, told in found.items() if re.search(NEEDED[path], told) is None}
