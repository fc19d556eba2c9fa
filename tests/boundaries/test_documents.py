"""What the documents list is what the code has: commands, settings, the picture of the life, rooms, points."""

from __future__ import annotations

import pathlib
import re
import tomllib

from torpor.cli.table import COMMANDS
from torpord.config import KEYS, load
from torpord.core.lifecycle import mermaid
from torpord.points import POINTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "daemon/ARCHITECTURE.md").read_text()


def rows(text: str, heading: str) -> dict[str, str]:
    """First cell (its first word in backticks) and second cell of the table under a heading."""
    section = text.split(heading, 1)[1].split("\n## ", 1)[0]
    cells = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {re.findall(r"`([^`]+)`", row[0])[0]: row[1].strip() for row in cells}


def test_the_readme_lists_every_command_with_its_help() -> None:
    assert rows(README, "## Commands") == {command.name: command.help for command in COMMANDS}


def test_the_readme_shows_the_life_as_the_table_has_it() -> None:
    (picture,) = re.findall(r"```mermaid\n(.*?)\n```", README, re.DOTALL)
    assert picture == mermaid()


def settings_in_the_readme() -> str:
    """The block of all keys with their defaults; the one behind it shows flows, which have none."""
    text = README.split("## Settings", 1)[1]
    block, _flows = re.findall(r"```toml\n(.*?)\n```", text, re.DOTALL)
    return block


def test_the_readme_shows_every_setting_with_its_default(tmp_path: pathlib.Path) -> None:
    shown = tomllib.loads(settings_in_the_readme())
    flat = {
        (section, f"{key}.{inner}" if inner else key)
        for section, body in shown.items()
        for key, value in body.items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert flat == set(KEYS)
    (tmp_path / "shown.toml").write_text(settings_in_the_readme())
    given, default = load(tmp_path / "shown.toml"), load(tmp_path / "missing.toml")
    assert given.policy == default.policy
    assert (given.log_level, given.log_format) == (default.log_level, default.log_format)
    assert not any(given.hooks.values())


def test_every_toml_block_of_the_readme_is_good_settings(tmp_path: pathlib.Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)\n```", README, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        (tmp_path / "torpor.toml").write_text(block)
        load(tmp_path / "torpor.toml")


def test_the_architecture_lists_every_point_as_the_code_has_it() -> None:
    assert rows(ARCHITECTURE, "## Named points") == dict(POINTS)


def test_every_point_is_passed_somewhere() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "daemon/torpord").rglob("*.py"))
    assert {name for name in POINTS if f'reached("{name}")' not in code} == set()
    assert set(re.findall(r'reached\("([^"]+)"\)', code)) == set(POINTS)


def test_the_architecture_names_every_room() -> None:
    named = {
        name
        for cell in re.findall(r"^\| (`.*?) \|", ARCHITECTURE, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "daemon/torpord").iterdir()
        if (path.is_dir() and path.name != "__pycache__") or (path.suffix == ".py" and not path.name.startswith("_"))
    }
    assert rooms <= named


def test_the_files_that_documents_name_are_there() -> None:
    for document in ("README.md", "daemon/ARCHITECTURE.md", "client/PROTOCOL.md"):
        text = (ROOT / document).read_text()
        paths = re.findall(r"`((?:client|daemon|systemd|launchd|tests|core|store|control|host|shell)/[\w./@-]*)`", text)
        for path in paths:
            assert (ROOT / path).exists() or (ROOT / "daemon/torpord" / path).exists(), f"{document}: {path}"


def test_no_document_speaks_in_line_numbers() -> None:
    for document in ROOT.glob("**/*.md"):
        if ".venv" not in document.parts:
            assert not re.search(r"\blines? \d+\b|\.py:\d+", document.read_text()), document
