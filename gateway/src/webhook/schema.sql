-- How far each webhook is. Written by the gateway alone; the registry says which webhooks there are.
-- To look at it: SELECT hex(webhook_id), * FROM progress; SELECT * FROM dead;
CREATE TABLE progress (
    webhook_id BLOB PRIMARY KEY CHECK (length(webhook_id) = 16),
    cursor INTEGER NOT NULL,           -- up to here everything is delivered, dead, or not for this webhook
    attempts INTEGER NOT NULL,         -- failed ones, of the event that comes next
    first_attempt_at INTEGER NOT NULL, -- the first of them, in milliseconds since 1970; 0: there was none
    dropped INTEGER NOT NULL,          -- dead letters that made room for later ones
    retries INTEGER NOT NULL           -- requests for another try (registry.db) that are heeded
) STRICT, WITHOUT ROWID;

-- Events that could not be delivered. What they say is in the journal at their cursor.
CREATE TABLE dead (
    webhook_id BLOB NOT NULL REFERENCES progress ON DELETE CASCADE,
    cursor INTEGER NOT NULL,
    message_id TEXT NOT NULL,          -- as the target was told it
    attempts INTEGER NOT NULL,
    died_at INTEGER NOT NULL,
    cause TEXT NOT NULL,
    due INTEGER NOT NULL,              -- 1: somebody asked to send it once more
    PRIMARY KEY (webhook_id, cursor)
) STRICT, WITHOUT ROWID;
