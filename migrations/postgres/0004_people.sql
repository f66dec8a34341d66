-- Whoever has a name for good. Names compare folded, as the program folds them: name_key.
CREATE TABLE accounts (
    id            uuid NOT NULL PRIMARY KEY,
    name          text NOT NULL,
    name_key      text COLLATE "C" NOT NULL UNIQUE,
    -- As argon2 writes it; none: nobody signs in by a password.
    password_hash text,
    kind          text NOT NULL,
    admin         boolean NOT NULL DEFAULT false,
    disabled      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL
);

-- What lets its bearer be an account: a session or an API key. Of its token only the SHA-256 is kept.
CREATE TABLE grants (
    id         uuid NOT NULL PRIMARY KEY,
    account    uuid NOT NULL,
    kind       text NOT NULL,
    hash       bytea NOT NULL UNIQUE,
    label      text,
    agent      text,
    address    text,
    created_at timestamptz NOT NULL,
    used_at    timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX grants_of_account ON grants (account, created_at);
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX grants_expiring ON grants (expires_at) WHERE expires_at IS NOT NULL;
