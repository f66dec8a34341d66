-- What rooms keep, and what is known of the messages that they no longer do.

-- Every message of the room with a seq at or below it is gone, whether or not its row is still there.
ALTER TABLE heads ADD COLUMN floor bigint NOT NULL DEFAULT 0;

-- A room that is not here keeps everything for ever.
CREATE TABLE retention (
    room          text COLLATE "C" PRIMARY KEY,
    keep_days     bigint,
    keep_messages bigint
);

-- The ids of messages whose rows are gone: an id is its room's for as long as the room lives.
CREATE TABLE kept_ids (
    room      text COLLATE "C" NOT NULL,
    id        uuid NOT NULL,
    text_hash bytea NOT NULL,
    seq       bigint NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (room, id)
);

-- Exports made in the background, until somebody has fetched them or nobody has for long enough.
CREATE TABLE exports (
    room       text COLLATE "C" NOT NULL,
    id         uuid NOT NULL,
    -- The attempt that writes it, or wrote it: what one before it left is not read.
    content    uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Of the whole; none while it is being written.
    chunks     bigint,
    bytes      bigint,
    PRIMARY KEY (room, id)
);

CREATE TABLE export_chunks (
    room    text COLLATE "C" NOT NULL,
    content uuid NOT NULL,
    number  bigint NOT NULL,
    lines   bytea NOT NULL,
    PRIMARY KEY (room, content, number)
);

CREATE INDEX exports_expire ON exports (expires_at);

-- As before, and for rooms that forget: an id at or below the floor is known, also where its row is gone.
--
-- Keeps a batch of new messages in one round trip. The arrays are columns: one element a post.
--
-- The order of the two statements is the promise. Each sees what was committed before it began (VOLATILE, READ COMMITTED),
-- so ids are looked up only once the heads are ours: earlier, a rival's commit would be missed and its id kept twice.
-- Numbers are given only to what is new: counting first would leave holes.
--
-- Status 0: kept, with its number. 1: known, with the row as it is now. 2: the id names another text. 5: known and gone, with
-- its id, its first number and when that was.
--
-- The head is looked up once a post, as before, and the floor comes with it: only where there is one are the ids of what is
-- gone looked through. A row on its way from messages to kept_ids is in one of the two in any snapshot.
--
-- Plans are made once a connection and must stay right while a table grows from nothing to millions of rows, whatever the
-- statistics say. So there are look-ups by index only, and no joins of tables; and the search by id is a range in an order
-- that only the index on (room, id) has: of indexes that look equally good, the planner takes the one in order.
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
        SELECT p.*, h.head, h.floor, m.known_hash, m.known, k.gone_hash, k.gone_seq, k.gone_at
        FROM unnest(rooms, ids, hashes, authors, names, texts, replies) WITH ORDINALITY
            AS p (room, id, text_hash, author, author_name, text, reply_to, idx)
        LEFT JOIN LATERAL (
            SELECT n.text_hash AS known_hash, n AS known FROM messages n
            WHERE n.room = p.room AND n.id BETWEEN p.id AND p.id ORDER BY n.id LIMIT 1
        ) m ON true
        LEFT JOIN LATERAL (SELECT n.head, n.floor FROM heads n WHERE n.room = p.room LIMIT 1) h ON true
        LEFT JOIN LATERAL (
            SELECT n.text_hash AS gone_hash, n.seq AS gone_seq, n.at AS gone_at FROM kept_ids n
            WHERE h.floor > 0 AND n.room = p.room AND n.id BETWEEN p.id AND p.id ORDER BY n.id LIMIT 1
        ) k ON true
    ), fresh AS MATERIALIZED (
        SELECT p.*, p.head + row_number() OVER (PARTITION BY p.room ORDER BY p.idx) AS number
        FROM post p WHERE p.known_hash IS NULL AND p.gone_hash IS NULL
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
    SELECT p.idx,
        CASE WHEN p.known_hash <> p.text_hash THEN 2 WHEN (p.known).seq <= p.floor THEN 5 ELSE 1 END,
        (p.known).seq, (p.known).rev, (p.known).id, (p.known).author, (p.known).author_name, (p.known).text, (p.known).at,
        (p.known).edited_at, (p.known).deleted, (p.known).reply_to
    FROM post p WHERE p.known_hash IS NOT NULL
    UNION ALL
    SELECT p.idx, CASE WHEN p.gone_hash = p.text_hash THEN 5 ELSE 2 END, p.gone_seq, p.gone_seq, p.id, NULL::uuid, NULL, NULL,
        p.gone_at, NULL::timestamptz, false, NULL::bigint
    FROM post p WHERE p.known_hash IS NULL AND p.gone_hash IS NOT NULL;
END
$$;

-- As before, and for rooms that forget: what is at or below the floor is not there.
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
            WHEN found_row.seq <= (SELECT h.floor FROM heads h WHERE h.room = rooms[i]) THEN 3
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
