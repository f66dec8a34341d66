//! One room, one sender, many readers: what a delivery costs.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{PATIENCE, acknowledgements, deliveries};
use crate::args::Fanout;
use crate::crowd::{Audience, Rooms, let_in};
use crate::door::Door;
use crate::pace::Pace;
use crate::process::CpuWatch;
use crate::progress::Progress;
use crate::report::Report;
use crate::speaker::Speaker;
use crate::tally::Tally;

pub(crate) async fn run(fanout: &Fanout) -> io::Result<Report> {
    let Fanout { common, readers, in_flight, rate } = fanout;
    let (doors, rooms) = (Door::all(&common.urls).await?, Rooms::new(1));
    let tally = Arc::new(Tally::new());
    let audience = Audience::of(let_in(&doors, &rooms, *readers, &tally).await?, &tally);
    let speaker = Speaker::enter(&doors[0], "speaker", (0, rooms.name(0)), *in_flight, common.bytes).await?;
    // Who came is told to everybody once a second; that is not what is measured.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;

    let _progress = Progress::of(&tally);
    let (cpu, began) = (CpuWatch::start(&common.pids)?, Instant::now());
    let until = began + common.duration();
    let pace = rate.map_or(Pace::Until(until), |rate| Pace::rate(rate, until));
    let spoken = speaker.speak(pace, tally.clone()).await?;
    let heard = audience.hear_out(&[spoken.head], PATIENCE).await;
    let seconds = began.elapsed().as_secs_f64();
    let (theirs, ours) = (cpu.theirs()?.as_secs_f64(), cpu.ours()?.as_secs_f64());

    let (delivered, mut report) = (tally.delivered() as f64, Report::of("fanout"));
    report.figure("messages_per_s", tally.acked() as f64 / seconds);
    acknowledgements(&mut report, &tally);
    report.figure("deliveries_per_s", delivered / seconds);
    deliveries(&mut report, &tally, &heard);
    if !common.pids.is_empty() {
        report.figure("cpu_us_a_delivery", theirs * 1e6 / delivered);
        report.figure("deliveries_a_cpu_s", delivered / theirs);
        report.figure("cpu_cores", theirs / seconds);
    }
    report.figure("own_cpu_us_a_delivery", ours * 1e6 / delivered);
    Ok(report)
}
