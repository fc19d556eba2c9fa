"""The line of a key, however it is written."""

from __future__ import annotations

import tomllib

import pytest

from torpord.config.lines import line_of
from torpord.config.values import Place

TEXT = '''\
# [flows.a] is not here
top = 1
[lifecycle] # lifecycle
"drowsy_after" = "5m"
[flows."a.b"]
python = "x:y"
[[flows.c.steps]]
name = "one"
command = """
[flows.trap]
name = "two"
"""
[flows.c.steps.env]
A = '#"""'
[[flows.c.steps]]
name = \'\'\'
[[flows.c.steps]]\'\'\'
command = ["a", "b = c",
  "name = d"]
[flows.d]
steps = [
  { name = "x" },
]
[flows]
e = { python = "e:f" }
f.python = "f:g"
'''

PLACES: list[tuple[Place, int]] = [
    (("top",), 2),
    (("lifecycle",), 3),
    (("lifecycle", "drowsy_after"), 4),
    (("lifecycle", "a_default"), 3),
    (("flows", "a.b", "python"), 6),
    (("flows", "c", "steps", 0, "name"), 8),
    (("flows", "c", "steps", 0, "command"), 9),
    (("flows", "c", "steps", 0, "env", "A"), 14),
    (("flows", "c", "steps", 1), 15),
    (("flows", "c", "steps", 1, "name"), 16),
    (("flows", "c", "steps", 1, "command"), 18),
    (("flows", "c", "steps", 1, "next"), 15),
    (("flows", "d", "steps", 0, "name"), 21),
    (("flows", "e", "python"), 25),
    (("flows", "f", "python"), 26),
    (("nowhere",), 1),
]


def test_the_text_is_good_toml() -> None:
    assert len(tomllib.loads(TEXT)["flows"]["c"]["steps"]) == 2


@pytest.mark.parametrize(("place", "line"), PLACES)
def test_a_key_is_on_its_line_or_on_that_of_what_is_around_it(place: Place, line: int) -> None:
    assert line_of(TEXT, place) == line
    assert line_of(TEXT.replace("\n", "\r\n"), place) == line
