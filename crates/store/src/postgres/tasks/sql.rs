//! The statements about tasks.
//!
//! Times are whole milliseconds, so that a place in a list can be told and come back. `now()` is the beginning of the
//! statement, each being a transaction of its own; `clock_timestamp()` could not be looked up in an index.
//! Whatever reads several rows is told its index by an order that no other has, as in `tertulia_append`.

use crate::Which;

macro_rules! columns {
    () => {
        "t.id, t.kind, t.key, t.payload, t.created_at, t.due_at, t.attempts, t.max_attempts, t.leased_until, t.worker, \
         t.last_error, t.dead_at, t.done_at"
    };
}

macro_rules! undone {
    () => {
        "t.done_at IS NULL AND t.dead_at IS NULL"
    };
}

/// The claim in $1 to $3 still holds.
macro_rules! held {
    () => {
        concat!("t.id = $1 AND t.worker = $2 AND t.attempts = $3 AND t.leased_until IS NOT NULL AND ", undone!())
    };
}

/// Takes the rows that `mine` leads to, whatever the planner believes of the table: a join might walk over all of it. Of a row that
/// changes between the look and the lock nothing is taken; it is offered again.
macro_rules! claim {
    ($mine:expr, $worker:literal, $lease:literal) => {
        concat!(
            "WITH mine AS MATERIALIZED (",
            $mine,
            "), lease AS (SELECT date_trunc('milliseconds', now()) + ",
            $lease,
            "::bigint * interval '1 millisecond' AS until) \
             UPDATE tasks t SET attempts = t.attempts + 1, worker = ",
            $worker,
            ", leased_until = lease.until, due_at = lease.until \
             FROM lease WHERE t.ctid = ANY (ARRAY(SELECT place FROM mine)) RETURNING ",
            columns!()
        )
    };
}

pub(super) const ADD: &str = "
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, max_attempts, kept_for)
    SELECT $1, $2, $3, $4, n.now, n.now + $5::bigint * interval '1 millisecond', $6, $7
    FROM (SELECT date_trunc('milliseconds', now()) AS now) n
    ON CONFLICT DO NOTHING RETURNING id";
pub(super) const KNOWN: &str = concat!(
    "(SELECT t.id FROM tasks t WHERE t.id = $1) UNION ALL (SELECT t.id FROM tasks t WHERE t.key = $2 AND ",
    undone!(),
    ") LIMIT 1"
);
/// Most times a look suffices; whoever finds the slot new waits for rivals at its row, and one of them moves it.
pub(super) const SCHEDULE: &str = "
    WITH present AS (
        SELECT floor(extract(epoch FROM now()) / $2::bigint)::bigint * $2::bigint AS slot
    ), slot AS (
        INSERT INTO schedules AS s (name, every, last_slot)
        SELECT $1, $2::bigint, p.slot FROM present p
        WHERE NOT EXISTS (SELECT FROM schedules o WHERE o.name = $1 AND o.last_slot >= p.slot)
        ON CONFLICT (name) DO UPDATE SET every = excluded.every, last_slot = excluded.last_slot
            WHERE s.last_slot < excluded.last_slot
        RETURNING s.name
    )
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, max_attempts, kept_for)
    SELECT $3, $4, $5, $6, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()), $7, $8 FROM slot
    ON CONFLICT DO NOTHING RETURNING id";
