-- Work for later. Moments are milliseconds since 1970 in UTC.
--
-- A task is waiting, or under way (leased), or done (done_at), or dead (dead_at). Whoever takes one moves due_at to the end of its
-- lease: what its worker leaves behind is then due again by itself, and the index never leads to what is under way.
CREATE TABLE tasks (
    id           BLOB NOT NULL PRIMARY KEY,
    kind         TEXT NOT NULL,
    -- At most one undone task has a key; whoever adds another is told of that one.
    key          TEXT,
    -- JSON.
    payload      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    -- NULL: as many as its kind allows.
    max_attempts INTEGER,
    leased_until INTEGER,
    worker       TEXT,
    last_error   TEXT,
    dead_at      INTEGER,
    done_at      INTEGER,
    -- Seconds that it is remembered once it is done; 0: not at all.
    kept_for     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX tasks_due ON tasks (due_at, id) WHERE done_at IS NULL AND dead_at IS NULL;
CREATE UNIQUE INDEX tasks_key ON tasks (key) WHERE key IS NOT NULL AND done_at IS NULL AND dead_at IS NULL;
CREATE INDEX tasks_dead ON tasks (dead_at, id) WHERE dead_at IS NOT NULL;
CREATE INDEX tasks_done ON tasks (done_at, id) WHERE done_at IS NOT NULL;

-- What happens again and again. Time is cut into slots, each named by the second at which it begins; a slot yields one task.
CREATE TABLE schedules (
    name      TEXT NOT NULL PRIMARY KEY,
    every     INTEGER NOT NULL,
    last_slot INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhooks (
    room        TEXT NOT NULL,
    id          BLOB NOT NULL,
    -- out: told of what happens in the room. in: what comes to it is said in the room.
    direction   TEXT NOT NULL,
    name        TEXT NOT NULL,
    url         TEXT,
    secret      TEXT NOT NULL,
    -- 1: messages, 2: edits, 4: deletions.
    events      INTEGER NOT NULL,
    created_by  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER,
    PRIMARY KEY (room, id)
) STRICT;

CREATE INDEX webhooks_id ON webhooks (id);
CREATE INDEX webhooks_out ON webhooks (room) WHERE direction = 'out' AND disabled_at IS NULL;
