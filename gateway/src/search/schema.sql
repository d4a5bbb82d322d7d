-- The index: what is in the journal, by message, device, zone, alert and time, and how each device stands. Filled behind
-- the journal in batches; `position` says how far. Nothing is here that the journal has not: stop the gateway, delete the
-- file, and it is built again. It holds no place, no signed bytes and no operator's words; those are in journal.db under
-- the same cursor.
--
-- Reading it: `messages`, `alerts`, `audit`, `devices_standing` and `zones_state` are in words. What is indexed:
--   SELECT * FROM alerts WHERE cursor = (SELECT cursor FROM message_ids WHERE message_id = x'0123...');
--   SELECT * FROM alerts WHERE zone = 'klojen' ORDER BY cursor DESC LIMIT 20;
--   SELECT * FROM messages WHERE received_at_us >= unixepoch('now', '-1 hour') * 1000000;
--   SELECT messages.* FROM device_messages JOIN messages USING (cursor) WHERE device_id = x'0123...';
--   SELECT * FROM audit WHERE device = '0123...';
--   SELECT * FROM devices_standing WHERE state = 'blocked';

-- How far the journal is indexed. One row; written in the same transaction as what it speaks of.
CREATE TABLE position (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  cursor INTEGER NOT NULL
) STRICT;
INSERT INTO position VALUES (1, 0);

-- Every message of the journal. The indexes grow at their ends only.
CREATE TABLE entries (
  cursor         INTEGER PRIMARY KEY,  -- place in the journal
  received_at_us INTEGER NOT NULL,     -- microseconds since 1970-01-01T00:00:00Z
  message_id     BLOB    NOT NULL,     -- 16 bytes
  device_id      BLOB    NOT NULL,     -- 16 bytes
  alert_id       BLOB,                 -- 16 bytes; NULL: the message_id of a raise, or no alert
  kind           INTEGER NOT NULL,     -- kinds.kind
  category       INTEGER NOT NULL,     -- categories.category
  zone           TEXT    NOT NULL,
  labels         INTEGER NOT NULL,     -- sum of labels.bit
  carrier        INTEGER NOT NULL,     -- carriers.carrier
  disposition    INTEGER NOT NULL,     -- dispositions.disposition
  joins          BLOB,                 -- 16 bytes; the open alert that a raise joined
  also           TEXT,                 -- ids of other zones paged for a raise from its first moment, by spaces
  agencies       INTEGER NOT NULL,     -- sum of agencies.bit; who is to answer
  incident       BLOB                  -- 16 bytes; the incident that a raise belongs to, by its first alert's id;
                                       --   NULL: this is its first, or no raise
) STRICT;
CREATE INDEX entries_by_time  ON entries (received_at_us);
CREATE INDEX entries_by_zone  ON entries (zone);
CREATE INDEX entries_by_alert ON entries (alert_id) WHERE alert_id IS NOT NULL;
CREATE INDEX entries_raises   ON entries (cursor)   WHERE kind = 1;
CREATE INDEX entries_joined   ON entries (joins)    WHERE joins IS NOT NULL;

