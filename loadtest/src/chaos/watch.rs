//! Watches a cluster that somebody else runs, and breaks or deploys over: the same clients and the same judge, by the public
//! protocol alone.
//!
//! What the store holds is what a client is given that asks for everything in the end. What was broken, and when, is not
//! known here; so nobody is blamed for a message that was late.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::crowd::Crowd;
use super::judge::judge;
use super::record::{ClientLog, Evidence, RoomIndex, StoredMessage, StoredRoom, What};
use super::report::{Report, RunInfo};
use super::verdict::Rule;
use crate::args::Watch;

/// Watches until it is told to stop; `true` if every promise held.
///
/// # Errors
/// When the address is nobody's, or a report cannot be written.
pub(crate) async fn watch(asked: &Watch) -> io::Result<bool> {
    let door = door(&asked.url).await?;
    let run = Uuid::new_v4().simple().to_string();
    let rooms: Vec<String> = (1..=asked.talk.rooms).map(|number| format!("watch-{}-{number}", &run[..8])).collect();
    let began = Instant::now();
    let crowd = Crowd::enter(&asked.talk, &rooms, &[door], began);
    eprintln!(
        "watching {} until {}",
        asked.url,
        asked.seconds.map_or("a signal".into(), |s| format!("{s} s are over"))
    );
    told_to_stop(asked.seconds.map(Duration::from_secs)).await?;
    let healed_at = began.elapsed();
    let clients = crowd.finish(std::iter::once(("latecomer".to_owned(), door))).await;

    let store = (0..rooms.len()).map(|room| told(clients.last(), room)).collect();
    let (faults, counters) = (Vec::new(), Vec::new());
    let evidence = Evidence { rooms, clients, store, faults, counters, healed_at, ended_at: began.elapsed() };
    let mut verdict = judge(&evidence);
    verdict.findings.retain(|finding| finding.rule != Rule::HealedInTime);
    let talk = &asked.talk;
    let info = RunInfo {
        seed: talk.seed,
        command: format!("loadtest watch --url={}", asked.url),
        seconds: healed_at.as_secs(),
        rooms: talk.rooms.into(),
        writers: talk.writers.into(),
        editors: talk.editors.into(),
        readers: talk.readers.into(),
        version: asked.url.clone(),
        ..RunInfo::default()
    };
    Report::of(&info, &evidence, &verdict).tell(&asked.output)?;
    Ok(verdict.holds())
}

/// `http://host:port`, without a path or with one that does not matter.
async fn door(url: &str) -> io::Result<SocketAddr> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {why}"));
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"));
    let rest = rest.ok_or_else(|| wrong("an address begins with http:// or ws://"))?;
    let host = rest.split('/').next().unwrap_or(rest);
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    lookup_host(host).await?.next().ok_or_else(|| wrong("nobody has this name"))
}

async fn told_to_stop(after: Option<Duration>) -> io::Result<()> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let over = async {
        match after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        () = over => {}
    }
    Ok(())
}

/// What a client was given of a room that it asked everything of.
fn told(client: Option<&ClientLog>, room: RoomIndex) -> StoredRoom {
    let mut stored = StoredRoom::default();
    let mut messages: BTreeMap<u64, StoredMessage> = BTreeMap::new();
    for line in client.into_iter().flat_map(|client| &client.lines) {
        match line.what {
            What::Joined { room: of, head, .. } if of == room => stored.head = head,
            What::Got { room: of, seq, rev, id, text, .. } if of == room => {
                messages.insert(seq, StoredMessage { seq, rev, id, text });
            }
            _ => {}
        }
    }
    stored.messages = messages.into_values().collect();
    stored
}
