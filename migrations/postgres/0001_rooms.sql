-- Room names compare byte by byte everywhere, so that every node locks heads in the same order.

-- One narrow row a room, rewritten by every batch: the spare half of a page lets it be rewritten in place.
CREATE TABLE heads (
    room text COLLATE "C" PRIMARY KEY,
    head bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE messages (
    room        text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    rev         bigint NOT NULL,
    id          uuid NOT NULL,
    -- Of the text as it was first sent, so that a retry is known even after an edit.
    text_hash   bytea NOT NULL,
    author      uuid NOT NULL,
    author_name text NOT NULL,
    text        text NOT NULL,
    at          timestamptz NOT NULL,
    edited_at   timestamptz,
    deleted     boolean NOT NULL DEFAULT false,
    reply_to    bigint,
    PRIMARY KEY (room, seq),
    UNIQUE (room, id),
    UNIQUE (room, rev)
);

-- Three indexes begin with the room, and a planner that believes a room to have one message takes any of them, then reads
-- the whole room to find a row. Statistics say just that where most rooms are quiet; so they are told otherwise.
ALTER TABLE messages ALTER COLUMN room SET (n_distinct = -0.01);

-- What the whole store agrees on: its epoch, the evidence the epoch rests on, the secret that signs tokens.
CREATE TABLE settings (
    key   text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
