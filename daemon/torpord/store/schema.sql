-- torpor.db, version 3. The tables are the world; the ledger is its history. Read it with any SQLite while the daemon
-- is down; while it is up, nobody else opens this file (`torpor log` and `torpor status` ask the daemon).

-- The world's small parts, one JSON document each: a part that did not change is not written. `head` is the number of
-- the last batch that wrote nothing into the ledger.
CREATE TABLE world (part TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE holds (hold_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;

-- seq rises by one for ever, also over trimming. ts: seconds since the epoch. awake_s: the awake clock of that boot.
CREATE TABLE ledger (
    seq     INTEGER PRIMARY KEY,
    ts      REAL NOT NULL,
    awake_s REAL NOT NULL,
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL,
    cause   TEXT NOT NULL
);

-- The first result of every request that came with a key. request: method and params as canonical JSON.
CREATE TABLE replies (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    ts      REAL NOT NULL,
    request TEXT NOT NULL,
    result  TEXT NOT NULL
);

-- Every run that is kept. body: where it stands, as the core knows it. live: it has not ended, or is the sleep cycle's.
-- detail: what only its readers want: metadata, result, errors, and the document it was imported from.
CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    run_id     TEXT NOT NULL UNIQUE,
    live       INTEGER NOT NULL,
    status     TEXT NOT NULL,
    flow       TEXT NOT NULL,
    session_id TEXT NOT NULL,
    ended_ts   REAL,
    body       TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX runs_live ON runs (live) WHERE live;
CREATE INDEX runs_ended ON runs (ended_ts) WHERE ended_ts IS NOT NULL;

-- A run's data, a row a top-level key, so that a step writes only what it changed. branch '' is the main one; the rows
-- of another are what it wrote since it began, value NULL: it removed the key.
CREATE TABLE run_data (
    run_id TEXT NOT NULL, branch TEXT NOT NULL, key TEXT NOT NULL, value TEXT,
    PRIMARY KEY (run_id, branch, key)
) WITHOUT ROWID;

-- Every attempt that ended, numbered by run in that order, and stored so: a step's end touches one page of them. body:
-- outcome, times, figures, and what went wrong.
CREATE TABLE steps (
    run_id  TEXT NOT NULL,
    number  INTEGER NOT NULL,
    branch  TEXT NOT NULL,
    state   TEXT NOT NULL,
    visit   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
) WITHOUT ROWID;

-- What steps did outside, each once. status: begun (no outcome is known), done, failed.
CREATE TABLE calls (
    id      INTEGER PRIMARY KEY,
    run_id  TEXT NOT NULL,
    key     TEXT NOT NULL,
    branch  TEXT NOT NULL,
    state   TEXT NOT NULL,
    visit   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    tool    TEXT NOT NULL,
    status  TEXT NOT NULL,
    args    TEXT NOT NULL,
    result  TEXT,
    begun_ts REAL NOT NULL,
    ended_ts REAL,
    UNIQUE (run_id, key)
);
CREATE INDEX calls_of_step ON calls (run_id, branch, state, visit);

-- Every agent that is known. doing and slot_id are what it was doing last, also while it is offline; exhausted_ts to
-- recovery_source stand where its quota is used up; waking is the slot its wake command is under way for. card: what
-- else it said of itself, if anything.
CREATE TABLE agents (
    agent_id        TEXT PRIMARY KEY,
    online          INTEGER NOT NULL,
    doing           TEXT NOT NULL,
    since_ts        REAL NOT NULL,
    source          TEXT NOT NULL,
    exhausted_ts    REAL,
    exhaust_reason  TEXT,
    recovery_ts     REAL,
    recovery_source TEXT,
    slot_id         TEXT,
    waking          TEXT,
    card            TEXT,
    quiet           INTEGER NOT NULL
) WITHOUT ROWID;

-- When each was last heard of: apart, as thousands of these change in one batch. They may be some seconds late.
CREATE TABLE presence (agent_id TEXT PRIMARY KEY, seen_ts REAL NOT NULL) WITHOUT ROWID;

-- Every slot that was neither finished nor cancelled. until_ts: deferred to then; again_awake_s: offered again then.
CREATE TABLE slots (
    slot_id       TEXT PRIMARY KEY,
    agent_id      TEXT NOT NULL,
    type          TEXT NOT NULL,
    at_ts         REAL NOT NULL,
    duration_s    REAL,
    priority      INTEGER NOT NULL,
    payload       TEXT,
    state         TEXT NOT NULL,
    until_ts      REAL,
    offers        INTEGER NOT NULL,
    again_awake_s REAL,
    told          INTEGER NOT NULL,
    taken_ts      REAL
) WITHOUT ROWID;
