"""How a daemon is come by: three kinds of sockets, and what starts the next daemon at each."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon_process import START_LIMIT_S, end_all
from process import handed
from torpor import presence, wake
from torpor.deadline import Deadline
from torpor.talk import Place


@dataclass(frozen=True, slots=True)
class Door:
    """A home whose daemon goes down and comes back."""

    kind: str
    home: Path  # as this process sees it
    start: Callable[[], None]  # what a client does where nobody listens
    own_clients: bool  # whether torpor's client can be used out here: it would start what it finds down

    def is_down(self) -> bool:
        """Whether no daemon has the home."""
        return not presence.is_up(str(self.home))


# A way to come by one: the home, and the settings.
Opened = Callable[[Path, str], contextlib.AbstractContextManager[Door]]


@contextlib.contextmanager
def own(home: Path, settings: str) -> Iterator[Door]:
    """A socket of the daemon's own: whoever finds it gone starts the next, as torpor's client does."""
    home.mkdir(mode=0o700)
    (home / "torpor.toml").write_text(settings)
    place = Place(str(home), str(home / "torpor.sock"))
    try:
        yield Door("own", home, lambda: wake.start(place, Deadline(START_LIMIT_S)), own_clients=True)
    finally:
        end_all(home)


def _never() -> None:
    raise AssertionError("nobody listens at a socket that a service manager holds")


@contextlib.contextmanager
def inherited(home: Path, settings: str) -> Iterator[Door]:
    """A socket that stays: who holds it starts a daemon when somebody waits, as a service manager does."""
    enough = threading.Event()
    with handed.manager(home) as manager:

        def manage() -> None:
            daemon = manager.start(settings)
            while not enough.wait(0.005):
                if daemon.process.poll() is not None and manager.somebody_waits():
                    daemon = manager.start()

        managing = threading.Thread(target=manage)
        managing.start()
        try:
            yield Door("inherited", home, _never, own_clients=True)
        finally:
            enough.set()
            managing.join()
            end_all(home)


@contextlib.contextmanager
def systemd(settings: str) -> Iterator[Door]:
    """A real systemd with the shipped units. Raises RuntimeError where it cannot be had, with the reason."""
    from service import box as boxes  # noqa: PLC0415 - Linux and root alone
    from service import seat as seats  # noqa: PLC0415 - likewise

    if reason := boxes.why_not():
        raise RuntimeError(reason)
    with boxes.Box() as box:
        seats.furnish(box)
        seat = seats.Seat(box, "system")
        seat.open()
        seat.place("torpor.toml", settings)
        yield Door("systemd", Path(box.path(seat.home)), _never, own_clients=False)
        for kind in ("service", "socket"):
            assert seat.show(f"torpord.{kind}", "Result") == {"Result": "success"}
        assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}
