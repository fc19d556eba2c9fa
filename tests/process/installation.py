"""A torpor installed somewhere of its own, which a test may upgrade, or take away, under the daemon that runs it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torpor
import torpord


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder that Python finds both packages in before any other; those of the tests', until they are changed."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, version: str = torpor.__version__) -> Installation:
        """Install into a folder that is not there yet."""
        for package in (torpor, torpord):
            source = Path(package.__path__[0])
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("*.pyc.*"))
        made = cls(folder)
        if version != torpor.__version__:
            made.upgrade(version)
        return made

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {"PYTHONPATH": str(self.folder)}

    @property
    def launcher(self) -> list[str]:
        """What runs the daemon from here, and leaves its children to find the torpor of the tests."""
        start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from torpord.cli import main; sys.exit(main())"
        return [sys.executable, "-P", "-c", start, str(self.folder)]

    def upgrade(self, version: str) -> None:
        """Put another version in its place, as pip does: each file a new one."""
        init = self.folder / "torpor" / "__init__.py"
        text = init.read_text()
        fresh = init.with_suffix(".fresh")
        fresh.write_text(text.replace(f'__version__ = "{torpor.__version__}"', f'__version__ = "{version}"'))
        assert fresh.read_text() != text
        fresh.rename(init)

    def remove(self) -> None:
        """Uninstall it."""
        self.folder.rename(self.folder.with_name("removed"))

    def bring_back(self) -> None:
        """Put it where it was."""
        self.folder.with_name("removed").rename(self.folder)
