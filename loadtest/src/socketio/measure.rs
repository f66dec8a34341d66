//! What is measured of one server: sockets that say nothing, a quiet room, a busy room.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::contender::{Beside, Server};
use super::guest::Guest;
use crate::args::Socketio;
use crate::crowd::Rooms;
use crate::door::Door;
use crate::pace::Pace;
use crate::process::{CpuWatch, cpu, resident};
use crate::progress::Progress;
use crate::tally::Tally;

/// Sockets that are there before anything is measured, and that hear something before much is said: the first time costs more than
/// any other.
const WARMING: usize = 200;
const WARMING_MESSAGES: u64 = 500;
/// A server is at rest when it takes no more than this of a processor for so long, or when it has had its time.
const REST: Duration = Duration::from_millis(10);
const REST_FOR: Duration = Duration::from_millis(500);
const REST_WITHIN: Duration = Duration::from_secs(20);
/// How long sockets may take to hear what was said.
const PATIENCE: Duration = Duration::from_secs(20);

/// Figures by name; a name ends in its unit.
pub(super) type Figures = Vec<(&'static str, f64)>;

/// One room, in which one speaks and all hear it.
struct Room {
    messages: f64,
    deliveries: f64,
    seconds: f64,
    cpu: f64,
    cpu_beside: f64,
    own_cpu: f64,
    p50_ms: f64,
    p99_ms: f64,
    gaps: u64,
    doubles: u64,
    reorderings: u64,
    lost: u64,
}

/// Measures everything of a server that was just started.
pub(super) async fn all(server: &Server, beside: &Beside, args: &Socketio) -> io::Result<Figures> {
    let mut figures = Figures::new();
    idle(server, args, &mut figures).await?;
    room(server, beside, args, WARMING, || Pace::Count(WARMING_MESSAGES)).await?;
    let until = || Instant::now() + Duration::from_secs(args.seconds);
    let quiet = room(server, beside, args, args.readers, || Pace::rate(args.rate, until())).await?;
    let busy = room(server, beside, args, args.readers, || Pace::Until(until())).await?;
    let after = resident(&[server.pid])?;
    figures.extend([
        ("quiet_p50_ms", quiet.p50_ms),
        ("quiet_p99_ms", quiet.p99_ms),
        ("quiet_cpu_us_a_delivery", quiet.cpu * 1e6 / quiet.deliveries),
        ("busy_deliveries_a_cpu_s", busy.deliveries / busy.cpu),
        ("busy_deliveries_a_cpu_s_with_stores", busy.deliveries / (busy.cpu + busy.cpu_beside)),
        ("busy_deliveries_per_s", busy.deliveries / busy.seconds),
        ("busy_messages_per_s", busy.messages / busy.seconds),
        ("busy_p50_ms", busy.p50_ms),
        ("busy_p99_ms", busy.p99_ms),
        ("busy_own_cpu_us_a_delivery", busy.own_cpu * 1e6 / busy.deliveries),
        ("rss_after_bytes", after as f64),
        ("gaps", (quiet.gaps + busy.gaps) as f64),
        ("doubles", (quiet.doubles + busy.doubles) as f64),
        ("reorderings", (quiet.reorderings + busy.reorderings) as f64),
        ("sockets_lost", (quiet.lost + busy.lost) as f64),
    ]);
    Ok(figures)
}

/// Names of the figures that tell of something wrong.
pub(super) const WRONGS: [&str; 4] = ["gaps", "doubles", "reorderings", "sockets_lost"];

async fn idle(server: &Server, args: &Socketio, figures: &mut Figures) -> io::Result<()> {
    let tally = Arc::new(Tally::new());
    let (pids, rooms, door) = ([server.pid], Rooms::new(args.rooms), Door::socketio(server.address));
    let first = Guest::crowd(&door, &rooms, WARMING, &tally).await?;
    rest(server).await?;
    let (before, watch) = (resident(&pids)?, CpuWatch::start(&pids)?);
    let audience = Guest::crowd(&door, &rooms, args.idle, &tally).await?;
    rest(server).await?;
    let (after, took) = (resident(&pids)?, watch.theirs()?);
    drop((first, audience));
    let count = args.idle as f64;
    figures.push(("idle_bytes_a_socket", (after as f64 - before as f64) / count));
    figures.push(("join_cpu_us_a_socket", took.as_secs_f64() * 1e6 / count));
    Ok(())
}

async fn room(
    server: &Server,
    beside: &Beside,
    args: &Socketio,
    readers: usize,
    pace: impl FnOnce() -> Pace,
) -> io::Result<Room> {
    let (door, rooms, tally) = (Door::socketio(server.address), Rooms::new(1), Arc::new(Tally::new()));
    let audience = Guest::crowd(&door, &rooms, readers, &tally).await?;
    let speaker = Guest::enter(&door, &rooms.name(0), "speaker", &tally).await?;
    // Who came is told to everybody; that is not what is measured.
    rest(server).await?;

    let progress = Progress::of(&tally);
    let others: Vec<u32> = beside.redis.pid().into_iter().chain(beside.postgres.family()).collect();
    let (watch, watch_beside, began) = (CpuWatch::start(&[server.pid])?, CpuWatch::start(&others)?, Instant::now());
    let spoken = speaker.speak(pace(), args.in_flight, args.bytes, &tally).await?;
    let heard = audience.hear_out(&[spoken.said], PATIENCE).await;
    let seconds = began.elapsed().as_secs_f64();
    let (theirs, ours, besides) = (watch.theirs()?, watch.ours()?, watch_beside.theirs_left());
    drop((progress, audience));
    rest(server).await?;
    Ok(Room {
        messages: tally.acked() as f64,
        deliveries: tally.delivered() as f64,
        seconds,
        cpu: theirs.as_secs_f64(),
        cpu_beside: besides.as_secs_f64(),
        own_cpu: ours.as_secs_f64(),
        p50_ms: tally.delivery_time.ms(0.5),
        p99_ms: tally.delivery_time.ms(0.99),
        gaps: heard.gaps,
        doubles: heard.doubles,
        reorderings: heard.late,
        lost: tally.returns.load(Ordering::Relaxed) + u64::from(spoken.unanswered > 0),
    })
}

/// Waits until a server has done what it had to do.
async fn rest(server: &Server) -> io::Result<()> {
    let by = Instant::now() + REST_WITHIN;
    let mut before = cpu(&[server.pid])?;
    while Instant::now() < by {
        tokio::time::sleep(REST_FOR).await;
        let now = cpu(&[server.pid])?;
        if now - before <= REST {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}
