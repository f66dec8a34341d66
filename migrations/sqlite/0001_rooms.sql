-- Room names compare byte by byte, as in Postgres.

CREATE TABLE heads (
    room TEXT NOT NULL PRIMARY KEY,
    head INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Moments are milliseconds since 1970 in UTC.
CREATE TABLE messages (
    room        TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    rev         INTEGER NOT NULL,
    id          BLOB NOT NULL,
    -- Of the text as it was first sent, so that a retry is known even after an edit.
    text_hash   BLOB NOT NULL,
    author      BLOB NOT NULL,
    author_name TEXT NOT NULL,
    text        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    edited_at   INTEGER,
    deleted     INTEGER NOT NULL DEFAULT 0,
    reply_to    INTEGER,
    PRIMARY KEY (room, seq),
    UNIQUE (room, id),
    UNIQUE (room, rev)
) STRICT;

-- What the whole store agrees on: its epoch, and the secret that signs tokens.
CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
