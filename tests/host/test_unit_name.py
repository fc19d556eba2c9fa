"""Whose child a daemon is, from what its manager handed over."""

from __future__ import annotations

import pytest

from torpord.host.unit_name import NONE, Manager, found

USERS = {"MANAGERPID": "812"}


@pytest.mark.parametrize(
    ("names", "environ", "manager"),
    [
        ("torpord.socket", USERS, Manager("systemd-user", "torpord")),
        ("torpord-work.socket", USERS, Manager("systemd-user", "torpord-work")),
        ("torpord@ann.socket", {}, Manager("systemd-system", "torpord@ann")),
        (r"torpord@a\x2db.c.socket", {}, Manager("systemd-system", r"torpord@a\x2db.c")),
        ("torpord@ann.socket", USERS, Manager("systemd-user", "torpord@ann")),
        ("", USERS, NONE),
        ("unknown", USERS, NONE),
        ("torpord", USERS, NONE),
        ("torpord.service", USERS, NONE),
        ("my-torpord.socket", USERS, NONE),
        ("torpord.socket:torpord.socket", USERS, NONE),
        ("torpord-.socket", USERS, NONE),
        ("torpord-A.socket", USERS, NONE),
        ("torpord@.socket", {}, NONE),
    ],
)
def test_systemd_names_the_socket_it_hands_over(names: str, environ: dict[str, str], manager: Manager) -> None:
    assert found(names, environ, "linux") == manager


@pytest.mark.parametrize(
    ("label", "manager"),
    [
        ("org.torpor.torpord", Manager("launchd", "org.torpor.torpord")),
        ("org.torpor.torpord.work", Manager("launchd", "org.torpor.torpord.work")),
        ("com.apple.xpc.launchd.oneshot", NONE),
        ("0", NONE),
        ("", NONE),
    ],
)
def test_launchd_tells_the_label(label: str, manager: Manager) -> None:
    assert found("", {"XPC_SERVICE_NAME": label}, "darwin") == manager
