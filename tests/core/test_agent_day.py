"""A day in the life: ten agents that work, pause, exhaust, vanish and come back, and the ledger of it."""

from __future__ import annotations

import pytest

from core.day import Day
from core.folding import fold, in_the_ledger, read_back
from torpord.core.draft import Refusal


def a_day() -> Day:
    """Live it, and look at everybody after each part."""
    day = Day("07:00")
    for part in (dawn, morning, noon, afternoon, evening, next_morning):
        part(day)
        day.look()
    return day


def refused(reply: object, name: str, status: str) -> None:
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data.get("status", "")) == (name, status)


def dawn(day: Day) -> None:
    day.start("manual")
    day.registers("editor")  # open all day and all night, and idle
    day.go("08:00")
    assert day.down


def morning(day: Day) -> None:
    """Everybody comes. Two run into their quotas, one process dies, one is called."""
    day.start("connect")
    for agent_id in ("claude", "codex", "billing", "reviewer"):
        day.registers(agent_id)
        day.beat(agent_id, "busy")
    day.registers("reviewer/sub", parent_id="reviewer")
    day.beat("reviewer/sub", "busy")
    day.registers("builder", pid=5001, pid_start="1")
    day.beat("builder", "busy")
    day.registers("pager")
    day.registers("gemini")
    day.registers("night", wake_command="wake-night")
    day.go("08:30")
    day.moves("night", "offline")
    day.plans("claude", "c1", "09:30")
    day.plans("pager", "p1", "10:00", "on_call")
    day.plans("gemini", "g1", "11:00")
    day.plans("night", "n1", "14:00")
    day.go("08:40")
    day.forgets("reviewer/sub")
    day.go("09:00")
    day.moves("codex", "exhausted")
    day.go("09:05")
    day.vanishes("codex")
    day.go("09:10")
    day.process_ends("builder", 5001, "1")
    day.go("09:20")
    day.registers("builder", pid=5002, pid_start="2")
    day.go("09:31")
    refused(day.takes("pager", "c1"), "not_found", "")
    day.takes("claude", "c1")
    refused(day.takes("claude", "c1"), "conflict", "taken")
    day.go("09:45")
    day.reports("claude", "12:00", "message")
    refused(day.takes("claude", "c1"), "conflict", "planned")
    day.go("09:50")
    day.vanishes("claude")
    day.go("10:02")
    day.takes("pager", "p1")
    refused(day.beat("pager", "busy"), "conflict", "on_call")
    day.plans("pager", "p2", "17:00")
    day.go("10:30")
    day.finishes("pager", "p1")


def noon(day: Day) -> None:
    """Who was away comes back as what it was."""
    day.cancels("p2")
    day.reports("billing", "36:00", "recovery_at", reason="billing")
    refused(day.beat("billing", "busy"), "conflict", "exhausted")
    day.go("10:35")
    day.reports("billing", "11:00", "headers", reason="billing")
    assert day.recovers("billing") == "36:00:00"
    day.reports("billing", "13:00", "retry_after", reason="billing", force=True)
    day.go("10:40")
    day.beat("codex")
    day.beat("codex", "idle")
    assert day.statuses()["codex"] == "exhausted"
    day.go("10:45")
    day.beat("codex", "busy")
    day.vanishes("gemini")
    day.go("11:20")
    day.beat("gemini")
    day.takes("gemini", "g1")
    day.go("11:40")
    day.moves("gemini", "idle")
    day.go("12:05")
    day.beat("claude")
    day.takes("claude", "c1")
    day.go("12:30")
    day.finishes("claude", "c1")


