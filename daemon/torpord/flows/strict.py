"""JSON and nothing else: what a run keeps must come back from the disk as what it was.

orjson would quietly write a NaN as null, a date as text and a dataclass as an object, and the resumed run would find
something else than the first one had. So each of them is refused where it is handed over, by the name of its key.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from torpord.core.limits import MAX_DATA_BYTES
from torpord.core.nesting import MAX_NESTING, is_too_deep
from torpord.flows.errors import StepError

_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_CANONICAL = _STRICT | orjson.OPT_SORT_KEYS

loads = orjson.loads


def dump(value: Any, what: str, *, canonical: bool = False) -> bytes:
    """Return the JSON of `value`. Raises StepError, which calls it `what`.

    `canonical`: with the keys in order, so that equal values have equal bytes.
    """
    try:
        raw = orjson.dumps(value, option=_CANONICAL if canonical else _STRICT)
        if b"null" in raw:
            # A null may have been a NaN or an infinity, which JSON has not. What else is no JSON was refused above.
            json.dumps(value, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise StepError(f"{what} is not JSON: {error}; store text, numbers, lists and objects") from error
    if is_too_deep(value, raw):
        raise StepError(f"{what} is over {MAX_NESTING} lists and objects deep: store it as text, or in a file")
    return raw


def check_size(size: int, what: str) -> None:
    """Raise StepError where `size`, in bytes of JSON, is over what a run may carry."""
    if size > MAX_DATA_BYTES:
        raise StepError(
            f"{what} has {size} bytes as JSON, over the limit of {MAX_DATA_BYTES}:"
            " write it to a file and keep the path of the file"
        )
