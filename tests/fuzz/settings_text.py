"""`torpor.toml`: any text is settings, or an error that names the file, and what to do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import orjson

import memory
from fuzz.mutation import bytes_mutated
from torpord.config import KEYS, Settings, changed, load
from torpord.core.policy import Policy
from torpord.host.faults import SetupError

_SEEDS = tuple(path.read_bytes() for path in sorted((Path(__file__).parent / "seeds" / "settings").iterdir()))
_TOKENS = tuple(
    text.encode()
    for text in (
        *(f"[{section}]\n" for section in ("lifecycle", "sleep", "agents", "hooks", "flows.x", "log", "sleep.when")),
        *(f"{key} = " for _, key in KEYS),
        *("[[flows.cmd.steps]]\n", 'name = "a"\n', 'next = "fetch"\n', 'parallel = ["a"]\n', 'join = "a"\n'),
        *('"1h30m"', '"5m"', "1e400", "-1", "0x" + "f" * 60, "1" * 4400, "inf", "nan", "1979-05-27T07:32:00Z"),
        *("[" * 1200, "{ a = " * 1200, '"" = 1\n', "'''", "\r", "\ufeff", "= {}\n", "= [[]]\n"),
        *("a.b.c = 1\n", "= []\n", "07:32:00"),
        *("\n" * 3, "\\u0000", '"\\ud800"', "~nobody/x", "\x7f"),
    )
)  # fmt: skip
_MOST_WORDS = 3_000


class SettingsText:
    """Settings as a start and `torpor reload` read them."""

    name = "settings"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
        self._path = self._folder / "torpor.toml"

    def close(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self._folder)

    def seeds(self) -> Sequence[bytes]:
        """Each section."""
        return _SEEDS

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change lines as wholes, or bytes."""
        if dice.random() < 0.4:
            lines = data.splitlines(keepends=True) or [b"\n"]
            more = dice.choice(_SEEDS).splitlines(keepends=True)
            for _ in range(dice.choice((1, 1, 2, 4))):
                lines.insert(dice.randint(0, len(lines)), dice.choice((*more, *_TOKENS)))
                if dice.random() < 0.5:
                    del lines[dice.randrange(len(lines))]
            return b"".join(lines)
        return bytes_mutated(data, dice, _TOKENS)

    def one(self, data: bytes) -> Sequence[str]:
        """Read them; what is taken can be recorded and compared."""
        self._path.write_bytes(data)
        try:
            found = load(self._path)
        except SetupError as error:
            return [f"refused: {self._told(error)}"]
        body = orjson.loads(orjson.dumps(found.policy.document()))
        assert Policy(**body) == found.policy
        assert found == Settings() or changed(Settings(), found) or data
        orjson.dumps(dict(found.flows))
        return ["taken"]

    def _told(self, error: SetupError) -> str:
        said, before = str(error), f"settings {self._path}"
        assert error.exit_code == 78
        assert said.startswith(before), said
        assert len(said) < _MOST_WORDS, len(said)
        assert "\n" not in said
        return said.removeprefix(before)
