-- Whoever has a name for good. Names compare folded, as the program folds them: name_key.
CREATE TABLE accounts (
    id            BLOB NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    name_key      TEXT NOT NULL UNIQUE,
    -- As argon2 writes it; none: nobody signs in by a password.
    password_hash TEXT,
    kind          TEXT NOT NULL,
    admin         INTEGER NOT NULL DEFAULT 0,
    disabled      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) STRICT;

-- What lets its bearer be an account: a session or an API key. Of its token only the SHA-256 is kept.
CREATE TABLE grants (
    id         BLOB NOT NULL PRIMARY KEY,
    account    BLOB NOT NULL,
    kind       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    label      TEXT,
    agent      TEXT,
    address    TEXT,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX grants_of_account ON grants (account, created_at);
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX grants_expiring ON grants (expires_at) WHERE expires_at IS NOT NULL;
