-- A store of version 2 as it was after some life: dumped by SQLite, made by the code of that time.
BEGIN TRANSACTION;
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
CREATE TABLE holds (hold_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "holds" VALUES('kept','{"hold_id":"kept","who":"who-kept","why":"why-kept","since_ts":1700000000.0,"until_awake_s":110000.0,"pid":null,"pid_start":null,"connection":null}');
CREATE TABLE ledger (
    seq     INTEGER PRIMARY KEY,
    ts      REAL NOT NULL,
    awake_s REAL NOT NULL,
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL,
    cause   TEXT NOT NULL
);
INSERT INTO "ledger" VALUES(1,1700000000.0,20000.0,'started','{"generation":1,"pid":100,"version":"0.1.0","start_cause":"spawn","supervisor":"none","boot_id":"boot-1","after_crash":false,"rebase_s":0.0,"suspended_s":0.0,"policy":{"drowsy_after_s":300.0,"sleep_after_s":1800.0,"hibernate_grace_s":300.0,"min_up_s":5.0,"planned_reach_s":3600.0,"shadow_run":false,"sleep_flow":"housekeeping","sleep_min_interval_s":14400.0,"yield_within_s":2.0,"power":"any","max_cpu":100.0,"between":"","ledger_keep_s":2592000.0,"runs_keep_s":7776000.0,"runs_keep_count":10000,"flows":["chain","fork","forks","housekeeping","loop","one"]}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(2,1700000000.0,20000.0,'hold_acquired','{"hold_id":"kept","who":"who-kept","why":"why-kept","ttl_s":90000.0,"pid":null,"pid_start":null,"connection":null}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(3,1700000000.0,20000.0,'run_created','{"run_id":"r1","flow":"chain","state":"","purpose":"","session_id":"","max_steps":1000,"cycle":false}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(4,1700000000.0,20000.0,'run_started','{"run_id":"r1","worker":1}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(5,1700000000.0,20000.0,'run_created','{"run_id":"r2","flow":"fork","state":"","purpose":"","session_id":"","max_steps":1000,"cycle":false}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(6,1700000000.0,20000.0,'run_started','{"run_id":"r2","worker":1}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(7,1700000000.0,20000.0,'run_created','{"run_id":"r3","flow":"one","state":"","purpose":"","session_id":"","max_steps":1000,"cycle":false}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(8,1700000000.0,20000.0,'run_started','{"run_id":"r3","worker":1}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(9,1700000000.0,20000.0,'flow_loaded','{"run_id":"r1","version":1,"initial":"a","states":3}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(10,1700000000.0,20000.0,'step_started','{"run_id":"r1","branch":"","state":"a","visit":1,"attempt":1}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(11,1700000000.0,20000.0,'flow_loaded','{"run_id":"r2","version":1,"initial":"split","states":6}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(12,1700000000.0,20000.0,'step_started','{"run_id":"r2","branch":"","state":"split","visit":1,"attempt":1}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(13,1700000000.0,20000.0,'flow_loaded','{"run_id":"r3","version":1,"initial":"only","states":1}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(14,1700000000.0,20000.0,'step_started','{"run_id":"r3","branch":"","state":"only","visit":1,"attempt":1}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(15,1700000000.0,20000.0,'step_ended','{"run_id":"r1","branch":"","state":"a","visit":1,"attempt":1,"started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"outcome":"next","next":[{"branch":"","state":"b","visit":1}],"join":"","begins":true}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(16,1700000000.0,20000.0,'step_ended','{"run_id":"r2","branch":"","state":"split","visit":1,"attempt":1,"started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"outcome":"parallel","next":[{"branch":"split:1/left","state":"left","visit":1},{"branch":"split:1/right","state":"right","visit":1}],"join":"merge","begins":true}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(17,1700000010.0,20010.0,'step_failed','{"run_id":"r1","branch":"","state":"b","visit":1,"attempt":1,"started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"how":"failed","error_type":"OSError","message":"no space left on device","counted":true,"retry_in_s":1.0}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(18,1700000011.0,20011.0,'step_started','{"run_id":"r1","branch":"","state":"b","visit":1,"attempt":2}','{"source":"deadline","deadline":"retry_due"}');
INSERT INTO "ledger" VALUES(19,1700000011.0,20011.0,'step_ended','{"run_id":"r1","branch":"","state":"b","visit":1,"attempt":2,"started_ts":1700000011.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"outcome":"next","next":[{"branch":"","state":"c","visit":1}],"join":"","begins":true}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(20,1700000011.0,20011.0,'step_ended','{"run_id":"r2","branch":"split:1/right","state":"right","visit":1,"attempt":1,"started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"outcome":"next","next":[{"branch":"split:1/right","state":"right2","visit":1}],"join":"","begins":true}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(21,1700000011.0,20011.0,'step_ended','{"run_id":"r3","branch":"","state":"only","visit":1,"attempt":1,"started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"outcome":"complete","next":[],"join":"","begins":false}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(22,1700000011.0,20011.0,'run_completed','{"run_id":"r3","steps":1}','{"source":"worker"}');
INSERT INTO "ledger" VALUES(23,1700000016.0,20016.0,'step_ended','{"run_id":"r2","branch":"split:1/left","state":"left","visit":1,"attempt":1,"started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"outcome":"at_join","next":[],"join":"","begins":false}','{"source":"worker"}');
CREATE TABLE replies (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    ts      REAL NOT NULL,
    request TEXT NOT NULL,
    result  TEXT NOT NULL
);
INSERT INTO "replies" VALUES(1,'key-4',1700000000.0,'["event",{}]','{"state":"WAKE"}');
CREATE TABLE run_data (
    run_id TEXT NOT NULL, branch TEXT NOT NULL, key TEXT NOT NULL, value TEXT,
    PRIMARY KEY (run_id, branch, key)
) WITHOUT ROWID;
INSERT INTO "run_data" VALUES('r1','','a','[1]');
INSERT INTO "run_data" VALUES('r1','','b','[1]');
INSERT INTO "run_data" VALUES('r2','','split','[1]');
INSERT INTO "run_data" VALUES('r2','split:1/left','left','[1]');
INSERT INTO "run_data" VALUES('r2','split:1/right','right','[1]');
INSERT INTO "run_data" VALUES('r3','','only','[1]');
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
INSERT INTO "runs" VALUES(1,'r1',1,'running','chain','',NULL,'{"run_id":"r1","flow":"chain","created_ts":1700000000.0,"places":[{"branch":"","state":"c","visit":1,"attempt":1,"status":"running","failures":0,"retry_awake_s":null,"retry_ts":null,"since_ts":1700000011.0,"join":"","error":null}],"origin":"r1","status":"running","reason":"","purpose":"","session_id":"","cycle":false,"legacy":false,"version":1,"states":3,"max_steps":1000,"steps":2,"again":0,"steps_before":0,"worked_s":3.0,"started_ts":1700000000.0,"ended_ts":null,"worker":1,"workers":1,"loaded":true,"stopping":"","crashes":0,"error":null}','{"metadata": {}}');
INSERT INTO "runs" VALUES(2,'r2',1,'running','fork','',NULL,'{"run_id":"r2","flow":"fork","created_ts":1700000000.0,"places":[{"branch":"","state":"split","visit":1,"attempt":1,"status":"forked","failures":0,"retry_awake_s":null,"retry_ts":null,"since_ts":1700000000.0,"join":"merge","error":null},{"branch":"split:1/left","state":"left","visit":1,"attempt":1,"status":"at_join","failures":0,"retry_awake_s":null,"retry_ts":null,"since_ts":1700000016.0,"join":"merge","error":null},{"branch":"split:1/right","state":"right2","visit":1,"attempt":1,"status":"running","failures":0,"retry_awake_s":null,"retry_ts":null,"since_ts":1700000011.0,"join":"merge","error":null}],"origin":"r2","status":"running","reason":"","purpose":"","session_id":"","cycle":false,"legacy":false,"version":1,"states":6,"max_steps":1000,"steps":3,"again":0,"steps_before":0,"worked_s":3.0,"started_ts":1700000000.0,"ended_ts":null,"worker":1,"workers":1,"loaded":true,"stopping":"","crashes":0,"error":null}','{"metadata": {}}');
INSERT INTO "runs" VALUES(3,'r3',0,'completed','one','',1700000011.0,'{"run_id":"r3","flow":"one","created_ts":1700000000.0,"places":[{"branch":"","state":"only","visit":1,"attempt":1,"status":"at_join","failures":0,"retry_awake_s":null,"retry_ts":null,"since_ts":1700000011.0,"join":"","error":null}],"origin":"r3","status":"completed","reason":"","purpose":"","session_id":"","cycle":false,"legacy":false,"version":1,"states":1,"max_steps":1000,"steps":1,"again":0,"steps_before":0,"worked_s":1.0,"started_ts":1700000000.0,"ended_ts":1700000011.0,"worker":0,"workers":1,"loaded":false,"stopping":"","crashes":0,"error":null}','{"metadata":{},"result":"only"}');
CREATE TABLE steps (
    id      INTEGER PRIMARY KEY,
    run_id  TEXT NOT NULL,
    branch  TEXT NOT NULL,
    state   TEXT NOT NULL,
    visit   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body    TEXT NOT NULL
);
INSERT INTO "steps" VALUES(1,'r1','','a',1,1,'{"outcome":"next","started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"next":[{"branch":"","state":"b","visit":1}]}');
INSERT INTO "steps" VALUES(2,'r2','','split',1,1,'{"outcome":"parallel","started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"next":[{"branch":"split:1/left","state":"left","visit":1},{"branch":"split:1/right","state":"right","visit":1}]}');
INSERT INTO "steps" VALUES(3,'r1','','b',1,1,'{"outcome":"failed","started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"error":{"type":"OSError","message":"no space left on device","traceback":"Traceback …"},"output":null}');
INSERT INTO "steps" VALUES(4,'r1','','b',1,2,'{"outcome":"next","started_ts":1700000011.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"next":[{"branch":"","state":"c","visit":1}]}');
INSERT INTO "steps" VALUES(5,'r2','split:1/right','right',1,1,'{"outcome":"next","started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"next":[{"branch":"split:1/right","state":"right2","visit":1}]}');
INSERT INTO "steps" VALUES(6,'r3','','only',1,1,'{"outcome":"complete","started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"next":[]}');
INSERT INTO "steps" VALUES(7,'r2','split:1/left','left',1,1,'{"outcome":"at_join","started_ts":1700000000.0,"duration_s":1.0,"cpu_s":null,"peak_rss_bytes":null,"next":[]}');
CREATE TABLE world (part TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "world" VALUES('activity','{"last_ts":1700000000.0,"event_seq":4,"idle_since_awake_s":20011.0,"by":{"source":"client","pid":4711,"program":"make","by":"an agent"}}');
INSERT INTO "world" VALUES('cycle','{"phase":"none","run_id":"","flow":"housekeeping","failures":0,"failed_step":"","retry_ts":null,"quarantine_until_ts":null,"completed_ts":null,"last":null}');
INSERT INTO "world" VALUES('head','{"number":16,"ledger_seq":23}');
INSERT INTO "world" VALUES('lifecycle','{"state":"WAKE","since_ts":1700000000.0,"since_awake_s":20000.0,"reason":"new","wish":"","blocked_by":[]}');
INSERT INTO "world" VALUES('policy','{"drowsy_after_s":300.0,"sleep_after_s":1800.0,"hibernate_grace_s":300.0,"min_up_s":5.0,"planned_reach_s":3600.0,"shadow_run":false,"sleep_flow":"housekeeping","sleep_min_interval_s":14400.0,"yield_within_s":2.0,"power":"any","max_cpu":100.0,"between":"","ledger_keep_s":2592000.0,"runs_keep_s":7776000.0,"runs_keep_count":10000,"flows":["chain","fork","forks","housekeeping","loop","one"]}');
INSERT INTO "world" VALUES('process','{"generation":1,"pid":100,"version":"0.1.0","start_cause":"spawn","supervisor":"none","boot_id":"boot-1","started_ts":1700000000.0,"started_awake_s":20000.0,"suspended_s":0.0,"leaving":"","ended":false}');
INSERT INTO "world" VALUES('sleep','{"postponed":[],"unreadable":[],"recheck_awake_s":null,"recheck_wall_s":null,"blocked_recheck_awake_s":null}');
CREATE INDEX runs_live ON runs (live) WHERE live;
CREATE INDEX runs_ended ON runs (ended_ts) WHERE ended_ts IS NOT NULL;
CREATE INDEX steps_of_run ON steps (run_id, branch, state, visit);
CREATE INDEX calls_of_step ON calls (run_id, branch, state, visit);
COMMIT;