def afternoon(day: Day) -> None:
    """A slot wakes who is not there; the daemon is killed between; everybody stops working."""
    day.go("14:00:10")
    day.wake_command_ends("night", "n1")
    day.beat("night")
    day.takes("night", "n1")
    day.go("14:20")
    day.finishes("night", "n1")
    day.moves("night", "offline")
    day.go("15:00")
    for agent_id in ("reviewer", "codex"):
        day.moves(agent_id, "idle")
    day.moves("builder", "offline")
    day.plans("night", "n2", "16:00")
    day.plans("night", "n3", "27:00")
    day.go("16:00:03")
    day.start("crash")  # it was killed while the wake command ran
    day.go("16:00:20")
    day.wake_command_ends("night", "n2", "exit status 1")
    day.go("16:01")
    day.beat("night")
    day.takes("night", "n2")
    day.go("16:10")
    day.moves("night", "offline")


def evening(day: Day) -> None:
    """The lid is closed for two hours; then everybody but the editor is gone, and the daemon goes as well."""
    day.go("16:10:30")
    for agent_id in ("claude", "codex", "gemini", "pager", "billing", "reviewer"):
        day.vanishes(agent_id)
    day.suspend("18:10:30")
    assert list(day.statuses().values()).count("idle") == 7
    day.go("31:00")
    assert day.down


def next_morning(day: Day) -> None:
    """What was due in the night is taken up at the next start; what was begun the evening before is ended first."""
    day.start("connect")
    day.go("31:00:02")
    day.wake_command_ends("night", "n3")
    refused(day.takes("night", "n3"), "conflict", "offered")
    day.finishes("night", "n2")
    day.takes("night", "n3")
    day.go("31:10")
    day.finishes("night", "n3")


@pytest.fixture(scope="module")
def day() -> Day:
    return a_day()


def test_the_ledger_of_the_day(day: Day) -> None:
    assert day.ledger() == LEDGER.strip().splitlines()


def test_how_everybody_was(day: Day) -> None:
    assert day.looks == LOOKS.strip().splitlines()


def test_a_beat_is_in_no_ledger(day: Day) -> None:
    assert day.beats > 4_000
    assert len(day.ledger()) < 200


def test_each_slot_woke_its_agent_once_and_again_after_the_crash(day: Day) -> None:
    assert day.wake_commands() == [("night", "n1"), ("night", "n2"), ("night", "n2"), ("night", "n3")]
    assert len(day.life.world.agents.slots) == 0


def test_the_ledger_gives_the_world(day: Day) -> None:
    kept = [read_back(entry) for entry in day.life.entries if entry.record.ledgered]
    assert [entry.seq for entry in kept] == list(range(1, len(kept) + 1))
    assert in_the_ledger(fold(kept)) == in_the_ledger(day.life.world)


