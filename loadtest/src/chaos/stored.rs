//! What the database holds at the end, read past the program under test.

use super::journal::digest;
use super::record::{StoredMessage, StoredRoom};
use super::stage::Stage;

/// One room's head and rows.
pub(crate) fn read(stage: &Stage, room: &str) -> Result<StoredRoom, String> {
    // One answer, one snapshot. The rooms' names and all texts are our own: no quotes, no line breaks.
    let rows = stage.sql(&format!(
        "SELECT coalesce((SELECT head FROM heads WHERE room = '{room}'), 0)::text AS line, 0 AS seq UNION ALL
         SELECT concat_ws('|', seq, rev, id, deleted, text), seq FROM messages WHERE room = '{room}' ORDER BY 2"
    ));
    let mut lines = rows.lines().map(|line| line.rsplit_once('|').map_or(line, |(line, _)| line));
    let head = lines.next().and_then(|head| head.parse().ok()).ok_or_else(|| format!("no head of {room}: {rows}"))?;
    let messages =
        lines.map(|line| message(line).ok_or_else(|| format!("not a row: {line}"))).collect::<Result<_, _>>()?;
    Ok(StoredRoom { head, messages })
}

fn message(line: &str) -> Option<StoredMessage> {
    let mut fields = line.splitn(5, '|');
    let (seq, rev) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let id = fields.next()?.parse().ok()?;
    let deleted = matches!(fields.next()?, "t" | "true");
    let text = (!deleted).then(|| digest(fields.next().unwrap_or_default()));
    Some(StoredMessage { seq, rev, id, text })
}
