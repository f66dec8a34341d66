//! Many who joined and say nothing: what a connection costs.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::args::Idle;
use crate::crowd::{Audience, Rooms, let_in};
use crate::door::Door;
use crate::process::{CpuWatch, resident};
use crate::progress::Progress;
use crate::report::Report;
use crate::tally::Tally;

/// After the last has joined: presence is told, and what a node needed for the entrance may be given back.
const SETTLING: Duration = Duration::from_secs(3);

pub(crate) async fn run(idle: &Idle) -> io::Result<Report> {
    let Idle { common, connections, rooms } = idle;
    let (doors, rooms) = (Door::all(&common.urls).await?, Rooms::new(*rooms));
    let tally = Arc::new(Tally::new());
    let (before, began) = (resident(&common.pids)?, Instant::now());
    let audience = Audience::of(let_in(&doors, &rooms, *connections, &tally).await?, &tally);
    let all_in = began.elapsed();
    tokio::time::sleep(SETTLING).await;
    let settled = resident(&common.pids)?;
    let _progress = Progress::of(&tally);
    let cpu = CpuWatch::start(&common.pids)?;
    tokio::time::sleep(common.duration()).await;
    let (after, busy) = (resident(&common.pids)?, cpu.theirs()?);
    drop(audience);

    let count = *connections as f64;
    let mut report = Report::of("idle");
    report.figure("joined_per_s", count / all_in.as_secs_f64());
    report.figure("rss_before_bytes", before as f64);
    report.figure("rss_after_bytes", after as f64);
    report.figure("bytes_a_connection", (settled as f64 - before as f64) / count);
    report.figure("bytes_a_connection_later", (after as f64 - before as f64) / count);
    report.figure("cpu_us_a_connection_and_s", busy.as_secs_f64() * 1e6 / count / common.seconds.max(1) as f64);
    Ok(report)
}
