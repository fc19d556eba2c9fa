-- torpor.db, version 1. The tables are the world; the ledger is its history. Read it with any SQLite while the daemon
-- is down; while it is up, nobody else opens this file (`torpor log` and `torpor status` ask the daemon).

-- The world's small parts, one JSON document each: a part that did not change is not written.
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
