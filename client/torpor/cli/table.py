"""The commands, one row each: name, what it is for, its arguments, the function that does it.

Help, parsing and shell completion are all made from this table. A row names its function as text, so that a command
loads only what it needs. A name of two words belongs to a group (`GROUPS`); the group's name alone is the
first of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torpor import wire
from torpor.cli import typed


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. A name with a dash is an option, and a flag where `reads` is None; one without is a position.

    `optional`: a position that may be left out. `is_file`, `is_flow`, `is_agent`: a shell completes their names.
    """

    names: tuple[str, ...]
    help: str
    reads: Callable[[str], object] | None = str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    repeats: bool = False
    default: object = None
    optional: bool = False
    is_file: bool = False
    is_flow: bool = False
    is_agent: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `prints`: it takes --json. `runs`: what follows its own arguments is another command's line."""

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...] = ()
    prints: bool = True
    runs: bool = False


_HOME_HELP = "the daemon's home (TORPOR_HOME, else this platform's default)"
HOME = Argument(("--home",), _HOME_HELP, typed.directory, "DIR")
TIMEOUT = Argument(("--timeout",), "how long to wait for an answer, 30s by default", typed.duration, "T", default=30.0)
# The others' have the words for what they do: each command takes the option, so that scripts need not know which.
_ASK_LIMIT = replace(TIMEOUT, help="how long to wait for each answer, 5s at most")
_BACK_LIMIT = replace(TIMEOUT, help="how long to wait for it to come back by each way, 15s at most")
_HOOK_LIMIT = replace(TIMEOUT, help="without effect here: it gives up within a second")
_NO_LIMIT = replace(TIMEOUT, help="without effect here")
JSON = Argument(("--json",), "print JSON", None)

_EVENTS = "request_arrived (somebody needs it), heartbeat_refresh (still there), wake_signal, force_sleep"
_EVENT = Argument(("event",), _EVENTS, metavar="EVENT", choices=wire.EVENTS)
_KEY = Argument(("--key",), "apply it once, however often it is sent with this key", metavar="K")
_NOW = Argument(("--now",), "give the sleep cycle no time to end", None)
_FOLLOW = Argument(("-f", "--follow"), "go on with what happens from now on", None)
_SINCE = Argument(("--since",), "only from this time on: ISO 8601, or 2h for two hours ago", typed.moment, "T")
_KIND = Argument(
    ("--kind",), "only records of this kind, client/PROTOCOL.md lists them; may be repeated", metavar="K", repeats=True
)
_STATE = Argument(("state",), "WAKE, DROWSY, SLEEP or HIBERNATION", typed.state, "STATE", choices=wire.STATES)
_WAIT_LIMIT = Argument(
    ("--timeout",), "how long to wait, without a limit by default; then exit 75", typed.duration, "T"
)
_WHY = Argument(("--why",), "the reason to show, by default the command", metavar="W")
_TTL = Argument(("--ttl",), "hold no longer than this, also where the command goes on", typed.duration, "T")
_FIX = Argument(("--fix",), "mend what is safe to mend, and say what was done", None)
_ONLY = Argument(("--only",), "this way alone: " + ", ".join(wire.WAYS), metavar="WAY", choices=wire.WAYS)
_SHELL = Argument(
    ("shell",), "the shell to make it for: bash, zsh or fish", metavar="SHELL", choices=("bash", "zsh", "fish")
)

