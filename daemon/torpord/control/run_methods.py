"""The methods of runs: `run.*`, a row each, as in `methods.py`."""

from __future__ import annotations

import os
from typing import Any

import orjson

from torpor import wire
from torpord.control.calls import Call, Method
from torpord.control.params import Flag, Number, OneOf, Param, Piece, RefusedError, Text, Value
from torpord.core import events as ev
from torpord.core import run_events as re
from torpord.core.draft import Refusal
from torpord.core.limits import MAX_DATA_BYTES
from torpord.core.nesting import MAX_NESTING, is_too_deep
from torpord.core.runs import DEFAULT_MAX_STEPS

_ID = Param(Text(64), required=True)
_CURSOR = Param(Text(64))
_NAME = Param(Text(64))


def _texts(call: Call, name: str) -> dict[str, str]:
    """Write the values of an object as JSON texts. Raises RefusedError for what no run may carry."""
    try:
        texts = {key: orjson.dumps(value).decode() for key, value in call.params.get(name, {}).items()}
    except orjson.JSONEncodeError as error:
        message = f"{name} cannot be stored: {error}"
        raise RefusedError(Refusal("invalid_params", message, {"field": name})) from error
    for key, value in call.params.get(name, {}).items():
        if is_too_deep(value, texts[key]):
            message = f"{name}.{key} is over {MAX_NESTING} lists and objects deep: store it as text, or in a file"
            raise RefusedError(Refusal("invalid_params", message[:500], {"field": name}))
    size = sum(len(key) + len(text) for key, text in texts.items())
    if size > MAX_DATA_BYTES:
        message = f"{name} has {size} bytes, at most {MAX_DATA_BYTES} are taken: leave it in a file, and give its path"
        raise RefusedError(Refusal("too_large", message, {"field": name}))
    return texts


def _start(call: Call) -> ev.Event:
    metadata = ", ".join(f"{orjson.dumps(key).decode()}: {text}" for key, text in _texts(call, "metadata").items())
    return re.RunWanted(
        call.cause,
        run_id=os.urandom(8).hex(),
        flow=call.params["flow"],
        state=call.params.get("state", ""),
        purpose=call.params.get("purpose", ""),
        session_id=call.params.get("session_id", ""),
        max_steps=call.params.get("max_steps", DEFAULT_MAX_STEPS),
        data=_texts(call, "data"),
        metadata=f"{{{metadata}}}",
    )


def _order(name: str) -> Any:
    def order(call: Call) -> ev.Event:
        flow, state = call.params.get("flow", ""), call.params.get("state", "")
        return re.RunOrdered(call.cause, call.params["run_id"], order=name, flow=flow, state=state)

    return order


# Who never looks at a run does without what shows them: half a megabyte.


async def _list(call: Call) -> Any:
    from torpord.control.run_pages import run_list  # noqa: PLC0415 - see above

    return await run_list(call.desk, call.params)


async def _get(call: Call) -> Any:
    from torpord.control.run_pages import run_get  # noqa: PLC0415 - see above

    return await run_get(call.desk, call.params)


async def _export(call: Call) -> Any:
    from torpord.control.run_pages import run_export  # noqa: PLC0415 - see above

    return await run_export(call.desk, call.params)


def _import(call: Call) -> ev.Event:
    from torpord.control.run_imports import read  # noqa: PLC0415 - see above

    whole = call.desk.imports.whole(call.params["text"], call.params.get("cursor"))
    run, rows = read(whole, os.urandom(8).hex(), call.desk.now().wall_s)
    return re.RunImportWanted(call.cause, run, rows)


RUN_ROWS = (
    Method(
        "run.start",
        "begin a run of a flow",
        {
            "flow": Param(Text(64), required=True),
            "data": Param(Value()),
            "state": Param(Text(128)),
            "purpose": Param(Text()),
            "session_id": Param(Text(128)),
            "max_steps": Param(Number(1, 10**9, whole=True)),
            "metadata": Param(Value()),
        },
        change=_start,
    ),
    Method(
        "run.list",
        "name runs, the newest first",
        {
            "status": Param(OneOf(wire.RUN_STATUSES)),
            "flow": _NAME,
            "session_id": Param(Text(128)),
            "cursor": _CURSOR,
            "limit": Param(Number(1, 1000, whole=True)),
        },
        read=_list,
    ),
    Method(
        "run.get",
        "show a run with its history",
        {"run_id": _ID, "cursor": _CURSOR},
        read=_get,
    ),
    Method("run.pause", "let it rest behind its running steps", {"run_id": _ID}, change=_order("pause")),
    Method(
        "run.resume",
        "let it go on",
        {"run_id": _ID, "flow": _NAME, "state": Param(Text(128))},
        change=_order("resume"),
    ),
    Method("run.cancel", "end it now", {"run_id": _ID}, change=_order("cancel")),
    Method("run.retry", "let a failed one go on from what failed", {"run_id": _ID}, change=_order("retry")),
    Method("run.remove", "forget one that has ended", {"run_id": _ID}, change=_order("remove")),
    Method(
        "run.export",
        "give all of a run as a JSON document",
        {"run_id": _ID, "cursor": _CURSOR},
        read=_export,
    ),
    Method(
        "run.import",
        "take a run from such a document",
        {"text": Param(Piece(), required=True), "cursor": _CURSOR, "more": Param(Flag())},
        change=_import,
        look=lambda call: {"cursor": call.desk.imports.add(call.params["text"], call.params.get("cursor"))},
        looks=lambda params: params.get("more") is True,
    ),
)