# "27:00" is three the next morning.
LEDGER = """
07:00:00 started generation=1 pid=100 start_cause=manual
07:00:00 agent_registered editor
07:05:00 state_transition from=WAKE to=DROWSY trigger=drowsy_due
07:30:00 state_transition from=DROWSY to=SLEEP trigger=sleep_due
07:30:00 run_created
07:30:00 sleep_cycle_started
07:30:00 run_started
07:30:00 flow_loaded
07:30:00 step_started
07:30:00 step_ended
07:30:00 step_ended
07:30:00 step_ended
07:30:00 step_ended
07:30:00 step_ended
07:30:00 run_completed
07:30:00 sleep_cycle_done
07:30:00 state_transition from=SLEEP to=HIBERNATION trigger=sleep_cycle_done
07:30:00 stopped reason=hibernate
08:00:00 started generation=2 pid=100 start_cause=connect
08:00:00 state_transition from=HIBERNATION to=WAKE trigger=request_arrived
08:00:00 agent_registered claude
08:00:00 agent_doing claude doing=busy
08:00:00 agent_registered codex
08:00:00 agent_doing codex doing=busy
08:00:00 agent_registered billing
08:00:00 agent_doing billing doing=busy
08:00:00 agent_registered reviewer
08:00:00 agent_doing reviewer doing=busy
08:00:00 agent_registered reviewer/sub parent_id=reviewer
08:00:00 agent_doing reviewer/sub doing=busy
08:00:00 agent_registered builder pid=5001
08:00:00 agent_doing builder doing=busy
08:00:00 agent_registered pager
08:00:00 agent_registered gemini
08:00:00 agent_registered night wake_command=wake-night
08:30:00 agent_offline night how=said
08:30:00 slot_added claude slot_id=c1 type=work at_ts=09:30:00
08:30:00 slot_added pager slot_id=p1 type=on_call at_ts=10:00:00
08:30:00 slot_added gemini slot_id=g1 type=work at_ts=11:00:00
08:30:00 slot_added night slot_id=n1 type=work at_ts=14:00:00
08:40:00 agent_forgotten reviewer/sub how=asked
09:00:00 agent_exhausted codex reason=rate_limit recovery_ts=14:00:00 recovery_source=estimated
09:07:00 agent_offline codex how=timeout
09:10:00 agent_offline builder how=process_ended
09:20:00 agent_online builder how=heartbeat
09:20:00 agent_registered builder pid=5002
09:30:00 slot_offered claude slot_id=c1 offers=1 via=agent pause_s=60.0
09:31:00 slot_offered claude slot_id=c1 offers=2 via=agent pause_s=120.0
09:31:00 slot_taken claude slot_id=c1
09:31:00 agent_doing claude doing=busy slot_id=c1
09:45:00 agent_exhausted claude reason=rate_limit recovery_ts=12:00:00 recovery_source=message
09:45:00 slot_deferred claude slot_id=c1 until_ts=12:00:00
09:52:00 agent_offline claude how=timeout
10:00:00 slot_offered pager slot_id=p1 offers=1 via=agent pause_s=60.0
10:01:00 slot_offered pager slot_id=p1 offers=2 via=agent pause_s=120.0
10:02:00 slot_taken pager slot_id=p1
10:02:00 agent_doing pager doing=on_call slot_id=p1
10:02:00 slot_added pager slot_id=p2 type=work at_ts=17:00:00
10:30:00 slot_finished pager slot_id=p1
10:30:00 agent_doing pager doing=idle
10:30:00 slot_cancelled pager slot_id=p2 how=asked
10:30:00 agent_exhausted billing reason=billing recovery_ts=36:00:00 recovery_source=recovery_at
10:35:00 agent_exhausted billing reason=billing recovery_ts=13:00:00 recovery_source=retry_after moved=True
10:40:00 agent_online codex how=heartbeat
10:45:00 agent_recovered codex how=said
10:45:00 agent_doing codex doing=busy
10:47:00 agent_offline gemini how=timeout
11:00:00 slot_waiting gemini slot_id=g1
11:20:00 agent_online gemini how=heartbeat
11:20:00 slot_offered gemini slot_id=g1 offers=1 via=agent pause_s=60.0
11:20:00 slot_taken gemini slot_id=g1
11:20:00 agent_doing gemini doing=busy slot_id=g1
11:40:00 slot_finished gemini slot_id=g1
11:40:00 agent_doing gemini doing=idle
12:00:00 agent_recovered claude how=reached
12:00:00 slot_waiting claude slot_id=c1
12:05:00 agent_online claude how=heartbeat
12:05:00 slot_offered claude slot_id=c1 offers=3 via=agent pause_s=240.0
12:05:00 slot_taken claude slot_id=c1
12:05:00 agent_doing claude doing=busy slot_id=c1
12:30:00 slot_finished claude slot_id=c1
12:30:00 agent_doing claude doing=idle
13:00:00 agent_recovered billing how=reached
14:00:00 slot_offered night slot_id=n1 offers=1 via=command pause_s=60.0
14:00:00 agent_wake_started night slot_id=n1
14:00:10 agent_wake_ended night slot_id=n1
14:00:10 agent_online night how=heartbeat
14:00:10 slot_taken night slot_id=n1
14:00:10 agent_doing night doing=busy slot_id=n1
14:20:00 slot_finished night slot_id=n1
14:20:00 agent_doing night doing=idle
14:20:00 agent_offline night how=said
15:00:00 agent_doing reviewer doing=idle
15:00:00 agent_doing codex doing=idle
15:00:00 agent_offline builder how=said
15:00:00 slot_added night slot_id=n2 type=work at_ts=16:00:00
15:00:00 slot_added night slot_id=n3 type=work at_ts=27:00:00
15:05:00 state_transition from=WAKE to=DROWSY trigger=drowsy_due
15:30:00 state_transition from=DROWSY to=SLEEP trigger=sleep_due
15:30:00 run_created
15:30:00 sleep_cycle_started
15:30:00 run_started
15:30:00 flow_loaded
15:30:00 step_started
15:30:00 step_ended
15:30:00 step_ended
15:30:00 step_ended
15:30:00 step_ended
15:30:00 step_ended
15:30:00 run_completed
15:30:00 sleep_cycle_done
15:30:00 hibernation_blocked
16:00:00 slot_offered night slot_id=n2 offers=1 via=command pause_s=60.0
16:00:00 agent_wake_started night slot_id=n2
16:00:03 started generation=3 pid=100 start_cause=crash
16:00:03 agent_wake_ended night slot_id=n2 problem=the daemon ended
16:00:03 slot_offered night slot_id=n2 offers=2 via=command pause_s=120.0
16:00:03 agent_wake_started night slot_id=n2
16:00:20 agent_wake_ended night slot_id=n2 problem=exit status 1
16:01:00 agent_online night how=heartbeat
16:01:00 state_transition from=SLEEP to=WAKE trigger=request_arrived
16:01:00 slot_taken night slot_id=n2
16:01:00 agent_doing night doing=busy slot_id=n2
16:10:00 agent_offline night how=said
18:10:30 resumed_from_suspend asleep_s=7200.0
18:12:30 agent_offline billing how=timeout
18:12:30 agent_offline claude how=timeout
18:12:30 agent_offline codex how=timeout
18:12:30 agent_offline gemini how=timeout
18:12:30 agent_offline pager how=timeout
18:12:30 agent_offline reviewer how=timeout
18:15:00 state_transition from=WAKE to=DROWSY trigger=drowsy_due
18:40:00 state_transition from=DROWSY to=SLEEP trigger=sleep_due
18:40:00 sleep_cycle_skipped reason=not due yet
18:40:00 state_transition from=SLEEP to=HIBERNATION trigger=sleep_cycle_done
18:40:00 stopped reason=hibernate
31:00:00 started generation=4 pid=100 start_cause=connect
31:00:00 state_transition from=HIBERNATION to=WAKE trigger=request_arrived
31:00:00 slot_offered night slot_id=n3 offers=1 via=command pause_s=60.0
31:00:00 agent_wake_started night slot_id=n3
31:00:02 agent_wake_ended night slot_id=n3
31:00:02 agent_online night how=heartbeat
31:00:02 slot_finished night slot_id=n2
31:00:02 slot_taken night slot_id=n3
31:00:02 agent_doing night doing=busy slot_id=n3
31:10:00 slot_finished night slot_id=n3
31:10:00 agent_doing night doing=idle
"""

LOOKS = """
08:00:00 HIBERNATION idle=editor
10:30:00 WAKE offline=claude,codex,night busy=billing,builder,reviewer idle=editor,gemini,pager
12:30:00 WAKE offline=night exhausted=billing busy=builder,codex,reviewer idle=claude,editor,gemini,pager
16:10:00 WAKE offline=builder,night idle=billing,claude,codex,editor,gemini,pager,reviewer
31:00:00 HIBERNATION offline=billing,builder,claude,codex,gemini,night,pager,reviewer idle=editor
31:10:00 WAKE offline=billing,builder,claude,codex,gemini,pager,reviewer idle=editor,night
"""
