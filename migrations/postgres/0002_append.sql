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
-- that only the index on (room, id) has: of indexes that look equally good, the planner takes the one in order.
CREATE FUNCTION tertulia_append(
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
BEGIN
    -- Makes the missing heads and locks the others, in the order of their names, so that no two batches wait for each other.
    -- A condition that never holds still locks.
    INSERT INTO heads AS h (room, head)
    SELECT DISTINCT p.room COLLATE "C", 0 FROM unnest(rooms) AS p (room) ORDER BY 1
    ON CONFLICT ON CONSTRAINT heads_pkey DO UPDATE SET head = h.head WHERE false;

    -- One clock for all nodes, read while the heads are held.
    now_ms := date_trunc('milliseconds', clock_timestamp());

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
