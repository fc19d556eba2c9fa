"""How a worker ends, and what its author's code may do wrong: nothing of it reaches anybody else."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

import torpor
from flows.conftest import Start
from flows.worker_end import step
from waiting import until

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


@pytest.mark.parametrize("how", ["cancel", "SIGTERM", "exit"])
def test_cancelled_it_cleans_up_and_leaves(worker: Start, how: str) -> None:
    end = worker("""
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def opened():
            yield
            print("services closed")

        flow = Flow("given", services=opened)

        @flow.state(initial=True)
        async def fork(run: Run):
            return Parallel((slow, plain, blocked), join=end)

        @flow.state(to="end")
        async def slow(run: Run):
            run.progress(0, 1)
            try:
                await asyncio.Event().wait()
            finally:
                print("cleaned up")

        @flow.state(to="end")
        def plain(run: Run):
            try:
                while True:
                    time.sleep(0.01)
            finally:
                print("so did the thread")

        @flow.state(to="end")
        def blocked(run: Run):
            return end

        @flow.state
        async def end(run: Run):
            return Complete()
    """)
    end.begun()
    fork = end.expect("ended")
    end.send(t="ack", n=fork["n"], steps=[step(each["state"], each["branch"]) for each in fork["outcome"]["parallel"]])
    assert {end.read()["t"] for _ in range(2)} == {"progress", "ended"}
    if how == "SIGTERM":
        os.kill(end.process.pid, signal.SIGTERM)
    else:
        end.send(t=how)
    assert end.ended() == 0
    assert sorted(end.said().splitlines()) == ["cleaned up", "services closed", "so did the thread"]
    assert end.read() == {}, "a cancelled step reports nothing"


def test_a_terminals_interrupt_is_not_for_it(worker: Start) -> None:
    end = worker(CHAIN)
    end.expect("loaded")
    os.kill(end.process.pid, signal.SIGINT)
    end.begin("first")
    assert end.drive()[-1]["outcome"] == {"complete": ["r1", 1]}


def test_what_blocks_for_ever_does_not_keep_it(worker: Start) -> None:
    end = worker("""
        import threading
        @flow.state(initial=True)
        def work(run: Run):
            run.progress(0, 1)
            threading.Lock().acquire() and threading.Semaphore(0).acquire()
            return Complete()
    """)
    end.begun()
    end.expect("progress")
    end.send(t="cancel")
    assert end.ended() == 0


def test_without_a_daemon_it_is_gone(worker: Start) -> None:
    end = worker("""
        @flow.state(initial=True)
        async def work(run: Run):
            child = subprocess.Popen(["/bin/sh", "-c", "sleep 1000 & wait"], start_new_session=True)
            run.progress(child.pid, 1)
            await asyncio.Event().wait()
            return Complete()
    """)
    end.begun()
    child = psutil.Process(int(end.expect("progress")["done"]))
    (grandchild,) = until(child.children)
    end._lines.close()
    end.sock.close()
    assert end.ended() == 0
    for process in (child, grandchild):
        until(lambda process=process: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)  # type: ignore[misc]


def test_a_daemon_that_says_nothing(worker: Start) -> None:
    end = worker(CHAIN)
    end.expect("loaded")
    end._lines.close()
    end.sock.close()
    assert end.ended() == 0


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_a_worker_that_dies_just_ends_the_pipe(worker: Start, how: str) -> None:
    end = worker(f"""
        @flow.state(initial=True)
        async def work(run: Run):
            {how}
            return Complete()
    """)
    end.begun()
    assert end.read() == {}
    assert end.ended() != 0


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('raise SystemExit("bye")', "SystemExit: bye"),
        ('run.data["x"] = {1, 2}', "run.data['x'] is not JSON: Type is not JSON serializable: set"),
        ('run.data["x"] = "y" * 10_000_000', "run.data (most of it in 'x', 10000007 bytes) has 10000018 bytes as JSON"),
        (
            'return Complete("y" * 10_000_000)',
            "the result of the run has 10000002 bytes as JSON, over the limit of 1048576",
        ),
        ("return 42", "work returned 42 (int)"),
        ('raise ValueError("y" * 10_000_000)', "[... cut: over 64 KiB ...]"),
    ],
)
def test_what_a_state_does_wrong_is_a_failure_and_nothing_else(worker: Start, line: str, text: str) -> None:
    end = worker(f"""
        @flow.state(initial=True, retries=4, to=Complete)
        async def work(run: Run):
            run.data["junk"] = 1
            if run.attempt == 1:
                {line}
            return Complete(run.data["junk"])
    """)
    end.begun()
    ended = end.expect("ended")
    error = ended["outcome"]["failed"]
    assert text in f"{error['type']}: {error['message']}"
    retries = 0 if error["type"] == "StepMistakeError" else 4
    assert (ended["outcome"]["retries"], ended["set"], ended["removed"]) == (retries, {}, [])
    end.send(t="ack", n=ended["n"], steps=[step("work", attempt=2)])
    assert end.expect("ended")["outcome"] == {"complete": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def broken(:", "module given has a syntax error: "),
        ("import nonesuch", "module given needs 'nonesuch', which is not installed for"),
        ("raise SystemExit", "module given ends the program when it is imported"),
        ("1 / 0", "module given cannot be imported: ZeroDivisionError: division by zero ("),
        ("flow = 7", "given:flow is a int, not a torpord.Flow"),
        ("del flow\nother = Flow('other')", "has no 'flow'; the flows in it: other"),
        ("", "flow given: it has no state"),
        ("flow.state(initial=True, timeout='soon')(print)", "timeout='soon' is no duration"),
    ],
)
def test_a_flow_that_cannot_be_loaded(worker: Start, text: str, told: str) -> None:
    end = worker(text)
    error = end.expect("unloadable")["error"]
    assert error["type"] == "FlowError"
    assert error["message"].startswith("flow given: ")
    assert told in error["message"]
    assert end.ended() == 0


def test_a_module_that_is_not_there(worker: Start, tmp_path: object) -> None:
    end = worker(spec={"name": "lost", "python": "lost:flow", "path": str(tmp_path)})
    assert f"module lost is neither in {tmp_path} nor installed for" in end.expect("unloadable")["error"]["message"]
    end = worker(spec={"name": "lost", "python": "lost:flow", "path": "/nonexistent"})
    assert "path /nonexistent is not a folder" in end.expect("unloadable")["error"]["message"]


def test_what_an_author_starts_on_the_side_ends_the_worker_at_most(worker: Start) -> None:
    end = worker("""
        @flow.state(initial=True)
        async def work(run: Run):
            async def aside():
                sys.exit("from a task")
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 1000)
            task = asyncio.create_task(aside())
            await asyncio.Event().wait()
            return Complete()
    """)
    end.begun()
    assert end.read() == {}
    assert end.ended() == 70
    assert "SystemExit: from a task" in end.said()


def test_what_a_state_had_begun_to_say_is_said_before_its_failure(worker: Start) -> None:
    end = worker("""
        @flow.state(initial=True)
        async def work(run: Run):
            print("half a", end="")
            print(" line", end="", file=sys.stderr)
            return Failed("then")
    """)
    end.begun()
    end.expect("ended")
    assert sorted(end.said()) == sorted("half a line")


def test_one_of_another_version_begins_nothing_and_says_so(worker: Start) -> None:
    end = worker("raise SystemExit('its code is not even loaded')", version="9.9")
    assert end.expect("outdated")["version"] == torpor.__version__
    assert end.ended() == 0
