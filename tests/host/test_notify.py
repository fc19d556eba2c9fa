from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from torpord.host.notify import Notifier

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@pytest.fixture
def manager(short_dir: pathlib.Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_dir / "notify"))
        sock.settimeout(5)
        yield sock


def test_says_what_sd_notify_says(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "HOME": "/root"}
    notifier = Notifier.from_environment(environ)
    assert environ == {"HOME": "/root"}, "a child would speak in our name"
    assert notifier.is_heard
    said: list[tuple[Callable[[], bool], bytes]] = [
        (lambda: notifier.ready("WAKE"), b"READY=1\nSTATUS=WAKE\n"),
        (lambda: notifier.status("DROWSY, asleep in 25 min"), b"STATUS=DROWSY, asleep in 25 min\n"),
        (notifier.watchdog, b"WATCHDOG=1\n"),
        (notifier.reloading, b"RELOADING=1\n"),
        (notifier.ready, b"READY=1\n"),
        (lambda: notifier.stopping("a\nMAINPID=1"), b"STOPPING=1\nSTATUS=a MAINPID=1\n"),
    ]
    for say, heard in said:
        assert say()
        assert manager.recv(4096) == heard
    notifier.close()
    assert notifier.ready(), "nobody to tell any more is no failure"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract addresses are Linux's")
def test_reaches_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"torpor-test-{os.getpid()}"
        sock.bind("\0" + name)
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": "@" + name})
        assert notifier.ready()
        assert sock.recv(100) == b"READY=1\n"
        notifier.close()


def test_without_a_manager_everything_is_quiet() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.is_heard
    assert notifier.watchdog_interval_s is None
    assert all((notifier.ready(), notifier.status("x"), notifier.reloading(), notifier.stopping(), notifier.watchdog()))


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        ("3000000", None, 1.5),
        ("3000000", "ours", 1.5),
        ("3000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_wants_half_its_time(
    manager: socket.socket, usec: str | None, pid: str | None, interval_s: float | None
) -> None:
    watched = str(os.getpid()) if pid == "ours" else pid
    given = dict(zip(MANAGER, (manager.getsockname(), usec, watched), strict=True))
    environ = {name: value for name, value in given.items() if value is not None}
    notifier = Notifier.from_environment(environ)
    notifier.close()
    assert (notifier.watchdog_interval_s, environ) == (interval_s, {})


def test_a_deaf_manager_is_told_of_once_and_again_after_it_heard(short_dir: pathlib.Path) -> None:
    failures: list[OSError] = []
    path = str(short_dir / "notify")
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": path}, on_failure=failures.append)
    assert not notifier.ready()
    assert not notifier.watchdog()
    assert [failure.errno for failure in failures] == [errno.ENOENT]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        assert notifier.watchdog(), "a manager that came back is heard at its old path"
    assert not notifier.watchdog()
    assert [failure.errno for failure in failures] == [errno.ENOENT, errno.ECONNREFUSED]
    notifier.close()


def test_a_full_queue_holds_nothing_up(manager: socket.socket) -> None:
    failures: list[OSError] = []
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()}, on_failure=failures.append)
    while notifier.watchdog():
        pass
    assert not notifier.ready()
    assert [failure.errno for failure in failures] == [errno.EAGAIN]
    notifier.close()
