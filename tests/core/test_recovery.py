"""When an exhausted agent can work again: every header set and message that is known, and what nobody may say.

`recovery_headers.jsonl` and `recovery_messages.jsonl` hold a case a line: where it is documented or was seen, when it
came, and the time it means (null: it tells none).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpord.core.recovery import OVERLOAD_S, BadTimeError, Recovery, Said, recovery
from torpord.core.recovery_forms import LONGEST_S
from torpord.host.zones import zone as known_zone

NOW_S = datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()
DEFAULT_S = 18_000.0
HERE = Path(__file__).parent


def cases(name: str) -> list[Any]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


HEADERS = cases("recovery_headers.jsonl")
MESSAGES = cases("recovery_messages.jsonl")


def wall_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def zone_of(machine: str | None) -> Any:
    """Look zones up as the daemon does, but for the machine's own: the case's, and far away where it names none."""

    def zone(name: str) -> tzinfo | None:
        return known_zone(name) if name else ZoneInfo(machine or "Pacific/Kiritimati")

    return zone


def told(said: Said, now_s: float = NOW_S, machine: str | None = None) -> Recovery:
    return recovery(said, now_s, DEFAULT_S, zone_of(machine))


def expected(case: Any, source: str, otherwise_s: float = DEFAULT_S) -> Recovery:
    if case["expect"] is None:
        return Recovery(wall_s(case["now"]) + otherwise_s, "estimated")
    # Times are whole microseconds in the data, and floats of 2026 not quite.
    return Recovery(pytest.approx(wall_s(case["expect"]), rel=0, abs=1.5e-6), source)


@pytest.mark.parametrize("case", HEADERS, ids=[case["id"] for case in HEADERS])
def test_a_providers_headers(case: Any) -> None:
    assert told(Said(headers=case["headers"]), wall_s(case["now"])) == expected(case, "headers")


@pytest.mark.parametrize("case", HEADERS, ids=[case["id"] for case in HEADERS])
def test_headers_have_no_case_and_no_order(case: Any) -> None:
    shouted = {name.upper(): value for name, value in reversed(case["headers"].items())}
    assert told(Said(headers=shouted), wall_s(case["now"])) == expected(case, "headers")


@pytest.mark.parametrize("case", MESSAGES, ids=[case["text"][:60] for case in MESSAGES])
def test_a_providers_words(case: Any) -> None:
    found = told(Said(message=case["text"]), wall_s(case["now"]), case["zone"])
    assert found == expected(case, "message", OVERLOAD_S if case.get("no_quota") else DEFAULT_S)


@pytest.mark.parametrize("case", MESSAGES, ids=[case["text"][:60] for case in MESSAGES])
def test_words_broken_by_a_terminal(case: Any) -> None:
    found = told(Said(message=case["text"].replace(" ", " \n  ")), wall_s(case["now"]), case["zone"])
    assert found == expected(case, "message", OVERLOAD_S if case.get("no_quota") else DEFAULT_S)


@pytest.mark.parametrize("case", [*HEADERS, *MESSAGES])
def test_each_case_says_where_it_is_from(case: Any) -> None:
    assert case["evidence"] in {
        "documented", "documented names, made-up values", "names seen, value from memory", "seen", "in code",
        "from memory", "made up",
    }  # fmt: skip
    assert case["source"] or case["evidence"] in {"made up", "from memory"}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00Z"),
        ("2026-01-15T15:20:00+01:00", "2026-01-15T14:20:00Z"),
        ("2026-02-15T12:00:00Z", "2026-02-15T12:00:00Z"),
    ],
)
def test_a_time_of_the_agents_own(text: str, at: str) -> None:
    assert told(Said(recovery_at=text)) == Recovery(wall_s(at), "recovery_at")


@pytest.mark.parametrize(
    ("value", "in_s"),
    [
        (0, 0.0),
        (1.5, 1.5),
        (" 90 ", 90.0),
        ("1.5", 1.5),
        (31 * 86_400, LONGEST_S),
        ("Thu, 15 Jan 2026 12:02:00 GMT", 120.0),
        ("Thursday, 15-Jan-26 12:02:00 GMT", 120.0),
        ("Thu Jan 15 12:02:00 2026", 120.0),
    ],
)
def test_a_wait_of_the_agents_own(value: float | str, in_s: float) -> None:
    assert told(Said(retry_after=value)) == Recovery(NOW_S + in_s, "retry_after")


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        (Said(recovery_at="2026-01-15T11:59:59Z"), "recovery_at", "past"),
        (Said(recovery_at="1970-01-01T00:00:00Z"), "recovery_at", "past"),
        (Said(recovery_at="2026-02-15T12:00:01Z"), "recovery_at", "31 days ahead"),
        (Said(recovery_at="9999-12-31T23:59:59-14:00"), "recovery_at", "days ahead"),
        (Said(recovery_at="0001-01-01T00:00:00+14:00"), "recovery_at", "past"),
        (Said(recovery_at="2026-01-15T15:00:00"), "recovery_at", "name an offset"),
        (Said(recovery_at="2026-01-15"), "recovery_at", "name an offset"),
        (Said(recovery_at="3pm"), "recovery_at", "no time in ISO 8601"),
        (Said(recovery_at=""), "recovery_at", "no time in ISO 8601"),
        (Said(recovery_at="2026-02-30T00:00:00Z"), "recovery_at", "no time in ISO 8601"),
        (Said(retry_after=-1), "retry_after", "past"),
        (Said(retry_after="-1"), "retry_after", "give it in seconds"),
        (Said(retry_after="Sun, 06 Nov 1994 08:49:37 GMT"), "retry_after", "past"),
        (Said(retry_after="Sun, 99 Nov 1994 08:49:37 GMT"), "retry_after", "give it in seconds"),
        (Said(retry_after=31 * 86_400 + 1), "retry_after", "days ahead"),
        (Said(retry_after=1768482000), "retry_after", "days ahead"),
        (Said(retry_after=1e300), "retry_after", "days ahead"),
        (Said(retry_after=-1e300), "retry_after", "past"),
        (Said(retry_after=float("nan")), "retry_after", "a number of seconds"),
        (Said(retry_after="9" * 500), "retry_after", "a number of seconds"),
        (Said(retry_after="soon"), "retry_after", "give it in seconds"),
        (Said(retry_after=""), "retry_after", "give it in seconds"),
        (Said(retry_after="."), "retry_after", "give it in seconds"),
        (Said(retry_after="٣"), "retry_after", "give it in seconds"),
    ],
)
def test_what_an_agent_says_itself_has_to_be_right(said: Said, field: str, words: str) -> None:
    with pytest.raises(BadTimeError, match=words) as caught:
        told(said)
    assert caught.value.field == field


def test_the_first_that_is_given_counts() -> None:
    everything = Said("2026-01-15T13:00:00Z", 60, {"retry-after": "120"}, "try again in 5m")
    assert told(everything) == Recovery(NOW_S + 3600, "recovery_at")
    assert told(Said(None, 60, everything.headers, everything.message)) == Recovery(NOW_S + 60, "retry_after")
    assert told(Said(None, None, everything.headers, everything.message)) == Recovery(NOW_S + 120, "headers")
    assert told(Said(None, None, {"retry-after": "soon"}, everything.message)) == Recovery(NOW_S + 300, "message")
    assert told(Said(None, None, {}, "later")) == told(Said()) == Recovery(NOW_S + DEFAULT_S, "estimated")
    assert told(Said()).estimated
    assert not told(everything).estimated


def test_a_bad_word_of_the_agents_own_is_not_mended_by_what_follows() -> None:
    with pytest.raises(BadTimeError):
        told(Said(recovery_at="2026-01-15T11:00:00Z", retry_after=60))


def test_a_text_without_end_is_read_in_no_time() -> None:
    begun = ("reset " * 3_000, "try again in " + "1" * 16_000, "retry in " + "1m " * 5_000, "resets at 2026-" * 1_000)
    for text in begun:
        assert told(Said(message=text * 100)).at_wall_s <= NOW_S + LONGEST_S


PIECES = st.sampled_from([
    "resets", "try again", "retry", "at", "in", "|", "1768482000", "9:50pm", "(UTC)", "(Europe/", "Mon", "Feb 29",
    ":61",
    "2026-01-15T12", ":00Z", "6m0s", "999999999d", "ns", "(", ")", "5-hour limit", "12am", "\u2019", "٣", "-1", "0",
])  # fmt: skip
WORDS = st.lists(PIECES | st.text(max_size=4), max_size=12).map(" ".join)
NAMES = st.sampled_from([name for case in HEADERS for name in case["headers"]]) | st.text(max_size=30)
VALUES = st.sampled_from([value for case in HEADERS for value in case["headers"].values()])
VALUES |= WORDS | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(NAMES, VALUES, max_size=8), WORDS, st.sampled_from(["UTC", "Asia/Tokyo", "Australia/Lord_Howe"]))
def test_whatever_a_provider_sends_ends_between_now_and_a_month(
    headers: dict[str, float | str], message: str, machine: str
) -> None:
    found = told(Said(headers=headers, message=message), machine=machine)
    assert NOW_S <= found.at_wall_s <= NOW_S + LONGEST_S
    assert found.source in {"headers", "message", "estimated"}


@given(st.integers(0, 86_399), st.integers(1, 12), st.integers(0, 59), st.sampled_from("ap"), st.integers(0, 365))
def test_a_time_of_day_is_the_next_one_there(second: int, hour: int, minute: int, half: str, day: int) -> None:
    """By another way: minute by minute, until a clock there shows it."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)
    there = ZoneInfo("Asia/Kathmandu")  # no summer time: the hours that come twice have their own cases
    found = told(Said(message=f"resets {hour}:{minute:02}{half}m (Asia/Kathmandu)"), now.timestamp())
    shown = datetime.fromtimestamp(found.at_wall_s, there)
    if found.at_wall_s > now.timestamp():
        assert (shown.hour, shown.minute, shown.second) == (hour % 12 + 12 * (half == "p"), minute, 0)
        assert found.at_wall_s - now.timestamp() <= 86_400
    else:
        assert found.at_wall_s == now.timestamp()
        past = (shown.hour * 60 + shown.minute - (hour % 12 + 12 * (half == "p")) * 60 - minute) % 1440
        assert past <= 5
