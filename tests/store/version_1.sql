-- A store of version 1 as it was after some life: dumped by SQLite, made by the code of that time.
BEGIN TRANSACTION;
CREATE TABLE holds (hold_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "holds" VALUES('kept','{"hold_id":"kept","who":"who-kept","why":"why-kept","since_ts":1700020700.0,"until_awake_s":130700.0,"pid":null,"pid_start":null,"connection":null}');
CREATE TABLE ledger (
    seq     INTEGER PRIMARY KEY,
    ts      REAL NOT NULL,
    awake_s REAL NOT NULL,
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL,
    cause   TEXT NOT NULL
);
INSERT INTO "ledger" VALUES(1,1700000000.0,20000.0,'started','{"generation":1,"pid":100,"version":"0.1.0","start_cause":"manual","supervisor":"none","boot_id":"boot-1","after_crash":false,"rebase_s":0.0,"suspended_s":0.0,"policy":{"drowsy_after_s":60.0,"sleep_after_s":1800.0,"hibernate_grace_s":300.0,"min_up_s":5.0,"shadow_run":false,"sleep_min_interval_s":14400.0,"power":"any","max_cpu":100.0,"between":"","ledger_keep_s":2592000.0}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(2,1700000000.0,20000.0,'hold_acquired','{"hold_id":"mine","who":"who-mine","why":"why-mine","ttl_s":90000.0,"pid":7,"pid_start":"1","connection":null}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(3,1700000000.0,20000.0,'hold_acquired','{"hold_id":"short","who":"who-short","why":"why-short","ttl_s":null,"pid":null,"pid_start":null,"connection":1}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(4,1700000000.0,20000.0,'hold_released','{"hold_id":"short","how":"released"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(5,1700000000.0,20000.0,'hold_released','{"hold_id":"mine","how":"process_ended"}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(6,1700000000.0,20000.0,'state_transition','{"from":"WAKE","to":"DROWSY","trigger":"force_sleep"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(7,1700000000.0,20000.0,'state_transition','{"from":"DROWSY","to":"SLEEP","trigger":"force_sleep"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(8,1700000000.0,20000.0,'sleep_cycle_started','{"step":"trim","resumed":false}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(9,1700000000.0,20000.0,'sleep_cycle_step_done','{"step":"trim","next_step":"checkpoint","duration_s":1.5,"result":{"freed":3}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(10,1700000000.0,20000.0,'sleep_cycle_step_done','{"step":"checkpoint","next_step":"optimize","duration_s":1.0,"result":{}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(11,1700000000.0,20000.0,'sleep_cycle_step_done','{"step":"optimize","next_step":"integrity_check","duration_s":1.0,"result":{}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(12,1700000000.0,20000.0,'sleep_cycle_step_done','{"step":"integrity_check","next_step":"backup","duration_s":1.0,"result":{}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(13,1700000000.0,20000.0,'sleep_cycle_step_done','{"step":"backup","next_step":null,"duration_s":1.0,"result":{}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(14,1700000000.0,20000.0,'sleep_cycle_done','{"started_ts":1700000000.0,"duration_s":5.5}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(15,1700000000.0,20000.0,'state_transition','{"from":"SLEEP","to":"WAKE","trigger":"request_arrived"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(16,1700020000.0,40000.0,'state_transition','{"from":"WAKE","to":"DROWSY","trigger":"force_sleep"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(17,1700020000.0,40000.0,'state_transition','{"from":"DROWSY","to":"SLEEP","trigger":"force_sleep"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(18,1700020000.0,40000.0,'sleep_cycle_started','{"step":"trim","resumed":false}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(19,1700020000.0,40000.0,'sleep_cycle_step_done','{"step":"trim","next_step":"checkpoint","duration_s":0.5,"result":{"freed":1}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(20,1700020000.0,40000.0,'sleep_cycle_failed','{"step":"checkpoint","error":"disk I/O error","failures":1,"retry_ts":1700020600.0}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(21,1700020700.0,40700.0,'state_transition','{"from":"SLEEP","to":"WAKE","trigger":"request_arrived"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(22,1700020700.0,40700.0,'state_transition','{"from":"WAKE","to":"DROWSY","trigger":"force_sleep"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(23,1700020700.0,40700.0,'state_transition','{"from":"DROWSY","to":"SLEEP","trigger":"force_sleep"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(24,1700020700.0,40700.0,'sleep_cycle_started','{"step":"checkpoint","resumed":true}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(25,1700020700.0,40700.0,'sleep_cycle_step_done','{"step":"checkpoint","next_step":"optimize","duration_s":0.25,"result":{"pages":4}}','{"source":"daemon"}');
INSERT INTO "ledger" VALUES(26,1700020700.0,40700.0,'sleep_cycle_interrupted','{"step":"optimize"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(27,1700020700.0,40700.0,'state_transition','{"from":"SLEEP","to":"WAKE","trigger":"request_arrived"}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
INSERT INTO "ledger" VALUES(28,1700020700.0,40700.0,'hold_acquired','{"hold_id":"kept","who":"who-kept","why":"why-kept","ttl_s":90000.0,"pid":null,"pid_start":null,"connection":null}','{"source":"client","pid":4711,"program":"make","by":"an agent"}');
CREATE TABLE replies (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    ts      REAL NOT NULL,
    request TEXT NOT NULL,
    result  TEXT NOT NULL
);
INSERT INTO "replies" VALUES(1,'key-3',1700000000.0,'["event",{"event":"request_arrived"}]','{"state":"WAKE","seq":1,"changed":false}');
INSERT INTO "replies" VALUES(2,'key-9',1700000000.0,'["event",{"event":"request_arrived"}]','{"state":"WAKE","seq":1,"changed":false}');
CREATE TABLE world (part TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "world" VALUES('activity','{"last_ts":1700020700.0,"event_seq":8,"idle_since_awake_s":40700.0,"by":{"source":"client","pid":4711,"program":"make","by":"an agent"}}');
INSERT INTO "world" VALUES('cycle','{"phase":"none","next_step":"optimize","done":["trim","checkpoint"],"started_ts":1700020000.0,"worked_s":0.75,"failures":0,"failed_step":"checkpoint","retry_ts":1700020600.0,"quarantine_until_ts":null,"completed_ts":1700000000.0,"last":{"outcome":"failed","started_ts":1700020000.0,"ended_ts":1700020000.0,"duration_s":0.5,"step":"checkpoint","error":"disk I/O error"},"results":{"trim":{"freed":1},"checkpoint":{"pages":4}}}');
INSERT INTO "world" VALUES('head','{"number":21,"ledger_seq":28}');
INSERT INTO "world" VALUES('lifecycle','{"state":"WAKE","since_ts":1700020700.0,"since_awake_s":40700.0,"reason":"request_arrived","wish":"","blocked_by":[]}');
INSERT INTO "world" VALUES('policy','{"drowsy_after_s":60.0,"sleep_after_s":1800.0,"hibernate_grace_s":300.0,"min_up_s":5.0,"shadow_run":false,"sleep_min_interval_s":14400.0,"power":"any","max_cpu":100.0,"between":"","ledger_keep_s":2592000.0}');
INSERT INTO "world" VALUES('process','{"generation":1,"pid":100,"version":"0.1.0","start_cause":"manual","supervisor":"none","boot_id":"boot-1","started_ts":1700000000.0,"started_awake_s":20000.0,"suspended_s":0.0,"leaving":"","ended":false}');
INSERT INTO "world" VALUES('sleep','{"postponed":[],"unreadable":[],"recheck_awake_s":null,"recheck_wall_s":null,"blocked_recheck_awake_s":null}');
COMMIT;
