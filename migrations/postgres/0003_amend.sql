-- Changes kept messages, one after another in the order given: each sees what the ones before it did. Rare enough for a loop.
-- A text of NULL deletes.
--
-- Status 0: changed, 1: nothing to change, 3: not there, 4: somebody else's; 0 and 1 with the row as it is now.
CREATE FUNCTION tertulia_amend(rooms text[], seqs bigint[], people uuid[], texts text[])
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
BEGIN
    -- The same order as in tertulia_append, so that the two never wait for each other in a circle.
    FOR locked IN SELECT DISTINCT p.room COLLATE "C" FROM unnest(rooms) AS p (room) ORDER BY 1 LOOP
        PERFORM 1 FROM heads h WHERE h.room = locked FOR NO KEY UPDATE;
    END LOOP;
    now_ms := date_trunc('milliseconds', clock_timestamp());

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