_ID_HELP = "its id, the first characters of it (4 or more), or `last`"
_RUN = Argument(("run",), _ID_HELP, metavar="RUN")
_FLOW = Argument(("flow",), "the flow's name, `torpor flows` lists them", metavar="FLOW", is_flow=True)
_DATA = Argument(
    ("--data",), "what it begins with: a JSON object, @FILE or @- for one from there", metavar="JSON|@FILE"
)
_METADATA = Argument(("--metadata",), "about it, for your own use: JSON as for --data", metavar="JSON|@FILE")
_START_KEY = Argument(("--key",), "begin it once, however often it is asked for with this key", metavar="K")
_STATE_TO_BEGIN = Argument(("--state",), "begin at this state instead of the initial one", metavar="S")
_PURPOSE = Argument(("--purpose",), "what it is for, for people", metavar="P")
_SESSION = Argument(("--session",), "the session it belongs to, for your own use", metavar="ID")
_MAX_STEPS = Argument(("--max-steps",), "fail after so many steps, 1000 by default", typed.count, "N")
_THEN_FOLLOW = Argument(("--follow",), "then do as `runs follow`", None)
_THEN_WAIT = Argument(("--wait",), "return when it has ended: exit 0 completed, 1 failed or cancelled", None)
_END_LIMIT_HELP = "how long to wait for its end, without a limit by default; then exit 75"
_START_LIMIT = Argument(("--timeout",), f"with --wait or --follow {_END_LIMIT_HELP}", typed.duration, "T")
_END_LIMIT = Argument(("--timeout",), _END_LIMIT_HELP, typed.duration, "T")
_OF_STATUS = Argument(
    ("--status",), "only those that are " + ", ".join(wire.RUN_STATUSES), metavar="S", choices=wire.RUN_STATUSES
)
_OF_FLOW = Argument(("--flow",), "only those of this flow", metavar="F")
_LIMIT = Argument(("-n", "--limit"), "the newest N, 30 by default; 0: all", typed.count, "N", default=30)
_NEW_FLOW = Argument(("--flow",), "the flow of a run that does not know its own", metavar="F")
_NEW_STATE = Argument(("--state",), "the state to go on at, where its own is not there any more", metavar="S")
_TO_FILE = Argument(
    ("file",), "where to write it, - or nothing: standard output", metavar="FILE", optional=True, is_file=True
)
_FROM_FILE = Argument(("file",), "what was exported, - for standard input", metavar="FILE", is_file=True)

_LAST = Argument(("-n", "--limit"), "only the newest N; 0: all, as without it", typed.count, "N", default=0)
_OF_THE_AGENT = Argument(("--agent",), "only records of this agent and its slots", metavar="NAME", is_agent=True)
_AGENT = Argument(("name",), "its name; the beginning, where it is known by that", metavar="NAME", is_agent=True)
_NEW_AGENT = Argument(("name",), "its name, one of your choice", metavar="NAME", is_agent=True)
_AGENT_STATUS = Argument(
    ("--status",), "only those that are " + ", ".join(wire.AGENT_STATUSES), metavar="S", choices=wire.AGENT_STATUSES
)
_AGENT_IS = Argument(
    ("status",), "one of " + ", ".join(wire.AGENT_STATUSES), metavar="STATUS", choices=wire.AGENT_STATUSES
)
_TAKES_AWAY = "an empty text takes it away"
_WAKE_COMMAND = Argument(
    ("--wake-command",), f"for a shell: starts it for a slot where it is away; {_TAKES_AWAY}", metavar="CMD"
)
_PARENT = Argument(("--parent",), f"the agent that it works for; {_TAKES_AWAY}", metavar="NAME", is_agent=True)
_PID = Argument(("--pid",), "its process: it is offline as soon as that has ended; 0: none", typed.count, "PID")
_META = Argument(("--meta",), f"about it, for your own use: JSON, or @FILE; {_TAKES_AWAY}", metavar="JSON|@FILE")
_ALL_AGENTS = Argument(("--all",), "also those that have been offline for over an hour", None)
_DOING = Argument(("--doing",), "what it is doing: " + ", ".join(wire.DOINGS), metavar="D", choices=wire.DOINGS)
_REASON = Argument(("--reason",), "the reason to record", metavar="R")
_EXHAUST_REASON = Argument(
    ("--reason",), "rate_limit, the default, or billing", metavar="R", choices=wire.EXHAUST_REASONS
)
_TIME = "ISO 8601, 15:20, or 2h for two hours from now"
_UNTIL = Argument(("--until",), f"until when: {_TIME}", typed.time_to_come, "T")
_AFTER = Argument(("--after",), "for how long", typed.duration, "D")
_MESSAGE = Argument(("--message",), "what its provider said, with a time somewhere in it", metavar="M")
_FORCE = Argument(("--force",), "also where that is earlier than what is known", None)
_HARNESS = Argument(("harness",), "whose hooks: claude-code", metavar="HARNESS", choices=("claude-code",))
_PRINT_SETTINGS = Argument(("--print-settings",), "print the settings to paste instead", None)

_SLOT = Argument(("slot",), "its id, or the first characters of it (4 or more)", metavar="SLOT")
_OF_AGENT = Argument(("--agent",), "only those of this agent", metavar="NAME", is_agent=True)
_SLOT_TYPE = Argument(
    ("--type",), "work, the default, or on_call: to be there", metavar="T", choices=wire.SLOT_TYPES, default="work"
)
_AT = Argument(("--at",), f"when it is due, now by default: {_TIME}", typed.time_to_come, "T")
_FOR = Argument(("--for",), "how long it is meant to take; nothing ends by that", typed.duration, "D")
_PRIORITY = Argument(("--priority",), "the highest is offered first, 0 by default", int, "N")
_PAYLOAD = Argument(("--payload",), "what it is about: JSON, @FILE or @- for what is there", metavar="JSON|@FILE")
_ADD_KEY = Argument(("--key",), "plan it once, however often it is asked for with this key", metavar="K")

