-- Work for later, and the truth about it: Redis only hands out the ids of what is due, and may forget them at any time.
--
-- A task is waiting, or under way (leased), or done (done_at), or dead (dead_at). Whoever takes one moves due_at to the end of its
-- lease: what its worker leaves behind is then due again by itself, and the index never leads to what is under way.
CREATE TABLE tasks (
    id           uuid PRIMARY KEY,
    kind         text COLLATE "C" NOT NULL,
    -- At most one undone task has a key; whoever adds another is told of that one.
    key          text COLLATE "C",
    -- JSON.
    payload      text NOT NULL,
    created_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    -- NULL: as many as its kind allows.
    max_attempts integer,
    leased_until timestamptz,
    worker       text,
    last_error   text,
    dead_at      timestamptz,
    done_at      timestamptz,
    -- Seconds that it is remembered once it is done; 0: not at all.
    kept_for     integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX tasks_due ON tasks (due_at, id) WHERE done_at IS NULL AND dead_at IS NULL;
CREATE UNIQUE INDEX tasks_key ON tasks (key) WHERE key IS NOT NULL AND done_at IS NULL AND dead_at IS NULL;
CREATE INDEX tasks_dead ON tasks (dead_at, id) WHERE dead_at IS NOT NULL;
CREATE INDEX tasks_done ON tasks (done_at, id) WHERE done_at IS NOT NULL;

-- What happens again and again. Time is cut into slots, each named by the second at which it begins; a slot yields one task,
-- whichever nodes ask for it and how often.
CREATE TABLE schedules (
    name      text COLLATE "C" PRIMARY KEY,
    every     bigint NOT NULL,
    last_slot bigint NOT NULL
);

CREATE TABLE webhooks (
    room        text COLLATE "C" NOT NULL,
    id          uuid NOT NULL,
    -- out: told of what happens in the room. in: what comes to it is said in the room.
    direction   text COLLATE "C" NOT NULL,
    name        text NOT NULL,
    url         text,
    secret      text NOT NULL,
    -- 1: messages, 2: edits, 4: deletions.
    events      integer NOT NULL,
    created_by  uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    disabled_at timestamptz,
    PRIMARY KEY (room, id)
);

CREATE INDEX webhooks_id ON webhooks (id);
-- All that a room without webhooks pays: one look here a batch.
CREATE INDEX webhooks_out ON webhooks (room) WHERE direction = 'out' AND disabled_at IS NULL;

-- As before, and for each new message one task for each webhook of its room that wants to hear of it, in the same transaction.
--
-- Keeps a batch of new messages in one round trip. The arrays are columns: one element a post.
--
-- The order of the two statements is the promise. Each sees what was committed before it began (VOLATILE, READ COMMITTED),
-- so ids are looked up only once the heads are ours: earlier, a rival's commit would be missed and its id kept twice.
-- Numbers are given only to what is new: counting first would leave holes.
--
-- Status 0: kept, with its number. 1: known, with the row as it is now. 2: the id names another text.
--
-- Plans are made once a connection and must stay right while a table grows from nothing to millions of rows, whatever the
-- statistics say. So there are look-ups by index only, and no joins of tables; and the search by id is a range in an order
-- that only the index on (room, id) has: of indexes that look equally good, the planner takes the one in order. The same goes for
-- webhooks; OFFSET 0 keeps the look-up one for each message, where a join might walk over all webhooks.
CREATE OR REPLACE FUNCTION tertulia_append(
    rooms text[], ids uuid[], hashes bytea[], authors uuid[], names text[], texts text[], replies bigint[]
) RETURNS TABLE (
    idx bigint, status integer, seq bigint, rev bigint, id uuid, author uuid, author_name text, text text,
    at timestamptz, edited_at timestamptz, deleted boolean, reply_to bigint
)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    now_ms timestamptz;
    hooked boolean;
BEGIN
    -- Makes the missing heads and locks the others, in the order of their names, so that no two batches wait for each other.
    -- A condition that never holds still locks.
    INSERT INTO heads AS h (room, head)
    SELECT DISTINCT p.room COLLATE "C", 0 FROM unnest(rooms) AS p (room) ORDER BY 1
    ON CONFLICT ON CONSTRAINT heads_pkey DO UPDATE SET head = h.head WHERE false;

    -- One clock for all nodes, read while the heads are held.
    now_ms := date_trunc('milliseconds', clock_timestamp());

    -- Whether anybody outside wants to hear of any of these rooms. Where nobody does, this is all that it costs.
    hooked := (
        SELECT w.room FROM webhooks w WHERE w.room = ANY (rooms) AND w.direction = 'out' AND w.disabled_at IS NULL
        ORDER BY w.room LIMIT 1) IS NOT NULL;

    RETURN QUERY
    WITH post AS MATERIALIZED (
        SELECT p.*, m.known_hash, m.known
        FROM unnest(rooms, ids, hashes, authors, names, texts, replies) WITH ORDINALITY
            AS p (room, id, text_hash, author, author_name, text, reply_to, idx)
        LEFT JOIN LATERAL (
            SELECT n.text_hash AS known_hash, n AS known FROM messages n
            WHERE n.room = p.room AND n.id BETWEEN p.id AND p.id ORDER BY n.id LIMIT 1
        ) m ON true
    ), fresh AS MATERIALIZED (
        SELECT p.*, (SELECT h.head FROM heads h WHERE h.room = p.room)
            + row_number() OVER (PARTITION BY p.room ORDER BY p.idx) AS number
        FROM post p WHERE p.known_hash IS NULL
    ), kept AS (
        INSERT INTO messages (room, seq, rev, id, text_hash, author, author_name, text, at, reply_to)
        SELECT f.room, f.number, f.number, f.id, f.text_hash, f.author, f.author_name, f.text, now_ms, f.reply_to
        FROM fresh f
    ), moved AS (
        INSERT INTO heads (room, head) SELECT f.room, max(f.number) FROM fresh f GROUP BY f.room
        ON CONFLICT ON CONSTRAINT heads_pkey DO UPDATE SET head = excluded.head
    ), told AS (
        INSERT INTO tasks (id, kind, payload, created_at, due_at)
        SELECT gen_random_uuid(), 'webhook', json_build_object(
            'webhook', w.id, 'room', f.room, 'seq', f.number, 'rev', f.number, 'event', 'message'), now_ms, now_ms
        FROM fresh f CROSS JOIN LATERAL (
            SELECT n.id FROM webhooks n
            WHERE n.room BETWEEN f.room AND f.room AND n.direction = 'out' AND n.disabled_at IS NULL AND n.events & 1 <> 0
            ORDER BY n.room, n.id OFFSET 0
        ) w
        WHERE hooked
    )
    SELECT f.idx, 0, f.number, f.number, NULL::uuid, NULL::uuid, NULL, NULL, now_ms, NULL::timestamptz, false, NULL::bigint
    FROM fresh f
    UNION ALL
    SELECT p.idx, CASE WHEN p.known_hash = p.text_hash THEN 1 ELSE 2 END, (p.known).seq, (p.known).rev, (p.known).id,
        (p.known).author, (p.known).author_name, (p.known).text, (p.known).at, (p.known).edited_at, (p.known).deleted,
        (p.known).reply_to
    FROM post p WHERE p.known_hash IS NOT NULL;
END
$$;

-- As before, and for each change one task for each webhook of its room that wants to hear of it, in the same transaction.
--
-- Changes kept messages, one after another in the order given: each sees what the ones before it did. Rare enough for a loop.
-- A text of NULL deletes.
--
-- Status 0: changed, 1: nothing to change, 3: not there, 4: somebody else's; 0 and 1 with the row as it is now.
CREATE OR REPLACE FUNCTION tertulia_amend(rooms text[], seqs bigint[], people uuid[], texts text[])
RETURNS TABLE (
    idx bigint, status integer, seq bigint, rev bigint, id uuid, author uuid, author_name text, text text,
    at timestamptz, edited_at timestamptz, deleted boolean, reply_to bigint
)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    locked text;
    now_ms timestamptz;
    found_row record;
    next_rev bigint;
    hooked boolean;
BEGIN
    -- The same order as in tertulia_append, so that the two never wait for each other in a circle.
    FOR locked IN SELECT DISTINCT p.room COLLATE "C" FROM unnest(rooms) AS p (room) ORDER BY 1 LOOP
        PERFORM 1 FROM heads h WHERE h.room = locked FOR NO KEY UPDATE;
    END LOOP;
    now_ms := date_trunc('milliseconds', clock_timestamp());
    hooked := (
        SELECT w.room FROM webhooks w WHERE w.room = ANY (rooms) AND w.direction = 'out' AND w.disabled_at IS NULL
        ORDER BY w.room LIMIT 1) IS NOT NULL;

    FOR i IN 1 .. cardinality(rooms) LOOP
        -- A range in order, as in tertulia_append: it keeps the planner on the index on (room, seq).
        SELECT m.ctid AS place, m.* INTO found_row FROM messages m
        WHERE m.room = rooms[i] AND m.seq BETWEEN seqs[i] AND seqs[i] ORDER BY m.seq LIMIT 1;
        idx := i;
        status := CASE
            WHEN found_row.seq IS NULL THEN 3
            WHEN found_row.author <> people[i] THEN 4
            WHEN found_row.deleted AND texts[i] IS NULL THEN 1
            WHEN found_row.deleted THEN 3
            WHEN found_row.text = texts[i] THEN 1
            ELSE 0
        END;
        IF status = 0 THEN
            UPDATE heads h SET head = h.head + 1 WHERE h.room = rooms[i] RETURNING h.head INTO next_rev;
            UPDATE messages m SET
                rev = next_rev,
                text = coalesce(texts[i], ''),
                deleted = texts[i] IS NULL,
                edited_at = CASE WHEN texts[i] IS NULL THEN m.edited_at ELSE now_ms END
            WHERE m.room = rooms[i] AND m.ctid = found_row.place
            RETURNING m.ctid AS place, m.* INTO found_row;
            IF hooked THEN
                INSERT INTO tasks (id, kind, payload, created_at, due_at)
                SELECT gen_random_uuid(), 'webhook', json_build_object(
                    'webhook', w.id, 'room', w.room, 'seq', seqs[i], 'rev', next_rev,
                    'event', CASE WHEN texts[i] IS NULL THEN 'delete' ELSE 'edit' END), now_ms, now_ms
                FROM webhooks w
                WHERE w.room BETWEEN rooms[i] AND rooms[i] AND w.direction = 'out' AND w.disabled_at IS NULL
                    AND w.events & CASE WHEN texts[i] IS NULL THEN 4 ELSE 2 END <> 0
                ORDER BY w.room, w.id;
            END IF;
        END IF;
        seq := found_row.seq;
        rev := found_row.rev;
        id := found_row.id;
        author := found_row.author;
        author_name := found_row.author_name;
        text := found_row.text;
        at := found_row.at;
        edited_at := found_row.edited_at;
        deleted := found_row.deleted;
        reply_to := found_row.reply_to;
        RETURN NEXT;
    END LOOP;
END
$$;
