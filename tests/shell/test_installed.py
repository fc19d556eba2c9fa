"""What is told of the installed package, while another one may run."""

from __future__ import annotations

import os
from pathlib import Path

import torpor
from torpord.shell.installed import Installed


def test_untouched_it_is_the_one_that_runs(tmp_path: Path) -> None:
    package = tmp_path / "__init__.py"
    package.write_text('__version__ = "0.0.1"\n')
    assert Installed(package).view() == {"version": torpor.__version__, "changed": False}


def test_upgraded_it_is_named(tmp_path: Path) -> None:
    package = tmp_path / "__init__.py"
    package.write_text('__version__ = "0.0.1"\n')
    installed = Installed(package)
    fresh = tmp_path / "fresh"
    fresh.write_text('"""Doc."""\n\n__version__ = "9.9"\n')
    fresh.rename(package)
    assert installed.view() == {"version": "9.9", "changed": True}


def test_gone_or_without_a_word_it_has_no_version(tmp_path: Path) -> None:
    package = tmp_path / "__init__.py"
    package.write_text('__version__ = "0.0.1"\n')
    installed = Installed(package)
    package.write_text("nothing to say")
    os.utime(package, (1, 1))
    assert installed.view() == {"version": None, "changed": True}
    package.unlink()
    assert installed.view() == {"version": None, "changed": True}