_OWN_MANAGER = Argument(("--user",), "in your own service manager, the default", None)
_SYSTEM = Argument(("--system",), "in the system's, up without a login; as root", None)
_WHOSE = Argument(("--for",), "whose daemon it is, with --system; by default who called sudo", metavar="USER")
_UNIT_NAME = Argument(("--name",), "of the units torpord-N of another home; else made of its path", metavar="N")
_OVERWRITE = Argument(("--force",), "put aside what somebody edited, or what is not torpor's", None)
_REMOVE_EDITED = Argument(("--force",), "remove what was edited, too", None)

# The name of a group alone is the first of its rows.
GROUPS = {
    "agent": "who is there: list agents, and say what one of them is doing",
    "slot": "work planned for agents: list it, plan it, take it, end it",
    "runs": "executions of flows: list, show, start, steer and follow them",
    "flows": "what can be run: list, show and draw it; needs no daemon",
    "doctor": "look whether all is well, and mend it; test whether it wakes",
    "service": "torpor in the care of systemd or launchd: install it, look at it, take it away",
}

COMMANDS = (
    Command("send", "send an event; where the daemon is down, leave it in wake.d/ and wake it", "events:send",
            (_EVENT, _KEY)),
    Command("wake", "wake the daemon, and start it where it is down", "events:wake"),
    Command("sleep", "send it to sleep now", "events:sleep"),
    Command("hibernate", "let it go down as soon as nothing is busy", "life:hibernate", (_NOW,)),
    Command("start", "start the daemon", "life:start"),
    Command("stop", "stop it, until `torpor start`", "life:stop"),
    Command("restart", "stop it and start it", "life:restart"),
    Command("reload", "have it read its settings again", "life:reload"),
    Command("status", "say how it is; exit 0 up, 3 down", "look:status"),
    Command("why", "say why it is awake, and what comes next", "look:why"),
    Command("log", "print its ledger", "ledger:log", (_FOLLOW, _SINCE, _KIND, _OF_THE_AGENT, _LAST)),
    Command("watch", "see it live: redrawn on a terminal, else a line for each change", "watch:watch"),
    Command("wait", "return once it is in a state", "waiting:wait", (_STATE, _WAIT_LIMIT)),
    Command("hold", "keep it awake while another command runs", "hold:hold", (_WHY, _TTL), prints=False, runs=True),
    Command("agent ls", "list the agents: what each is doing, and until when", "agents:ls",
            (_AGENT_STATUS, _ALL_AGENTS)),
    Command("agent show", "show all that is known of an agent, and its slots", "agents:show_agent", (_AGENT,)),
    Command("agent register", "make one known by name, or change what is known of it", "agents:register",
            (_NEW_AGENT, _WAKE_COMMAND, _PARENT, _PID, _META)),
    Command("agent beat", "say that it is there; exit 3 where torpor is down and it does nothing", "agents:beat",
            (_AGENT, _DOING)),
    Command("agent busy", "say that it works", "agents:busy", (_AGENT, _REASON)),
    Command("agent idle", "say that it does nothing, and that its quota is back; exit 3 where torpor is down",
            "agents:idle", (_AGENT, _REASON)),
    Command("agent exhausted", "say that its quota is used up, and until when", "agents:exhausted",
            (_AGENT, _EXHAUST_REASON, _UNTIL, _AFTER, _MESSAGE, _FORCE)),
    Command("agent offline", "say that it leaves; exit 3 where torpor is down", "agents:offline", (_AGENT, _REASON)),
    Command("agent wait", "return once it is in a status", "agents:wait", (_AGENT, _AGENT_IS, _WAIT_LIMIT)),
    Command("agent forget", "forget it, and cancel its slots", "agents:forget", (_AGENT,)),
    Command("agent wrap", "run a command as an agent: busy while it runs, offline after", "wrap:wrap", (_NEW_AGENT,),
            prints=False, runs=True),
    Command("slot ls", "list the slots, the next one first", "slots:ls", (_OF_AGENT,)),
    Command("slot add", "plan work for an agent", "slots:add",
            (_AGENT, _SLOT_TYPE, _AT, _FOR, _PRIORITY, _PAYLOAD, _ADD_KEY)),
    Command("slot take", "take one that is due: its agent begins to work", "slots:take", (_SLOT,)),
    Command("slot finish", "end one that was taken", "slots:finish", (_SLOT,)),
    Command("slot cancel", "take one back", "slots:cancel", (_SLOT, _REASON)),
    Command("hook", "tell torpor what an agent's hook says, on standard input; never fails", "hook:hook",
            (_HARNESS, _PRINT_SETTINGS, _HOOK_LIMIT), prints=False),
    Command("runs ls", "list runs, the newest first", "runs:ls", (_OF_STATUS, _OF_FLOW, _LIMIT)),
    Command("runs show", "show a run: where it stands, its steps, calls and errors", "run_page:show_run", (_RUN,)),
    Command("runs start", "begin a run of a flow", "runs:start",
            (_FLOW, _DATA, _STATE_TO_BEGIN, _PURPOSE, _SESSION, _METADATA, _MAX_STEPS, _START_KEY, _THEN_FOLLOW,
             _THEN_WAIT, _START_LIMIT)),
    Command("runs pause", "stop it after the step it is in", "runs:pause", (_RUN,)),
    Command("runs resume", "let a paused one go on", "runs:resume", (_RUN, _NEW_FLOW, _NEW_STATE)),
    Command("runs cancel", "end it now, in the middle of its step", "runs:cancel", (_RUN,)),
    Command("runs retry", "let a failed one go on from the state that failed; lifts a quarantine", "runs:retry",
            (_RUN,)),
    Command("runs rm", "forget it and its history", "runs:remove", (_RUN,)),
    Command("runs export", "write all that is known of it as one JSON document", "transfer:export", (_RUN, _TO_FILE)),
    Command("runs import", "take a run that was exported", "transfer:import_", (_FROM_FILE,)),
    Command("runs follow", "see it work until it has ended: exit 0 completed, 1 failed or cancelled", "follow:follow",
            (_RUN, _END_LIMIT)),
    Command("flows ls", "list the flows", "flows:ls"),
    Command("flows show", "show a flow's states, and what is wrong with it", "flows:show", (_FLOW,)),
    Command("flows graph", "draw a flow as a Mermaid diagram", "flows:graph", (_FLOW,), prints=False),
    Command("service status", "say what is installed; exit 1 where something is wrong, 3 where nothing is installed",
            "service:status", (_OWN_MANAGER, _SYSTEM, _WHOSE, _UNIT_NAME, _NO_LIMIT)),
    Command("service install", "write, enable and start units for this installation and home", "service:install",
            (_OWN_MANAGER, _SYSTEM, _WHOSE, _UNIT_NAME, _OVERWRITE, _NO_LIMIT)),
    Command("service uninstall", "take away exactly what install wrote; the home stays", "service:uninstall",
            (_OWN_MANAGER, _SYSTEM, _WHOSE, _UNIT_NAME, _REMOVE_EDITED, _NO_LIMIT)),
    Command("doctor status", "look whether all is well: what was found, what it means, what mends it; --fix mends it",
            "doctor:doctor", (_FIX, _ASK_LIMIT)),
    Command("doctor wake-test", "have it hibernate and come back by each way there is, and record that; up to a minute",
            "doctor:wake_test", (_ONLY, _BACK_LIMIT)),
    Command("demo", "a tour: a real daemon in a home of its own, one whole life", "demo:demo", (_NO_LIMIT,),
            prints=False),
    Command("completion", "print the completion for a shell", "completion:completion", (_SHELL, _NO_LIMIT),
            prints=False),
)  # fmt: skip


def arguments_of(command: Command) -> tuple[Argument, ...]:
    """Return the command's arguments with those that every command takes."""
    own = {name for argument in command.arguments for name in argument.names}
    shared = (HOME, TIMEOUT, JSON) if command.prints else (HOME, TIMEOUT)
    return (*command.arguments, *(argument for argument in shared if not own.intersection(argument.names)))


def find(words: Sequence[str]) -> Command | None:
    """Return the row of one word, or of a group's two; None where there is none."""
    name = " ".join(words)
    return next((row for row in COMMANDS if row.name == name), None)


def members(group: str) -> list[Command]:
    """Return the rows of a group."""
    return [row for row in COMMANDS if row.name.startswith(f"{group} ")]


def singles() -> list[Command]:
    """Return the rows that belong to no group."""
    return [row for row in COMMANDS if " " not in row.name]