-- Where a message is. Ids are random, so this and the next two are kept apart and filled in the order of their keys.
CREATE TABLE message_ids (
  message_id BLOB PRIMARY KEY,
  cursor     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a device sent.
CREATE TABLE device_messages (
  device_id BLOB    NOT NULL,
  cursor    INTEGER NOT NULL,
  PRIMARY KEY (device_id, cursor)
) STRICT, WITHOUT ROWID;

-- Each device: its highest counters (boot before sequence), how much it sent, and its latest message.
CREATE TABLE devices (
  device_id   BLOB PRIMARY KEY,
  boot        INTEGER NOT NULL,
  sequence    INTEGER NOT NULL,
  messages    INTEGER NOT NULL,
  last_cursor INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every decision of the journal.
CREATE TABLE decisions (
  cursor        INTEGER PRIMARY KEY,  -- place in the journal
  decided_at_us INTEGER NOT NULL,     -- microseconds since 1970-01-01T00:00:00Z
  act           INTEGER NOT NULL,     -- acts.act
  operator      TEXT,                 -- who decided: the name of an operator's token, or
  rule          INTEGER,              --   rules.rule
  device_id     BLOB,                 -- 16 bytes
  alert_id      BLOB,                 -- 16 bytes
  zone          TEXT    NOT NULL,
  verdict       INTEGER,              -- verdicts.verdict, where the act is a verdict or resolves
  until_us      INTEGER,              -- when a block, a probation or a drill ends
  object        TEXT                  -- who is sent; the zone that is paged from here on (NULL: everybody); the posture;
                                      --   of who moves or is quiet, the place in the journal that says where they were
) STRICT;
CREATE INDEX decisions_by_time     ON decisions (decided_at_us);
CREATE INDEX decisions_by_zone     ON decisions (zone);
CREATE INDEX decisions_by_device   ON decisions (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX decisions_by_alert    ON decisions (alert_id, act) WHERE alert_id IS NOT NULL;
CREATE INDEX decisions_by_operator ON decisions (operator) WHERE operator IS NOT NULL;

-- How each device stands that was ever decided about, by the latest such decision. A start reads this, not the journal.
CREATE TABLE standings (
  device_id          BLOB PRIMARY KEY,
  cursor             INTEGER NOT NULL,  -- of the decision
  strikes            INTEGER NOT NULL,
  blocked_until_us   INTEGER,
  probation_until_us INTEGER,
  standing           TEXT    NOT NULL   -- JSON, as the decision states it
) STRICT, WITHOUT ROWID;

-- What operators set for each zone, by the latest such decision: its posture, and until when a drill is declared. A start
-- reads this, not the journal.
CREATE TABLE preparations (
  zone           TEXT PRIMARY KEY,
  posture        TEXT,                  -- NULL: nobody set one
  drill_until_us INTEGER                -- NULL: nobody declared one
) STRICT, WITHOUT ROWID;

-- How many alerts of each zone are open: somebody was paged, and nobody resolved them since.
CREATE TABLE open_alerts (
  zone   TEXT PRIMARY KEY,
  alerts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The names of the numbers.
CREATE TABLE kinds      (kind     INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE categories (category INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE carriers   (carrier  INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE labels     (bit      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE dispositions (disposition INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE acts       (act      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE rules      (rule     INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE verdicts   (verdict  INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE agencies   (bit      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

-- Every message in words.
CREATE VIEW messages AS
SELECT
  cursor,
  strftime('%Y-%m-%dT%H:%M:%S', received_at_us / 1000000, 'unixepoch')
    || printf('.%03dZ', received_at_us / 1000 % 1000)           AS received_at,
  lower(hex(message_id))                                        AS message,
  lower(hex(device_id))                                         AS device,
  CASE
    WHEN alert_id IS NOT NULL THEN lower(hex(alert_id))
    WHEN entries.kind = 1     THEN lower(hex(message_id))
  END                                                           AS alert,
  coalesce(kinds.name, entries.kind)                            AS kind,
  coalesce(categories.name, entries.category)                   AS category,
  zone,
  (SELECT group_concat(name, ' ') FROM (SELECT name FROM labels WHERE entries.labels & bit ORDER BY bit)) AS labels,
  coalesce(carriers.name, entries.carrier)                      AS carrier,
  coalesce(dispositions.name, entries.disposition)              AS disposition,
  lower(hex(joins))                                             AS joins,
  received_at_us
FROM entries
LEFT JOIN kinds      USING (kind)
LEFT JOIN categories USING (category)
LEFT JOIN carriers   USING (carrier)
LEFT JOIN dispositions USING (disposition);

-- Every alert: the raise that opened it, what became of it, and how much followed.
CREATE VIEW alerts AS
SELECT
  entries.cursor,
  messages.received_at,
  messages.alert,
  messages.device,
  messages.category,
  entries.zone,
  messages.labels,
  (SELECT count(*) FROM entries AS later WHERE later.alert_id = entries.message_id AND later.kind = 2) AS updates,
  (SELECT count(*) FROM entries AS later WHERE later.alert_id = entries.message_id AND later.kind = 3) AS cancels,
  CASE
    WHEN EXISTS (SELECT 1 FROM decisions WHERE decisions.alert_id = entries.message_id AND act = 7) THEN 'promoted'
    ELSE messages.disposition
  END AS state,
  (SELECT name FROM decisions JOIN verdicts USING (verdict)
   WHERE decisions.alert_id = entries.message_id AND act IN (1, 11) ORDER BY cursor DESC LIMIT 1) AS verdict,
  CASE answered.act WHEN 11 THEN 'resolved' WHEN 10 THEN 'assigned' WHEN 9 THEN 'acknowledged' WHEN 1 THEN 'acknowledged'
    ELSE 'waiting' END                                          AS answer,
  answered.operator                                             AS answered_by,
  strftime('%Y-%m-%dT%H:%M:%S', answered.decided_at_us / 1000000, 'unixepoch')
    || printf('.%03dZ', answered.decided_at_us / 1000 % 1000)   AS answered_at,
  entries.also,
  (SELECT group_concat(name, ' ') FROM (SELECT name FROM agencies WHERE entries.agencies & bit ORDER BY bit)) AS agencies,
  lower(hex(coalesce(entries.incident, entries.message_id)))    AS incident,
  entries.received_at_us
FROM entries
JOIN messages USING (cursor)
-- The latest of those that answer it since it was last opened; where there is none, the first verdict. What joined an
-- alert is answered as that one is.
LEFT JOIN decisions AS answered ON answered.cursor = (
  SELECT coalesce(max(CASE WHEN act <> 1 THEN cursor END), min(cursor)) FROM decisions
  WHERE decisions.alert_id = coalesce(entries.joins, entries.message_id) AND act IN (1, 9, 10, 11) AND cursor > coalesce(
    (SELECT max(cursor) FROM decisions
     WHERE decisions.alert_id = coalesce(entries.joins, entries.message_id) AND act = 12), 0)
)
WHERE entries.kind = 1;

-- What is set for each zone at this moment, and how many of its alerts are open. A zone that is not here: nothing.
CREATE VIEW zones_state AS
SELECT
  zone,
  coalesce(posture, 'routine')                                  AS posture,
  CASE WHEN drill_until_us > unixepoch('now') * 1000000 THEN
    strftime('%Y-%m-%dT%H:%M:%SZ', drill_until_us / 1000000, 'unixepoch')
  END                                                           AS drill_until,
  coalesce(alerts, 0)                                           AS open_alerts
FROM (SELECT zone FROM preparations UNION SELECT zone FROM open_alerts)
LEFT JOIN preparations USING (zone)
LEFT JOIN open_alerts  USING (zone);

-- Every decision in words. Why, and on what evidence, is in journal.db.
CREATE VIEW audit AS
SELECT
  cursor,
  strftime('%Y-%m-%dT%H:%M:%S', decided_at_us / 1000000, 'unixepoch')
    || printf('.%03dZ', decided_at_us / 1000 % 1000)            AS decided_at,
  coalesce('operator ' || operator, 'rule ' || rules.name, 'rule ' || decisions.rule) AS actor,
  coalesce(acts.name, decisions.act)                            AS act,
  coalesce(verdicts.name, decisions.verdict)                    AS verdict,
  lower(hex(device_id))                                         AS device,
  lower(hex(alert_id))                                          AS alert,
  zone,
  strftime('%Y-%m-%dT%H:%M:%SZ', until_us / 1000000, 'unixepoch') AS until,
  object,
  decided_at_us
FROM decisions
LEFT JOIN acts     USING (act)
LEFT JOIN rules    USING (rule)
LEFT JOIN verdicts USING (verdict);

-- How each device stands at this moment. A device that is not here was never decided about.
CREATE VIEW devices_standing AS
SELECT
  lower(hex(device_id))                                         AS device,
  CASE
    WHEN blocked_until_us   > unixepoch('now') * 1000000 THEN 'blocked'
    WHEN probation_until_us > unixepoch('now') * 1000000 THEN 'probation'
    ELSE 'good'
  END                                                           AS state,
  strikes,
  strftime('%Y-%m-%dT%H:%M:%SZ', blocked_until_us / 1000000, 'unixepoch')   AS blocked_until,
  strftime('%Y-%m-%dT%H:%M:%SZ', probation_until_us / 1000000, 'unixepoch') AS probation_until,
  cursor
FROM standings;
