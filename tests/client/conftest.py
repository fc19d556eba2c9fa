"""Fixtures of the client's room."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import pytest

from torpor import AsyncClient, Client, wake
from torpor.cli import main
from torpor.doctor import subject
from torpor.errors import Unreachable

Torpor = Callable[..., tuple[int, str, str]]


class Ask(Protocol):
    """Ask one thing of the daemon of `home`, with either client."""

    def __call__(
        self, home: pathlib.Path, method: str, *args: Any, timeout: float | None = 5.0, **more: Any
    ) -> Any: ...


def _blocking(home: pathlib.Path, method: str, *args: Any, timeout: float | None = 5.0, **more: Any) -> Any:
    with Client(home, timeout=timeout) as client:
        return getattr(client, method)(*args, **more)


def _asyncio(home: pathlib.Path, method: str, *args: Any, timeout: float | None = 5.0, **more: Any) -> Any:
    async def asked() -> Any:
        async with AsyncClient(home, timeout=timeout) as client:
            return await getattr(client, method)(*args, **more)

    return asyncio.run(asked())


@pytest.fixture(params=[_blocking, _asyncio], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Both clients follow the same rules: each test of a rule asks twice."""
    chosen: Ask = request.param
    return chosen


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORPOR_HOME", "TORPOR_SOCKET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(short_dir: pathlib.Path) -> pathlib.Path:
    path = short_dir / "h"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def torpor(home: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Torpor:
    """Run a command in `home`, and return its exit status and what it printed. Nobody is started."""

    def start(*_: object) -> None:
        raise Unreachable("nobody is started here")

    monkeypatch.setattr(wake, "start", start)

    def run(*line: str) -> tuple[int, str, str]:
        status = main(["--home", str(home), *line])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def really() -> None:
    """Have the installation itself asked, which takes two processes a report."""


@pytest.fixture
def content_installation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the installation say that all is well, and that it reads stores of version 3."""
    if "really" not in request.fixturenames:
        monkeypatch.setattr(subject, "run", lambda _command, _limit_s: (0, "3"))
