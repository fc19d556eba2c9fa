"""The wire contract: names, numbers and limits that client and daemon share (`client/PROTOCOL.md`).

Literals only. Both sides import this module, and `torpor send` pays for every import it makes.
"""

PROTOCOL = 1

# Commands of the lifecycle that a client may send with `event`.
EVENTS = ("heartbeat_refresh", "request_arrived", "wake_signal", "force_sleep")

STATES = ("WAKE", "DROWSY", "SLEEP", "HIBERNATION")

# A run is in one of these; in the last three it has ended.
RUN_STATUSES = ("pending", "running", "paused", "completed", "failed", "cancelled")
ENDED_RUN_STATUSES = RUN_STATUSES[3:]

# An agent is in one of these. What it may say of itself is what it does, or where it is to be.
AGENT_STATUSES = ("offline", "exhausted", "busy", "on_call", "idle")
DOINGS = ("idle", "busy", "on_call")
AGENT_TARGETS = ("idle", "busy", "on_call", "offline", "exhausted")
EXHAUST_REASONS = ("rate_limit", "billing")
SLOT_TYPES = ("work", "on_call")

# What can bring a daemon back that is down: words of `start_cause`.
WAYS = ("connect", "wake.signal", "wake.d", "timer", "spawn")
# Who starts it. Only in the first three something does so by itself.
MANAGERS = ("systemd-user", "systemd-system", "launchd", "none")

# JSON-RPC 2.0 keeps -32768 to -32100 for itself; ours count down from -32000. A name is never used again for
# another meaning, and neither is a number.
ERROR_CODES = {
    "parse_error": -32700,
    "invalid_request": -32600,
    "method_not_found": -32601,
    "invalid_params": -32602,
    "internal_error": -32603,
    "not_permitted": -32000,
    "not_found": -32001,
    "conflict": -32002,
    "draining": -32003,
    "storage_unavailable": -32004,
    "too_large": -32005,
    "too_many": -32006,
    "protocol_mismatch": -32007,
    "timeout": -32008,
    "safe_mode": -32009,
}

MAX_LINE_BYTES = 1024 * 1024
MAX_CONNECTIONS = 1024
MAX_BEHIND_BYTES = 1024 * 1024
MAX_BEHIND_S = 10
MAX_PAGE_BYTES = 256 * 1024
MAX_KEY_CHARS = 128
MAX_TEXT_CHARS = 1024
MAX_HOLDS = 1000  # each change of them copies them: a bound on what one client can cost the others

MAX_WAITS = 256  # open on one connection

# An agent is about a kilobyte of the daemon's memory, a slot as much and its payload.
MAX_AGENTS = 250_000
MAX_SLOTS = 100_000
MAX_AGENT_SLOTS = 1_000
MAX_AGENT_ID_CHARS = 128
MAX_META_BYTES = 4096
MAX_PAYLOAD_BYTES = 16_384
MAX_AGENT_BYTES = 64 * 1024 * 1024  # of what all of them carry: each may be small, and they are many

# Of a run's document in one `run.import`. JSON text in a JSON string is at most twice as long where all of it is ASCII,
# and a line has an envelope besides: who sends pieces of half of this need not count bytes.
MAX_PIECE_CHARS = 512 * 1024

LIMITS = {
    "line_bytes": MAX_LINE_BYTES,
    "connections": MAX_CONNECTIONS,
    "behind_bytes": MAX_BEHIND_BYTES,
    "behind_s": MAX_BEHIND_S,
    "page_bytes": MAX_PAGE_BYTES,
    "key_chars": MAX_KEY_CHARS,
    "text_chars": MAX_TEXT_CHARS,
    "holds": MAX_HOLDS,
    "waits": MAX_WAITS,
    "agents": MAX_AGENTS,
    "slots": MAX_SLOTS,
    "agent_slots": MAX_AGENT_SLOTS,
    "agent_bytes": MAX_AGENT_BYTES,
}

# Names in the home (`torpor.home` makes paths of them).
SOCKET_NAME = "torpor.sock"
LOCK_NAME = "torpor.lock"
SPAWN_LOCK_NAME = "torpor.spawn.lock"
STORE_NAME = "torpor.db"
SETTINGS_NAME = "torpor.toml"
STATE_NAME = "lifecycle_state.json"
WAKE_SIGNAL_NAME = "wake.signal"
WAKE_AT_NAME = "wake.at"  # one line: when a daemon that is down is to be started
STOPPED_NAME = "stopped"  # it is to stay down until `torpor start`
SPOOL_NAME = "wake.d"
SPOOL_TMP_NAME = "tmp"
REJECTED_NAME = "wake.rejected"
LOG_NAME = "torpord.log"

# sysexits(3), where a command has a use for them.
EX_OK = 0
EX_DOWN = 3
EX_USAGE = 64
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_IOERR = 74
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78
