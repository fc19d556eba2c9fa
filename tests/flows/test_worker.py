"""What a worker says on its pipe, and what it does with what it is told: the protocol, message by message."""

from __future__ import annotations

import psutil

from flows.conftest import Start
from flows.worker_end import step

CHAIN = """
    @flow.state(initial=True, retries=2, timeout="5m")
    async def first(run: Run):
        run.data["n"] = run.data.get("n", 0) + 1
        return first if run.data["n"] < 3 else last

    @flow.state
    def last(run: Run):
        print("said by the author")
        run.data.pop("n")
        return Complete([run.run_id, run.visit])
"""


def test_a_chain(worker: Start) -> None:
    end = worker(CHAIN)
    assert end.begun() == {
        "t": "loaded",
        "version": 1,
        "initial": "first",
        "states": {"first": {"retries": 2, "timeout_s": 300.0}, "last": {"retries": 0, "timeout_s": None}},
    }
    ended = end.drive()
    assert [(each["state"], each["visit"], each["attempt"]) for each in ended] == [
        ("first", 1, 1),
        ("first", 2, 1),
        ("first", 3, 1),
        ("last", 1, 1),
    ]
    assert [each["outcome"] for each in ended] == [
        {"next": "first", "visit": 2},
        {"next": "first", "visit": 3},
        {"next": "last", "visit": 1},
        {"complete": ["r1", 1]},
    ]
    assert [each["set"] for each in ended] == [{"n": 1}, {"n": 2}, {"n": 3}, {}]
    assert [each["removed"] for each in ended] == [[], [], [], ["n"]]
    assert all(each["duration_s"] >= 0 and each["cpu_s"] >= 0 and each["peak_rss_bytes"] > 1e6 for each in ended)
    assert [each["n"] for each in ended] == [1, 2, 3, 4]
    end.send(t="exit")
    assert end.ended() == 0
    assert end.said() == "said by the author\n", "what is printed is the daemon's output, and no line of the pipe"


def test_it_is_low_in_priority(worker: Start) -> None:
    end = worker(CHAIN)
    end.expect("loaded")
    process = psutil.Process(end.process.pid)
    assert process.nice() == 19
    if psutil.LINUX:
        assert process.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
        with open(f"/proc/{process.pid}/oom_score_adj", encoding="ascii") as file:  # noqa: PTH123
            assert file.read() == "1000\n"


PARALLEL = """
    @flow.state(initial=True)
    async def fork(run: Run):
        run.data["base"] = 1
        return Parallel((left, right, right), join=end)

    @flow.state
    async def left(run: Run):
        run.data["left"] = run.data["base"]
        return left if run.visit < 2 else end

    @flow.state
    async def right(run: Run):
        run.data[run.branch] = True
        return end

    @flow.state
    async def end(run: Run):
        return Complete(sorted(run.data))
"""


def test_a_parallel(worker: Start) -> None:
    end = worker(PARALLEL)
    end.begun()
    joined: list[object] = []
    ended = end.drive(lambda message: joined.append(message) if message["t"] == "joined" else None)
    branches = [{"branch": f"fork:1/{name}", "state": name.partition("#")[0]} for name in ("left", "right", "right#2")]
    assert ended[0]["outcome"] == {"parallel": branches, "join": "end"}
    by_branch = {each["branch"]: each for each in ended}  # the last of each
    assert by_branch["fork:1/left"]["outcome"] == {"next": "end", "visit": 0}
    assert by_branch["fork:1/left"]["visit"] == 2
    (merge,) = joined
    merged = {"left": 1, "fork:1/right": True, "fork:1/right#2": True}
    assert merge == {"t": "joined", "n": 6, "visit": 1, "set": merged, "removed": []}
    assert ended[-1]["outcome"] == {"complete": ["base", "fork:1/right", "fork:1/right#2", "left"]}


def test_it_goes_on_in_the_midst_of_a_parallel(worker: Start) -> None:
    end = worker(
        PARALLEL,
        data={"base": 1, "old": 0},
        branches={
            "fork:1/left": {"set": {"left": 1}, "removed": ["old"], "join": "end"},
            "fork:1/right": {"set": {"mine": 2}, "removed": [], "join": "end"},
        },
        visits={"": {"fork": 1, "end": 4}, "fork:1/left": {"left": 2}, "fork:1/right": {"right": 1}},
    )
    end.expect("loaded")
    end.begin("left", "fork:1/left", visit=2, attempt=3)
    ended = end.expect("ended")
    assert (ended["attempt"], ended["outcome"], ended["set"]) == (3, {"next": "end", "visit": 0}, {})
    end.send(t="ack", n=ended["n"])
    end.begin("right", "fork:1/right")
    ended = end.expect("ended")
    assert ended["set"] == {"fork:1/right": True}
    end.send(t="ack", n=ended["n"], join="end")
    joined = end.expect("joined")
    assert (joined["visit"], joined["removed"]) == (5, ["old"])
    assert joined["set"] == {"left": 1, "mine": 2, "fork:1/right": True}


