-- What rooms keep, and what is known of the messages that they no longer do.

-- Every message of the room with a seq at or below it is gone, whether or not its row is still there.
ALTER TABLE heads ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;

-- A room that is not here keeps everything for ever.
CREATE TABLE retention (
    room          TEXT NOT NULL PRIMARY KEY,
    keep_days     INTEGER,
    keep_messages INTEGER
) STRICT, WITHOUT ROWID;

-- The ids of messages whose rows are gone: an id is its room's for as long as the room lives.
CREATE TABLE kept_ids (
    room      TEXT NOT NULL,
    id        BLOB NOT NULL,
    text_hash BLOB NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (room, id)
) STRICT, WITHOUT ROWID;

-- Exports made in the background, until somebody has fetched them or nobody has for long enough.
CREATE TABLE exports (
    room       TEXT NOT NULL,
    id         BLOB NOT NULL,
    -- The attempt that writes it, or wrote it: what one before it left is not read.
    content    BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    -- Of the whole; none while it is being written.
    chunks     INTEGER,
    bytes      INTEGER,
    PRIMARY KEY (room, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE export_chunks (
    room    TEXT NOT NULL,
    content BLOB NOT NULL,
    number  INTEGER NOT NULL,
    lines   BLOB NOT NULL,
    PRIMARY KEY (room, content, number)
) STRICT;

CREATE INDEX exports_expire ON exports (expires_at);
