//! All who joined come back at once, with their positions.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::PATIENCE;
use crate::args::Storm;
use crate::crowd::{Audience, Rooms, door, let_in};
use crate::door::{Closed, Door};
use crate::listener::{Entrance, Listener};
use crate::pace::Pace;
use crate::process::CpuWatch;
use crate::progress::gather;
use crate::report::Report;
use crate::speaker::Speaker;
use crate::tally::{Stopwatch, Tally};

/// How a guest came back.
#[derive(Default)]
struct Return {
    entrance: Entrance,
    refused: u64,
    lost: u64,
}

pub(crate) async fn run(storm: &Storm) -> io::Result<Report> {
    let Storm { common, connections, missed, .. } = storm;
    let (doors, rooms) = (Door::all(&common.urls).await?, Rooms::new(storm.rooms));
    let tally = Arc::new(Tally::new());
    let mut listeners = let_in(&doors, &rooms, *connections, &tally).await?;
    listeners.iter_mut().for_each(|(listener, _)| listener.lose_network());
    let mut heads = Vec::with_capacity(rooms.count);
    for room in 0..rooms.count {
        let at = door(&doors, room, rooms.count);
        let speaker = Speaker::enter(at, "speaker", (room, rooms.name(room)), 64, common.bytes).await?;
        heads.push(speaker.speak(Pace::Count(*missed as u64), tally.clone()).await?.head);
    }

    let (cpu, began) = (CpuWatch::start(&common.pids)?, Instant::now());
    let back_time = Arc::new(Stopwatch::default());
    let by = began + common.duration();
    let mut set = JoinSet::new();
    for (mut listener, door) in listeners {
        let (tally, back_time) = (tally.clone(), back_time.clone());
        set.spawn(async move {
            let back = come_back(&mut listener, &door, &tally, by).await;
            if back.entrance.done {
                back_time.record(began.elapsed());
            }
            Ok((back, (listener, door)))
        });
    }
    let (returns, listeners): (Vec<Return>, Vec<_>) = gather("back", set).await?.into_iter().unzip();
    let (took, busy) = (began.elapsed(), cpu.theirs()?);
    let heard = Audience::of(listeners, &tally).hear_out(&heads, PATIENCE).await;

    let sum = |count: fn(&Return) -> u64| returns.iter().map(count).sum::<u64>() as f64;
    let mut report = Report::of("storm");
    report.figure("all_back_ms", took.as_secs_f64() * 1000.0);
    report.figure("back_p50_ms", back_time.ms(0.5));
    report.figure("back_p99_ms", back_time.ms(0.99));
    report.figure("recovered", sum(|back| u64::from(back.entrance.done && !back.entrance.reset)));
    report.figure("reset", sum(|back| u64::from(back.entrance.reset)));
    report.figure("never_back", sum(|back| u64::from(!back.entrance.done)));
    report.figure("refused", sum(|back| back.refused));
    report.figure("lost", sum(|back| back.lost));
    report.figure("messages_recovered", sum(|back| back.entrance.recovered));
    report.figure("gaps", heard.gaps as f64);
    report.figure("doubles", heard.doubles as f64);
    if !common.pids.is_empty() {
        report.figure("cpu_us_a_return", busy.as_secs_f64() * 1e6 / *connections as f64);
    }
    Ok(report)
}

async fn come_back(listener: &mut Listener, door: &Door, tally: &Tally, by: Instant) -> Return {
    let mut back = Return::default();
    while Instant::now() < by {
        let pause = match tokio::time::timeout_at(by.into(), listener.enter(door, tally)).await {
            Ok(Ok(entrance)) => {
                back.entrance = entrance;
                break;
            }
            Ok(Err(Closed::Refused { retry_after_s, .. })) => {
                back.refused += 1;
                Duration::from_secs(retry_after_s.unwrap_or(1))
            }
            Ok(Err(Closed::Lost(_))) => {
                back.lost += 1;
                Duration::from_millis(100)
            }
            Err(_) => break,
        };
        tokio::time::sleep(pause).await;
    }
    back
}
