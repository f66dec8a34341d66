//! Many senders: what is acknowledged, and what readers hear of it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::{PATIENCE, acknowledgements, deliveries};
use crate::args::Durable;
use crate::crowd::{Audience, Rooms, door, let_in};
use crate::door::Door;
use crate::pace::Pace;
use crate::process::CpuWatch;
use crate::progress::{Progress, gather};
use crate::report::Report;
use crate::speaker::Speaker;
use crate::tally::Tally;

pub(crate) async fn run(durable: &Durable) -> io::Result<Report> {
    let Durable { common, senders, in_flight, readers, .. } = durable;
    let (doors, rooms) = (Door::all(&common.urls).await?, Rooms::new(durable.rooms));
    let tally = Arc::new(Tally::new());
    let audience = Audience::of(let_in(&doors, &rooms, *readers, &tally).await?, &tally);
    let mut speakers = Vec::with_capacity(*senders);
    for index in 0..*senders {
        let (door, room) = (door(&doors, index, rooms.count), index % rooms.count);
        let name = format!("speaker {index}");
        speakers.push(Speaker::enter(door, &name, (room, rooms.name(room)), *in_flight, common.bytes).await?);
    }

    let _progress = Progress::of(&tally);
    let (cpu, began) = (CpuWatch::start(&common.pids)?, Instant::now());
    let mut set = JoinSet::new();
    for speaker in speakers {
        set.spawn(speaker.speak(Pace::Until(began + common.duration()), tally.clone()));
    }
    let spoken = gather("finished", set).await?;
    // The last answers are of messages sent in time, so the time they took counts too.
    let seconds = began.elapsed().as_secs_f64();
    let (theirs, ours) = (cpu.theirs()?, cpu.ours()?);
    let mut heads = vec![0; rooms.count];
    for one in &spoken {
        heads[one.room] = heads[one.room].max(one.head);
    }
    let heard = audience.hear_out(&heads, PATIENCE).await;

    let (acked, mut report) = (tally.acked() as f64, Report::of("durable"));
    report.figure("acked_per_s", acked / seconds);
    acknowledgements(&mut report, &tally);
    report.figure("unanswered", spoken.iter().map(|one| one.unanswered).sum::<usize>() as f64);
    if *readers > 0 {
        report.figure("deliveries_per_s", tally.delivered() as f64 / began.elapsed().as_secs_f64());
        deliveries(&mut report, &tally, &heard);
    }
    if !common.pids.is_empty() {
        report.figure("cpu_us_a_message", theirs.as_secs_f64() * 1e6 / acked);
        report.figure("cpu_cores", theirs.as_secs_f64() / seconds);
    }
    report.figure("own_cpu_cores", ours.as_secs_f64() / seconds);
    Ok(report)
}
