//! The statements about tasks.

use crate::Which;

macro_rules! columns {
    () => {
        "id, kind, key, payload, created_at, due_at, attempts, max_attempts, leased_until, worker, last_error, dead_at, done_at"
    };
}

macro_rules! undone {
    () => {
        "done_at IS NULL AND dead_at IS NULL"
    };
}

/// The claim in $1 to $3 still holds.
macro_rules! held {
    () => {
        concat!("id = $1 AND worker = $2 AND attempts = $3 AND leased_until IS NOT NULL AND ", undone!())
    };
}

pub(super) const ADD: &str = "
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, max_attempts, kept_for)
    VALUES ($1, $2, $3, $4, $8, $8 + $5, $6, $7) ON CONFLICT DO NOTHING";
pub(super) const KNOWN: &str = concat!(
    "SELECT id FROM tasks WHERE id = $1 UNION ALL SELECT id FROM tasks WHERE key IS NOT NULL AND key = $2 AND ",
    undone!(),
    " LIMIT 1"
);
pub(super) const SLOT: &str = "
    INSERT INTO schedules (name, every, last_slot) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET every = excluded.every, last_slot = excluded.last_slot
        WHERE last_slot < excluded.last_slot";
pub(super) const LAST_SLOT: &str = "SELECT last_slot FROM schedules WHERE name = $1";
pub(super) const DUE: &str = concat!(
    "SELECT id, due_at FROM tasks WHERE ",
    undone!(),
    " AND due_at <= $1 AND kind IN (SELECT value FROM json_each($3)) ORDER BY due_at, id LIMIT $2"
);
pub(super) const DONE: &str = concat!("DELETE FROM tasks WHERE kept_for = 0 AND ", held!());
pub(super) const DONE_AND_KEPT: &str =
    concat!("UPDATE tasks SET done_at = $4, leased_until = NULL WHERE kept_for > 0 AND ", held!());
pub(super) const FAILED: &str =
    concat!("UPDATE tasks SET last_error = $4, leased_until = NULL, due_at = $5 WHERE ", held!());
pub(super) const BURY: &str =
    concat!("UPDATE tasks SET last_error = $4, leased_until = NULL, dead_at = $5 WHERE ", held!());
pub(super) const GIVE_BACK: &str =
    concat!("UPDATE tasks SET attempts = attempts - 1, leased_until = NULL, due_at = $4 WHERE ", held!());
pub(super) const EXTEND: &str = concat!("UPDATE tasks SET leased_until = $4, due_at = $4 WHERE ", held!());
pub(super) const ONE: &str = concat!("SELECT ", columns!(), " FROM tasks WHERE id = $1");
pub(super) const REQUEUE: &str = "
    UPDATE tasks SET dead_at = NULL, attempts = 0, leased_until = NULL, due_at = $2
    WHERE id = $1 AND done_at IS NULL AND (leased_until IS NULL OR leased_until <= $2) AND NOT EXISTS (
        SELECT 1 FROM tasks o WHERE o.key = tasks.key AND o.id <> tasks.id AND o.done_at IS NULL AND o.dead_at IS NULL)";
pub(super) const REMOVE: &str = "DELETE FROM tasks WHERE id = $1";
pub(super) const COUNT: &str = concat!(
    "SELECT kind, count(*) FILTER (WHERE NOT dead AND NOT running) AS waiting, count(*) FILTER (WHERE running) AS running, \
     count(*) FILTER (WHERE dead) AS dead, coalesce(max($1 - due_at) FILTER (WHERE NOT dead AND due_at <= $1), 0) AS due_for_ms \
     FROM (SELECT * FROM (SELECT kind, due_at, 0 AS dead, coalesce(leased_until > $1, 0) AS running FROM tasks WHERE ",
    undone!(),
    " ORDER BY due_at LIMIT $2) UNION ALL SELECT * FROM (SELECT kind, due_at, 1, 0 FROM tasks \
     WHERE dead_at IS NOT NULL ORDER BY dead_at LIMIT $2)) GROUP BY kind ORDER BY kind"
);
pub(super) const SWEEP: &str = "
    DELETE FROM tasks WHERE id IN (
        SELECT id FROM (SELECT id FROM tasks WHERE done_at IS NOT NULL AND done_at + kept_for * 1000 <= $1
            ORDER BY done_at LIMIT $3)
        UNION ALL
        SELECT id FROM (SELECT id FROM tasks WHERE dead_at IS NOT NULL AND dead_at + $2 <= $1 ORDER BY dead_at LIMIT $3))";

/// A page: those behind a place ($1, $2), or from the beginning.
macro_rules! page {
    ($which:expr, $moment:literal, $behind:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM tasks WHERE ",
            $which,
            " AND ($1 IS NULL OR (",
            $moment,
            ", id) ",
            $behind,
            " ($1, $2)) ORDER BY ",
            $moment,
            " ",
            $order,
            ", id ",
            $order,
            " LIMIT $3"
        )
    };
}

pub(super) fn page(which: Which) -> &'static str {
    match which {
        Which::Undone => page!(undone!(), "due_at", ">", "ASC"),
        Which::Dead => page!("dead_at IS NOT NULL", "dead_at", "<", "DESC"),
        Which::Done => page!("done_at IS NOT NULL", "done_at", "<", "DESC"),
    }
}

pub(super) const DUE_IDS: &str = concat!(" WHERE id IN (SELECT id FROM tasks WHERE ", undone!(), " AND due_at <= ");
pub(super) const RETURNING: &str = concat!(") RETURNING ", columns!());