pub(super) const DUE: &str = concat!(
    "SELECT t.id, t.due_at FROM tasks t WHERE ",
    undone!(),
    " AND t.due_at <= now() AND t.kind = ANY ($2) ORDER BY t.due_at, t.id LIMIT $1"
);
pub(super) const CLAIM: &str = claim!(
    concat!(
        "SELECT f.place FROM unnest($1::uuid[]) w (id) CROSS JOIN LATERAL (SELECT t.ctid AS place FROM tasks t \
         WHERE t.id BETWEEN w.id AND w.id AND t.due_at <= now() AND t.kind = ANY ($2) AND ",
        undone!(),
        " ORDER BY t.id LIMIT 1 FOR UPDATE SKIP LOCKED) f"
    ),
    "$3",
    "$4"
);
pub(super) const CLAIM_DUE: &str = claim!(
    concat!(
        "SELECT t.ctid AS place FROM tasks t WHERE ",
        undone!(),
        " AND t.due_at <= now() AND t.kind = ANY ($2) ORDER BY t.due_at, t.id LIMIT $1 FOR UPDATE SKIP LOCKED"
    ),
    "$3",
    "$4"
);
pub(super) const EXTEND: &str = concat!(
    "WITH mine AS MATERIALIZED (SELECT f.place FROM unnest($1::uuid[], $2::text[], $3::integer[]) c (id, worker, attempt) \
     CROSS JOIN LATERAL (SELECT t.ctid AS place FROM tasks t WHERE t.id BETWEEN c.id AND c.id AND t.worker = c.worker \
     AND t.attempts = c.attempt AND t.leased_until IS NOT NULL AND ",
    undone!(),
    " ORDER BY t.id LIMIT 1 FOR UPDATE) f), \
     lease AS (SELECT date_trunc('milliseconds', now()) + $4::bigint * interval '1 millisecond' AS until) \
     UPDATE tasks t SET leased_until = lease.until, due_at = lease.until FROM lease \
     WHERE t.ctid = ANY (ARRAY(SELECT place FROM mine)) RETURNING t.id"
);
pub(super) const DONE: &str = concat!(
    "WITH gone AS (DELETE FROM tasks t WHERE t.kept_for = 0 AND ",
    held!(),
    " RETURNING t.id), kept AS (UPDATE tasks t SET done_at = date_trunc('milliseconds', now()), leased_until = NULL \
     WHERE t.kept_for > 0 AND ",
    held!(),
    " RETURNING t.id) SELECT id FROM gone UNION ALL SELECT id FROM kept"
);
pub(super) const FAILED: &str = concat!(
    "UPDATE tasks t SET last_error = $4, leased_until = NULL, \
     due_at = date_trunc('milliseconds', now()) + $5::bigint * interval '1 millisecond' WHERE ",
    held!(),
    " RETURNING t.id"
);
pub(super) const BURY: &str = concat!(
    "UPDATE tasks t SET last_error = $4, leased_until = NULL, dead_at = date_trunc('milliseconds', now()) WHERE ",
    held!(),
    " RETURNING t.id"
);
pub(super) const GIVE_BACK: &str = concat!(
    "UPDATE tasks t SET attempts = t.attempts - 1, leased_until = NULL, due_at = date_trunc('milliseconds', now()) WHERE ",
    held!(),
    " RETURNING t.id"
);
pub(super) const ONE: &str = concat!("SELECT ", columns!(), " FROM tasks t WHERE t.id = $1");
pub(super) const REQUEUE: &str = "
    UPDATE tasks t SET dead_at = NULL, attempts = 0, leased_until = NULL, due_at = date_trunc('milliseconds', now())
    WHERE t.id = $1 AND t.done_at IS NULL AND (t.leased_until IS NULL OR t.leased_until <= now()) AND NOT EXISTS (
        SELECT FROM tasks o WHERE o.key = t.key AND o.id <> t.id AND o.done_at IS NULL AND o.dead_at IS NULL)
    RETURNING t.id";
pub(super) const REMOVE: &str = "DELETE FROM tasks t WHERE t.id = $1 RETURNING t.id";
pub(super) const COUNT: &str = concat!(
    "SELECT k.kind, count(*) FILTER (WHERE NOT k.dead AND NOT k.running) AS waiting, count(*) FILTER (WHERE k.running) AS running, \
     count(*) FILTER (WHERE k.dead) AS dead, \
     coalesce(max(extract(epoch FROM now() - k.due_at) * 1000) FILTER (WHERE NOT k.dead AND k.due_at <= now()), 0)::bigint \
     AS due_for_ms FROM (\
     (SELECT t.kind, t.due_at, false AS dead, coalesce(t.leased_until > now(), false) AS running FROM tasks t WHERE ",
    undone!(),
    " ORDER BY t.due_at LIMIT $1) UNION ALL \
     (SELECT t.kind, t.due_at, true, false FROM tasks t WHERE t.dead_at IS NOT NULL ORDER BY t.dead_at LIMIT $1)) k \
     GROUP BY k.kind ORDER BY k.kind"
);
pub(super) const SWEEP: &str = "
    WITH old AS MATERIALIZED (
        (SELECT t.ctid AS place FROM tasks t WHERE t.done_at IS NOT NULL AND t.done_at <= now() - t.kept_for * interval '1 second'
            ORDER BY t.done_at LIMIT $2)
        UNION ALL
        (SELECT t.ctid FROM tasks t WHERE t.dead_at IS NOT NULL AND t.dead_at <= now() - $1::bigint * interval '1 millisecond'
            ORDER BY t.dead_at LIMIT $2)
    )
    DELETE FROM tasks t WHERE t.ctid = ANY (ARRAY(SELECT place FROM old)) RETURNING t.id";

/// A page: those behind a place ($1, $2), or from the beginning.
macro_rules! page {
    ($which:expr, $moment:literal, $behind:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM tasks t WHERE ",
            $which,
            " AND ($1::timestamptz IS NULL OR (",
            $moment,
            ", t.id) ",
            $behind,
            " ($1, $2)) ORDER BY ",
            $moment,
            " ",
            $order,
            ", t.id ",
            $order,
            " LIMIT $3"
        )
    };
}

pub(super) fn page(which: Which) -> &'static str {
    match which {
        Which::Undone => page!(undone!(), "t.due_at", ">", "ASC"),
        Which::Dead => page!("t.dead_at IS NOT NULL", "t.dead_at", "<", "DESC"),
        Which::Done => page!("t.done_at IS NOT NULL", "t.done_at", "<", "DESC"),
    }
}
