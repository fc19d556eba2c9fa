"""What a state may return besides the next state's name (or the next state itself)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torpord.core import durations

# A state is named by its name, or by its function.
StateRef = str | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Complete:
    """The run is done. `result` is JSON, at most 1 MiB."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The step has failed, as if it had raised: it is tried again as often as the state's `retries` allow.

    What the attempt did to `run.data` is thrown away.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not yet: try this state again in `after` (seconds, or "30s"). No failure, and not counted against `retries`.

    What the attempt did to `run.data` is thrown away; to keep it, return the state itself.
    """

    after: float | str = 0.0

    @property
    def after_s(self) -> float:
        """The pause in seconds. Raises ValueError where `after` is no duration of up to a year."""
        try:
            return durations.seconds(self.after)
        except ValueError as error:
            text = f'Retry(after={self.after!r}): not a duration of up to a year, such as 30, "30s" or "5m"'
            raise ValueError(text) from error


@dataclass(frozen=True, slots=True)
class Parallel:
    """Go on in several branches at once, each a chain of states that ends by naming `join`; then go on there.

    Each branch works on a copy of the data. At the join what they changed is merged; the same key changed to different
    values by two of them is a failure that names both.
    """

    states: Sequence[StateRef]
    join: StateRef
