"""Words that were left in a file and are heard late: none of them undoes what is known since."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.life import CLIENT, POLICY, Life, kinds, record, started
from core.some_agents import assert_in_step
from torpord.core import agent_events as ae
from torpord.core import events as ev
from torpord.core.agents import Doing, Exhaustion, Status
from torpord.core.draft import Decision, Refusal
from torpord.core.recovery import Recovery

DAY_S = 86_400.0
HOUR_S = 3_600.0
TIMEOUT_S = POLICY.heartbeat_timeout_s


def tell(life: Life, to: str, ago_s: float, *, in_s: float = HOUR_S, source: str = "headers", **more: bool) -> Decision:
    """Let a word be heard that was said so long ago; of a report, what it told counts from then."""
    said_ts = life.now.wall_s - ago_s
    recovery = Recovery(said_ts + in_s, source) if to == "exhausted" else None
    return life.do(ae.AgentMoveWanted(CLIENT, "a", Status(to), recovery=recovery, said_ts=said_ts, **more))


def beat(life: Life, ago_s: float, doing: Doing | None = None) -> Decision:
    return life.do(ae.AgentBeat(CLIENT, "a", doing, life.now.wall_s - ago_s))


def register(life: Life, ago_s: float, **card: object) -> Decision:
    return life.do(ae.AgentRegisterWanted(CLIENT, "a", said_ts=life.now.wall_s - ago_s, **card))


def known(life: Life) -> Exhaustion:
    found = life.agent().exhaustion
    assert found is not None
    return found


def exhausted(source: str = "headers") -> Life:
    life = started()
    life.register()
    life.advance(10.0)
    life.exhaust(2 * HOUR_S, source)
    life.advance(10.0)
    return life


@pytest.mark.parametrize("source", ["headers", "estimated"])
@pytest.mark.parametrize("ago_s", [15.0, DAY_S])
@pytest.mark.parametrize("word", ["idle", "busy", "on_call", "beat busy", "beat idle"])
def test_what_was_said_before_an_exhaustion_does_not_end_it(word: str, ago_s: float, source: str) -> None:
    life = exhausted(source)
    before = known(life)
    said = beat(life, ago_s, Doing(word[5:])) if word.startswith("beat") else tell(life, word, ago_s)
    assert isinstance(said.reply, dict), "it was true when it was said, and is no conflict"
    assert said.reply["changed"] is False
    assert known(life) is before
    assert life.status() == "exhausted"


@pytest.mark.parametrize("word", ["idle", "beat busy"])
def test_what_was_said_after_it_does(word: str) -> None:
    life = exhausted("estimated")
    if word == "idle":
        tell(life, "idle", 5.0)
    else:
        beat(life, 5.0, Doing.BUSY)
    assert life.status() == word.removeprefix("beat ")


def test_an_exhaustion_that_was_left_is_as_old_as_its_word_and_so_is_undone_by_what_was_left_behind_it() -> None:
    life = started()
    life.register()
    life.advance(8 * HOUR_S)
    tell(life, "exhausted", 5 * HOUR_S, in_s=DAY_S)
    assert known(life).at_ts == life.now.wall_s - 5 * HOUR_S
    assert record(life.turns[-1].decision, "agent_exhausted")["said_ts"] == known(life).at_ts
    tell(life, "idle", 6 * HOUR_S)
    assert life.agent().exhaustion is not None
    tell(life, "idle", 4 * HOUR_S)
    assert life.agent().exhaustion is None


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("source", ["headers", "estimated"])
def test_a_report_of_yesterday_makes_an_exhaustion_longer_and_never_shorter(source: str, force: bool) -> None:
    life = exhausted(source)
    before = known(life)
    tell(life, "exhausted", DAY_S, in_s=300.0, force=force)
    tell(life, "exhausted", 15.0, in_s=300.0, force=force)
    assert known(life) is before
    tell(life, "exhausted", DAY_S, in_s=DAY_S + 3 * HOUR_S)
    assert (known(life).recovery_ts, known(life).at_ts) == (life.now.wall_s + 3 * HOUR_S, before.at_ts)


def test_a_report_whose_time_is_over_ends_no_work_of_today() -> None:
    life = started()
    life.register()
    life.tell("busy")
    tell(life, "exhausted", DAY_S, in_s=300.0)
    assert life.status() == "busy"
    tell(life, "exhausted", DAY_S, in_s=DAY_S + 60.0)
    assert life.status() == "exhausted"


def test_a_late_word_is_no_presence() -> None:
    life = started()
    life.register()
    life.pass_("presence_due")
    life.advance(DAY_S)
    seen_ts = life.now.wall_s - HOUR_S
    assert kinds(beat(life, HOUR_S)) == ["agent_seen"]
    assert (life.status(), life.world.agents.seen["a"].wall_s) == ("offline", seen_ts)
    beat(life, 2 * HOUR_S)
    assert life.world.agents.seen["a"].wall_s == seen_ts, "what was heard since is newer"
    beat(life, TIMEOUT_S - 20.0, Doing.BUSY)
    assert (life.status(), life.world.agents.seen["a"].wall_s) == ("busy", life.now.wall_s - TIMEOUT_S + 20.0)
    life.pass_("presence_due")
    assert life.turns[-1].now.awake_s - life.turns[-2].now.awake_s == 20.0, "its time counts from when it was said"
    assert life.status() == "offline"


def test_nor_does_it_keep_anybody_online() -> None:
    life = started()
    life.register()
    life.advance(TIMEOUT_S - 1.0)
    beat(life, TIMEOUT_S + 1.0)
    life.pass_("presence_due")
    assert life.status() == "offline"


def test_what_an_agent_said_of_its_work_while_nobody_heard_holds_when_it_is_back() -> None:
    life = started()
    life.register()
    life.pass_("presence_due")
    life.advance(DAY_S)
    for said in (lambda: beat(life, HOUR_S, Doing.BUSY), lambda: tell(life, "busy", HOUR_S)):
        said()
        assert (life.status(), life.agent().doing) == ("offline", "busy")
        assert not life.world.busy
    life.beat()
    assert life.status() == "busy"


@pytest.mark.parametrize("to", ["idle", "offline", "on_call"])
def test_what_was_heard_since_is_newer_than_a_late_word(to: str) -> None:
    life = started()
    life.register()
    life.slot(0.0)
    life.pass_("slots_due")
    life.take()
    before = life.agent()
    assert isinstance(tell(life, to, DAY_S).reply, dict)
    assert life.agent() is before


def test_words_that_cross_by_moments_are_both_heard() -> None:
    """One that is left while the daemon comes up may be read after a bare heartbeat that was sent later."""
    life = started()
    life.register()
    life.advance(5.0)
    life.beat()
    beat(life, 3.0, Doing.BUSY)
    assert life.status() == "busy"


def test_who_registered_long_ago_is_there_by_its_process_or_not_at_all() -> None:
    life = started()
    assert kinds(register(life, HOUR_S, meta="1"))[-2:] == ["agent_registered", "agent_offline"]
    assert (life.status(), life.world.agents.seen["a"].wall_s) == ("offline", life.now.wall_s - HOUR_S)
    life.advance(10.0)
    assert kinds(register(life, HOUR_S, pid=7, pid_start="1"))[-2:] == ["agent_online", "agent_quiet"]
    life.do(ae.AgentForgetWanted(CLIENT, "a"))
    register(life, HOUR_S, pid=7, pid_start="1")
    assert (life.status(), life.agent().quiet) == ("idle", True)
    life.pass_("drowsy_due")
    assert life.status() == "idle"


def test_one_that_is_known_and_registered_long_ago_with_a_process_is_back_and_quiet() -> None:
    life = started()
    life.register()
    life.pass_("presence_due")
    life.advance(DAY_S)
    register(life, HOUR_S)
    assert life.status() == "offline"
    register(life, HOUR_S, pid=7, pid_start="1")
    assert (life.status(), life.agent().quiet) == ("idle", True)


def test_a_slot_that_was_taken_long_ago_is_taken_and_brings_nobody_back() -> None:
    life = started()
    life.register()
    life.slot(0.0)
    life.pass_("slots_due")
    life.pass_("presence_due")
    life.advance(DAY_S)
    life.do(ae.SlotTakeWanted(CLIENT, "s1", said_ts=life.now.wall_s - HOUR_S))
    assert (life.status(), life.agent().slot_id, life.agent().doing) == ("offline", "s1", "busy")
    life.do(ae.SlotFinishWanted(CLIENT, "s1", said_ts=life.now.wall_s - HOUR_S + 60.0))
    assert (life.status(), life.agent().slot_id, life.agent().doing) == ("offline", None, "idle")


def test_a_late_word_of_what_works_is_no_use_of_the_daemon() -> None:
    life = started()
    life.register()
    life.beat(doing=Doing.BUSY)
    life.pass_("presence_due")
    life.advance(DAY_S)
    seq = life.world.activity.event_seq
    beat(life, HOUR_S)
    beat(life, HOUR_S, Doing.BUSY)
    assert life.world.activity.event_seq == seq


WORDS = st.tuples(
    st.sampled_from(["beat", "idle", "busy", "on_call", "offline", "exhausted", "forced", "register", "now", "wait"]),
    st.sampled_from([0.0, 1.0, 30.0, TIMEOUT_S - 1, TIMEOUT_S + 1, 1000.0, HOUR_S, DAY_S]),
    st.sampled_from([-60.0, 10.0, 300.0, HOUR_S, 2 * DAY_S]),
)


def hear(life: Life, word: str, ago_s: float, in_s: float) -> None:
    """Let a word be heard, late, or at once, or let time pass with all that is due."""
    match word:
        case "wait":
            life.advance(ago_s)
        case "now":
            life.tell("busy" if in_s > HOUR_S else "idle")
        case "beat":
            beat(life, ago_s, (None, Doing.BUSY, Doing.IDLE)[int(in_s) % 3])
        case "register":
            register(life, ago_s, **({"pid": 7, "pid_start": "1"} if in_s > 0 else {}))
        case "exhausted" | "forced":
            source = "headers" if in_s == HOUR_S else "estimated"
            tell(life, "exhausted", ago_s, in_s=in_s, source=source, force=word == "forced")
        case _:
            tell(life, word, ago_s)
    for _ in range(50):
        due = life.due()
        if not due:
            return
        life.do(ev.DeadlinePassed({"source": "deadline"}, due[0].name))
    raise AssertionError(f"due for ever: {due}")


@given(st.lists(WORDS, max_size=25))
def test_in_any_order_all_is_in_step_and_nothing_known_is_undone(words: list[tuple[str, float, float]]) -> None:
    life = started()
    life.register()
    for word in words:
        turns = len(life.turns)
        hear(life, *word)
        for turn in life.turns[turns:]:
            said_ts = getattr(turn.event, "said_ts", None)
            before, after = turn.before.agents, turn.decision.world.agents
            assert_in_step(turn.decision.world)
            assert after.seen["a"].wall_s >= before.seen["a"].wall_s
            if said_ts is None or isinstance(turn.decision.reply, Refusal):
                continue
            was, now = before.by_id["a"].exhaustion, after.by_id["a"].exhaustion
            if was is not None and said_ts < was.at_ts:
                assert now is not None
                assert now.recovery_ts >= was.recovery_ts
            if turn.now.wall_s - said_ts > TIMEOUT_S:
                assert after.seen["a"].awake_s <= max(before.seen["a"].awake_s, turn.now.awake_s - TIMEOUT_S)
                came = after.by_id["a"].online and not before.by_id["a"].online
                assert not came or after.by_id["a"].quiet
