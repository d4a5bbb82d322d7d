-- The journal: every accepted message and every decision, in the order in which they were made. The only truth;
-- everything else that the gateway knows about alerts and devices can be built again from it.
--
-- Append-only. `log` and `content` have one row each per message, under the same cursor, `decisions` one per decision;
-- together their cursors count from 1 without gaps. There is no other index: appending must stay cheap, and look-ups
-- are what search.db is for.
-- To read it, use the views `records` and `audit`; the numbers behind the names are in `kinds`, `categories`,
-- `carriers`, `labels`, `dispositions`, `acts`, `rules`, `verdicts`, `agencies`.

-- What is known about a record without its place.
CREATE TABLE log (
  cursor         INTEGER PRIMARY KEY,  -- place in the journal
  received_at_us INTEGER NOT NULL,     -- read off the wire, microseconds since 1970-01-01T00:00:00Z
  message_id     BLOB    NOT NULL,     -- 16 bytes, computed from the message's content
  device_id      BLOB    NOT NULL,     -- 16 bytes
  alert_id       BLOB,                 -- 16 bytes; NULL: a raise that opened the alert named by its message_id,
                                       --   or a message that belongs to no alert
  kind           INTEGER NOT NULL,     -- kinds.kind
  boot           INTEGER NOT NULL,     -- the device's counters
  sequence       INTEGER NOT NULL,
  category       INTEGER NOT NULL,     -- categories.category
  zone           TEXT    NOT NULL,     -- id of the zone that it is routed to
  labels         INTEGER NOT NULL,     -- sum of labels.bit
  carrier        INTEGER NOT NULL,     -- carriers.carrier
  disposition    INTEGER NOT NULL,     -- dispositions.disposition
  joins          BLOB,                 -- 16 bytes; the open alert that a raise joined
  also           TEXT,                 -- ids of other zones that are paged for a raise from its first moment, by spaces
  agencies       INTEGER NOT NULL,     -- sum of agencies.bit; who is to answer
  incident       BLOB,                 -- 16 bytes; the incident that a raise belongs to, by its first alert's id;
                                       --   NULL: this is its first, or no raise
  raised_at_us   INTEGER               -- log.received_at_us of the raise that this belongs to or joined
) STRICT;

-- Where, and what was said: all that is personal, apart from the rest so that it can be erased alone. Deleted content
-- is overwritten (secure_delete). No foreign key: it would cost every append a look-up; the gateway checks instead.
CREATE TABLE content (
  cursor      INTEGER PRIMARY KEY,  -- log.cursor
  signed      BLOB    NOT NULL,     -- the message exactly as received: COSE_Sign1, see docs/protocol.md
  site_lat_e7 INTEGER,              -- the place the device was enrolled with, in 1e-7 degrees; only where the message
  site_lon_e7 INTEGER               --   itself has none
) STRICT;

-- What was decided, by a person or by a rule. Names operators, and holds no place.
CREATE TABLE decisions (
  cursor        INTEGER PRIMARY KEY,  -- place in the journal
  decided_at_us INTEGER NOT NULL,     -- microseconds since 1970-01-01T00:00:00Z
  act           INTEGER NOT NULL,     -- acts.act
  operator      TEXT,                 -- who decided: the name of an operator's token,
  rule          INTEGER,              --   or rules.rule; never both
  device_id     BLOB,                 -- 16 bytes; the device that it is about
  alert_id      BLOB,                 -- 16 bytes; the alert that it is about,
  alert_cursor  INTEGER,              --   and log.cursor of its raise
  zone          TEXT    NOT NULL,     -- id of the zone whose operators it concerns
  verdict       INTEGER,              -- verdicts.verdict, where the act is a verdict or resolves
  until_us      INTEGER,              -- when a block, a probation or a drill ends
  object        TEXT,                 -- who is sent; the zone that is paged from here on (NULL: everybody); the posture
  reason        TEXT,                 -- why, in the actor's words
  evidence      TEXT,                 -- JSON: ids of the alerts that it rests on
  notice        TEXT,                 -- JSON: what a notice tells
  standing      TEXT,                 -- JSON: how the device stands from here on, where that changed
  CHECK ((operator IS NULL) <> (rule IS NULL)),
  CHECK ((alert_id IS NULL) = (alert_cursor IS NULL))
) STRICT;

-- The names of the numbers. Filled by the gateway at each start.
CREATE TABLE kinds      (kind     INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE categories (category INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE carriers   (carrier  INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE labels     (bit      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE dispositions (disposition INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE acts       (act      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE rules      (rule     INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE verdicts   (verdict  INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE agencies   (bit      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

-- Every message, for people.
CREATE VIEW records AS
SELECT
  log.cursor,
  strftime('%Y-%m-%dT%H:%M:%S', log.received_at_us / 1000000, 'unixepoch')
    || printf('.%03dZ', log.received_at_us / 1000 % 1000)             AS received_at,
  lower(hex(log.message_id))                                          AS message,
  lower(hex(log.device_id))                                           AS device,
  CASE
    WHEN log.alert_id IS NOT NULL THEN lower(hex(log.alert_id))
    WHEN log.kind = 1             THEN lower(hex(log.message_id))
  END                                                                 AS alert,
  coalesce(kinds.name, log.kind)                                      AS kind,
  log.boot,
  log.sequence,
  coalesce(categories.name, log.category)                             AS category,
  log.zone,
  (SELECT group_concat(name, ' ') FROM (SELECT name FROM labels WHERE log.labels & bit ORDER BY bit)) AS labels,
  coalesce(carriers.name, log.carrier)                                AS carrier,
  coalesce(dispositions.name, log.disposition)                        AS disposition,
  lower(hex(log.joins))                                               AS joins,
  log.also,
  (SELECT group_concat(name, ' ') FROM (SELECT name FROM agencies WHERE log.agencies & bit ORDER BY bit)) AS agencies,
  CASE
    WHEN log.incident IS NOT NULL THEN lower(hex(log.incident))
    WHEN log.kind = 1             THEN lower(hex(log.message_id))
  END                                                                 AS incident,
  content.site_lat_e7 / 1e7                                           AS site_lat,
  content.site_lon_e7 / 1e7                                           AS site_lon,
  content.signed
FROM log
LEFT JOIN content    ON content.cursor = log.cursor
LEFT JOIN kinds      ON kinds.kind = log.kind
LEFT JOIN categories ON categories.category = log.category
LEFT JOIN carriers   ON carriers.carrier = log.carrier
LEFT JOIN dispositions ON dispositions.disposition = log.disposition;

-- Every decision, for people.
CREATE VIEW audit AS
SELECT
  decisions.cursor,
  strftime('%Y-%m-%dT%H:%M:%S', decided_at_us / 1000000, 'unixepoch')
    || printf('.%03dZ', decided_at_us / 1000 % 1000)                  AS decided_at,
  coalesce('operator ' || operator, 'rule ' || rules.name, 'rule ' || decisions.rule) AS actor,
  coalesce(acts.name, decisions.act)                                  AS act,
  coalesce(verdicts.name, decisions.verdict)                          AS verdict,
  lower(hex(device_id))                                               AS device,
  lower(hex(alert_id))                                                AS alert,
  zone,
  strftime('%Y-%m-%dT%H:%M:%SZ', until_us / 1000000, 'unixepoch')     AS until,
  object,
  reason,
  evidence,
  notice,
  standing
FROM decisions
LEFT JOIN acts     ON acts.act = decisions.act
LEFT JOIN rules    ON rules.rule = decisions.rule
LEFT JOIN verdicts ON verdicts.verdict = decisions.verdict;
