-- Devices, subscribers, operators and webhooks of one deployment. Changed by `gateway device`, `gateway subscriber`,
-- `gateway operator` and `gateway webhook`, read by the server.
-- Ids are 16 random bytes; times are milliseconds since 1970-01-01T00:00:00Z. To look at it: SELECT * FROM devices;
CREATE TABLE registry (
    revision INTEGER NOT NULL          -- counts the transactions that changed something; a server reads what is newer
) STRICT;
INSERT INTO registry VALUES (0);

CREATE TABLE batch (
    batch_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE          -- a delivery of devices
) STRICT;

CREATE TABLE owner (
    owner_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE          -- whose devices; for people. Two devices of one name have one owner
) STRICT;

-- Rows are never deleted and ids never reused: a new key is a new device.
CREATE TABLE device (
    device_index INTEGER PRIMARY KEY,  -- place in a server's tables: dense from 0
    device_id BLOB NOT NULL UNIQUE CHECK (length(device_id) = 16),
    algorithm INTEGER NOT NULL,        -- COSE number: -7 ES256, -8 EdDSA
    public_key BLOB NOT NULL,          -- ES256: x and y, 64 bytes; EdDSA: 32 bytes
    label TEXT,                        -- for people
    owner_id INTEGER REFERENCES owner,
    batch_id INTEGER REFERENCES batch,
    lat_e7 INTEGER,                    -- where it is mounted, 1e-7 degrees
    lon_e7 INTEGER,
    enrolled_at INTEGER NOT NULL,
    vouched INTEGER NOT NULL,          -- 1: somebody answers for it, so that it has no time on probation
    revoked_at INTEGER,                -- its messages are refused from then on
    revision INTEGER NOT NULL,         -- of the last change of this row
    CHECK ((lat_e7 IS NULL) = (lon_e7 IS NULL))
) STRICT;
CREATE INDEX device_by_revision ON device (revision);

CREATE TABLE subscriber (
    subscriber_id BLOB PRIMARY KEY CHECK (length(subscriber_id) = 16),
    token_sha256 BLOB NOT NULL UNIQUE, -- the token itself is kept nowhere
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    agencies TEXT,                     -- alerts that one of these answers, with commas; nothing: every alert
    categories TEXT,                   -- alerts of these, with commas; nothing: every alert
    coarse INTEGER NOT NULL            -- 1: places are shown as cells, without notes
) STRICT, WITHOUT ROWID;

-- A subscriber reads these zones and everything below them.
CREATE TABLE subscriber_zone (
    subscriber_id BLOB NOT NULL REFERENCES subscriber ON DELETE CASCADE,
    zone TEXT NOT NULL,
    PRIMARY KEY (subscriber_id, zone)
) STRICT, WITHOUT ROWID;

-- Who looks and decides. The name stands in every decision that the token's holder makes.
CREATE TABLE operator (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('operator', 'supervisor', 'sre', 'read-only')),
    token_sha256 BLOB NOT NULL UNIQUE, -- the token itself is kept nowhere
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    agencies TEXT,                     -- as a subscriber's
    categories TEXT,                   -- as a subscriber's
    coarse INTEGER NOT NULL            -- 1: places are shown as cells, without notes and owners
) STRICT, WITHOUT ROWID;

-- An operator acts in these zones and everything below them.
CREATE TABLE operator_zone (
    name TEXT NOT NULL REFERENCES operator ON DELETE CASCADE,
    zone TEXT NOT NULL,
    PRIMARY KEY (name, zone)
) STRICT, WITHOUT ROWID;

-- Where events are posted. What was delivered, and what could not be, is in webhooks.db.
CREATE TABLE webhook (
    webhook_id BLOB PRIMARY KEY CHECK (length(webhook_id) = 16),
    url TEXT NOT NULL,
    allow_private INTEGER NOT NULL,    -- 1: it may be at an address that is not public, and without TLS
    secret BLOB NOT NULL CHECK (length(secret) = 32), -- kept whole: every signature needs it
    agencies TEXT,                     -- as a subscriber's
    categories TEXT,                   -- as a subscriber's
    coarse INTEGER NOT NULL,           -- as a subscriber's
    format TEXT NOT NULL,              -- how events are written: json, geojson, cap
    attends INTEGER NOT NULL,          -- 1: as long as it delivers, somebody listens in its zones
    after INTEGER NOT NULL,            -- the journal's last cursor when it was added
    retries INTEGER NOT NULL,          -- how often somebody asked to send its dead letters once more
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A webhook is sent the events of these zones and everything below them.
CREATE TABLE webhook_zone (
    webhook_id BLOB NOT NULL REFERENCES webhook ON DELETE CASCADE,
    zone TEXT NOT NULL,
    PRIMARY KEY (webhook_id, zone)
) STRICT, WITHOUT ROWID;

CREATE VIEW operators AS
SELECT name, role,
       (SELECT group_concat(zone, ',') FROM operator_zone AS z WHERE z.name = o.name) AS zones,
       agencies, categories, coarse,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1000.0, 'unixepoch') AS expires_at
FROM operator AS o;

CREATE VIEW devices AS
SELECT lower(hex(device_id)) AS device_id,
       CASE algorithm WHEN -7 THEN 'es256' WHEN -8 THEN 'eddsa' END AS alg,
       label, owner.name AS owner, batch.name AS batch,
       lat_e7 / 1e7 AS lat, lon_e7 / 1e7 AS lon,
       strftime('%Y-%m-%dT%H:%M:%fZ', enrolled_at / 1000.0, 'unixepoch') AS enrolled_at,
       vouched,
       strftime('%Y-%m-%dT%H:%M:%fZ', revoked_at / 1000.0, 'unixepoch') AS revoked_at
FROM device LEFT JOIN batch USING (batch_id) LEFT JOIN owner USING (owner_id);

CREATE VIEW subscribers AS
SELECT lower(hex(subscriber_id)) AS id,
       (SELECT group_concat(zone, ',') FROM subscriber_zone AS z WHERE z.subscriber_id = s.subscriber_id) AS zones,
       agencies, categories, coarse,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1000.0, 'unixepoch') AS expires_at
FROM subscriber AS s;
