"""What a run is given to carry: as deep, as large and as odd as JSON has it, whole or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daemon_process import LineClient
from torpor import wire
from torpord.core.limits import MAX_DATA_BYTES
from torpord.core.nesting import MAX_NESTING
from wire.runs import ended, imported, pages, refusal, start


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", ["data", "metadata"])
@pytest.mark.parametrize("key", [None, "with a key"])
@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 300, 900])
def test_what_is_nested_too_deeply_is_refused(toy: LineClient, name: str, key: str | None, levels: int) -> None:
    params: dict[str, Any] = {name: {"deep": nested(levels)}, **({"key": f"{key} {name} {levels}"} if key else {})}
    assert refusal(toy, "run.start", flow="toy", **params) == ("invalid_params", name)


def test_the_deepest_that_is_taken_goes_all_the_way(toy: LineClient) -> None:
    deepest = nested(MAX_NESTING)
    run_id = start(toy, deepest=deepest, then="branches")
    assert ended(toy, run_id)["run"]["data"]["deepest"] == deepest
    pages_of_it = "".join(page["text"] for page in pages(toy, "run.export", run_id=run_id))
    copy = imported(toy, pages_of_it)
    assert toy.call("run.get", run_id=copy)["run"]["data"]["deepest"] == deepest


@pytest.mark.parametrize("name", ["data", "metadata"])
def test_what_is_too_large_is_refused_and_the_connection_goes_on(toy: LineClient, name: str) -> None:
    # Within the line, and beyond what a run may carry: what JSON may leave out of a line is written again.
    key, most = '"k"', wire.MAX_LINE_BYTES - 200
    zeros = ",".join(["1e9"] * ((most - 100) // 4))
    text = f'{{"jsonrpc":"2.0","id":1,"method":"run.start","params":{{"flow":"toy","{name}":{{{key}:[{zeros}]}}}}}}'
    toy.send_line(text)
    error = toy.read_line()["error"]
    assert (error["data"]["name"], error["data"]["field"]) == ("too_large", name)
    assert str(MAX_DATA_BYTES) in error["message"]


def test_a_megabyte_of_data_is_carried_whole(toy: LineClient) -> None:
    value = "x" * (wire.MAX_LINE_BYTES - 1000)
    run_id = start(toy, value=value)
    run = ended(toy, run_id)["run"]
    assert run["data_omitted"] == {"value": len(value) + 2}
    document = json.loads("".join(page["text"] for page in pages(toy, "run.export", run_id=run_id)))
    assert document["data"][""]["set"]["value"] == value


@pytest.mark.parametrize(
    "value",
    [r'"\ud800"', r'"\udfff x"', r'{"\ud800": 1}', "NaN", "Infinity", "1e999", "-1e999", "01", "[1,]", '"\x01"'],
)
def test_what_is_no_json_is_a_parse_error(toy: LineClient, value: str) -> None:
    line = f'{{"jsonrpc":"2.0","id":1,"method":"run.start","params":{{"flow":"toy","data":{{"a":{value}}}}}}}'
    toy.send_line(line)
    assert toy.read_line()["error"]["data"]["name"] == "parse_error"


@pytest.mark.parametrize("value", [2**53, 2**63 - 1, -(2**63), 2**64 - 1, 1.5e308, -0.0, 5e-324, "\u0000", "\u2028é😀"])
def test_numbers_and_texts_at_the_edge_come_back_as_they_were(toy: LineClient, value: Any) -> None:
    run_id = start(toy, value=value)
    assert ended(toy, run_id)["run"]["data"]["value"] == value
    toy.call("run.remove", run_id=run_id)
