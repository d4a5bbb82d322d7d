-- The index: what is in the journal, by message, device, zone, alert and time. Filled behind the journal in batches;
-- `position` says how far. Nothing is here that the journal has not: stop the gateway, delete the file, and it is built
-- again. It holds no place and no signed bytes; those are in journal.db under the same cursor.
--
-- Reading it: `messages` and `alerts` are in words. What is indexed:
--   SELECT * FROM alerts WHERE cursor = (SELECT cursor FROM message_ids WHERE message_id = x'0123...');
--   SELECT * FROM alerts WHERE zone = 'klojen' ORDER BY cursor DESC LIMIT 20;
--   SELECT * FROM messages WHERE received_at_us >= unixepoch('now', '-1 hour') * 1000000;
--   SELECT messages.* FROM device_messages JOIN messages USING (cursor) WHERE device_id = x'0123...';

-- How far the journal is indexed. One row; written in the same transaction as what it speaks of.
CREATE TABLE position (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  cursor INTEGER NOT NULL
) STRICT;
INSERT INTO position VALUES (1, 0);

-- Every record of the journal. The indexes grow at their ends only.
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
  carrier        INTEGER NOT NULL      -- carriers.carrier
) STRICT;
CREATE INDEX entries_by_time  ON entries (received_at_us);
CREATE INDEX entries_by_zone  ON entries (zone);
CREATE INDEX entries_by_alert ON entries (alert_id) WHERE alert_id IS NOT NULL;

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

-- The names of the numbers.
CREATE TABLE kinds      (kind     INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE categories (category INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE carriers   (carrier  INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE labels     (bit      INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

-- Every record in words.
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
  received_at_us
FROM entries
LEFT JOIN kinds      USING (kind)
LEFT JOIN categories USING (category)
LEFT JOIN carriers   USING (carrier);

-- Every alert: the raise that opened it, and how much followed.
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
  entries.received_at_us
FROM entries
JOIN messages USING (cursor)
WHERE entries.kind = 1;