def test_a_conflict_names_both(worker: Start) -> None:
    branches = {name: {"set": {"key": name}, "removed": [], "join": "end"} for name in ("a", "b")}
    end = worker(PARALLEL, branches=branches)
    end.expect("loaded")
    end.send(t="begin", join="end")
    assert end.expect("joined")["conflict"] == {"key": "key", "branches": ["a", "b"]}


CALLS = """
    @flow.state(initial=True)
    async def work(run: Run):
        async def fetch(u, idempotency_key):
            print("called", u, idempotency_key, flush=True)
            return [u]
        run.data["got"] = [await run.call("fetch", {"u": u}, fetch) for u in (1, 2)]
        return Complete()
"""


def test_a_call_is_intended_before_and_recorded_after(worker: Start) -> None:
    end = worker(CALLS)
    end.begun()
    call = end.expect("call")
    place = step("work")
    assert {key: call[key] for key in place} == place
    assert (call["tool"], call["args"]) == ("fetch", {"u": 1})
    assert end.said() == "", "nothing is called before its intent is durable"
    end.send(t="ack", n=call["n"])
    called = end.expect("called")
    assert (called["key"], called["ok"], called["result"]) == (call["key"], True, [1])
    assert end.said() == f"called 1 {call['key']}\n"
    end.send(t="ack", n=called["n"])
    assert end.expect("call")["args"] == {"u": 2}, "not before the first one's outcome is durable"


def test_a_later_attempt_finds_what_was_called(worker: Start) -> None:
    end = worker(CALLS)
    end.begun()
    keys = []
    for _ in range(2):
        call = end.expect("call")
        keys.append(call["key"])
        end.send(t="ack", n=call["n"])
        if len(keys) == 1:
            end.send(t="ack", n=end.expect("called")["n"])
    end.expect("called")
    end.close()

    end = worker(CALLS)
    end.expect("loaded")
    calls = {keys[0]: {"status": "done", "result": ["kept"]}, keys[1]: {"status": "begun"}}
    end.begin("work", attempt=2, calls=calls)
    call = end.expect("call")
    assert (call["key"], call["args"], call["attempt"]) == (keys[1], {"u": 2}, 2)
    end.send(t="ack", n=call["n"])
    end.send(t="ack", n=end.expect("called")["n"])
    assert end.expect("ended")["set"] == {"got": [["kept"], [2]]}
    assert end.said() == f"called 2 {keys[1]}\n"


def test_an_attempt_that_has_ended_says_no_more(worker: Start) -> None:
    end = worker(CALLS)
    end.begun()
    end.send(t="no", n=end.expect("call")["n"], name="conflict", message="this attempt has ended")
    end.begin("work", attempt=2)
    call = end.expect("call")
    assert call["attempt"] == 2
    assert end.said() == ""


def test_progress_and_questions(worker: Start) -> None:
    end = worker("""
        @flow.state(initial=True)
        async def work(run: Run):
            for done in range(1000):
                run.progress(done, 1000, "now")
            await asyncio.sleep(0)
            run.data["cached"] = await run.cached("old")
            try:
                await run.upkeep("trim")
            except Exception as error:
                run.data["error"] = str(error)
            return Complete()
    """)
    end.begun()
    progress = end.expect("progress")
    assert progress == {"t": "progress", "branch": "", "done": 999, "of": 1000, "note": "now"}, "the newest only"
    cached = end.expect("cached")
    assert cached["key"] == "old"
    end.send(t="value", n=cached["n"], value={"x": 1})
    upkeep = end.expect("upkeep")
    assert upkeep["step"] == "trim"
    end.send(t="value", n=upkeep["n"], error="for housekeeping only")
    assert end.expect("ended")["set"] == {"cached": {"x": 1}, "error": "for housekeeping only"}


def test_housekeeping_asks_for_each_of_its_steps(worker: Start) -> None:
    end = worker(spec={"name": "housekeeping", "builtin": True})
    end.begun()
    asked = []
    while True:
        message = end.read()
        if message["t"] == "upkeep":
            asked.append(message["step"])
            end.send(t="value", n=message["n"], value={"found": message["step"]})
        elif "complete" in message["outcome"]:
            break
        else:
            end.send(t="ack", n=message["n"], steps=[step(message["outcome"]["next"])])
    assert asked == ["trim", "expire_runs", "checkpoint", "optimize", "integrity_check", "backup"]
    assert message["outcome"]["complete"] == {name: {"found": name} for name in asked}


def test_asked_to_yield_it_may_end_its_step(worker: Start) -> None:
    end = worker("""
        @flow.state(initial=True)
        async def work(run: Run):
            assert not run.yielding
            run.progress(1, 2)
            await run.until_yield()
            run.data["yielding"] = run.yielding
            return Retry(after="1h")
    """)
    end.begun()
    end.expect("progress")
    end.send(t="yield")
    ended = end.expect("ended")
    assert (ended["outcome"], ended["set"]) == ({"retry_after_s": 3600.0}, {})
