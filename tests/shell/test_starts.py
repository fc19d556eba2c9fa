"""The crash ledger: what counts as a death, who is suspected, and which way leads back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from torpord.shell.starts import KEEP, Good, Starts, way_back


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home that was prepared."""
    (tmp_path / "tmp").mkdir()
    return tmp_path


def start(home: Path, version: str = "2.0", now_s: float = 1_700_000_000.0) -> Starts:
    return Starts.begin(home, version, "/v/bin/python", "boot", 7, now_s)


def written(home: Path) -> dict[str, object]:
    body: dict[str, object] = json.loads((home / "starts.json").read_text())
    return body


def test_a_start_that_says_nothing_more_is_a_death(place: Path) -> None:
    start(place).about_to("store torpor.db")
    start(place).about_to("wake.d/a.json")
    third = start(place)
    assert third.deaths == 2
    assert (place / "starts.json").stat().st_mode & 0o777 == 0o600


def test_a_home_that_is_quite_new_has_its_ledger(tmp_path: Path) -> None:
    start(tmp_path)
    assert start(tmp_path).deaths == 1


def test_one_that_lives_empties_the_ledger_and_writes_no_more(place: Path) -> None:
    start(place)
    lives = start(place)
    lives.lived(1_700_000_009.0)
    good = {"version": "2.0", "interpreter": "/v/bin/python", "ts": 1_700_000_009.0}
    assert written(place) == {"schema_version": 1, "good": good, "starts": []}
    (place / "starts.json").unlink()
    lives.about_to("hook on_wake")
    lives.phase("serving")
    lives.failed("no")
    lives.ended()
    lives.lived(1.0)
    assert not (place / "starts.json").exists()


def test_an_end_in_order_and_one_in_words_are_no_deaths(place: Path) -> None:
    start(place).ended()
    start(place).failed("torpor.toml: line 3")
    start(place)
    fourth = start(place)
    assert fourth.deaths == 1
    assert [each.end for each in fourth.before] == ["failed: torpor.toml: line 3", None]


def test_what_is_done_is_suspected_no_more(place: Path) -> None:
    first = start(place)
    first.about_to("store torpor.db")
    first.phase("serving")
    assert start(place).suspect is None


@pytest.mark.parametrize(
    ("suspects", "named"), [("a a b", "a"), ("a b b", "b"), ("a b", "b"), ("b a", "a"), ("b b a a", "a")]
)
def test_the_suspect_is_that_of_most_and_of_the_last_on_a_tie(place: Path, suspects: str, named: str) -> None:
    for suspect in suspects.split():
        start(place).about_to(suspect)
    assert start(place).suspect == named


def test_three_deaths_of_a_version_behind_another_that_lived_name_the_way_back(place: Path) -> None:
    start(place, "1.0").lived(1_700_000_000.0)
    for _ in range(3):
        assert start(place).verdict() is None
    verdict = start(place).verdict()
    assert str(verdict) == (
        "torpor 2.0 died 3 times in a row before it answered; 1.0 ran well until 2023-11-14T22:13:20+00:00:"
        " go back with /v/bin/python -m pip install torpor==1.0"
    )


def test_the_version_that_is_gone_back_to_does_not_answer_for_the_others_deaths(place: Path) -> None:
    start(place, "1.0").lived(1_700_000_000.0)
    for _ in range(6):
        start(place).about_to("store torpor.db")
    back = start(place, "1.0")
    assert (back.deaths, back.suspect, back.verdict()) == (0, None, None)
    assert start(place).deaths == 6


def test_deaths_of_the_version_that_lived_claim_no_way_back(place: Path) -> None:
    start(place).lived(1_700_000_000.0)
    for _ in range(3):
        start(place).about_to("wake.d/x.json")
    verdict = start(place).verdict()
    assert str(verdict) == "torpor 2.0 died 3 times in a row before it answered (suspect: wake.d/x.json)"


@pytest.mark.parametrize(
    ("interpreter", "command"),
    [
        ("/h/.local/share/pipx/venvs/torpor/bin/python", "pipx install --force torpor==1.0"),
        ("/h/.local/share/uv/tools/torpor/bin/python", "uv tool install --force torpor==1.0"),
        ("/usr/bin/python3", "/usr/bin/python3 -m pip install torpor==1.0"),
    ],
)
def test_the_way_back_is_by_who_installed_it(interpreter: str, command: str) -> None:
    assert way_back(Good("1.0", interpreter, 0.0)) == command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"good": null}',
        '{"good": 3, "starts": []}',
        '{"good": null, "starts": [{"ts": 1}]}',
        '{"good": {"version": 1, "interpreter": "x", "ts": 1}, "starts": []}',
        '{"good": null, "starts": [{"ts": "x", "pid": 1, "boot_id": "b", "version": "v", "interpreter": "i"}]}',
    ],
)
def test_one_that_cannot_be_read_counts_as_absent(place: Path, text: str) -> None:
    (place / "starts.json").write_text(text)
    assert start(place).deaths == 0
    assert start(place).deaths == 1


def test_what_a_later_version_adds_is_left_out(place: Path) -> None:
    start(place)
    body = json.loads((place / "starts.json").read_text())
    body["starts"][0]["colour"] = "blue"
    (place / "starts.json").write_text(json.dumps(body))
    assert start(place).deaths == 1


def test_a_home_that_takes_no_file_is_no_reason_not_to_start(place: Path) -> None:
    (place / "tmp").rmdir()
    (place / "tmp").write_text("in the way")
    first = start(place)
    first.about_to("store torpor.db")
    first.lived(1.0)
    assert not (place / "starts.json").exists()


def test_only_the_newest_are_kept(place: Path) -> None:
    for _ in range(KEEP + 5):
        start(place)
    assert len(start(place).before) == KEEP


def test_forgiven_they_count_anew(place: Path) -> None:
    for _ in range(4):
        start(place)
    start(place).forgive()
    assert start(place).deaths == 1
