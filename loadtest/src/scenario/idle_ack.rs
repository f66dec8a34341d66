//! One sender, one message at a time.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::acknowledgements;
use crate::args::Common;
use crate::crowd::Rooms;
use crate::door::Door;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::speaker::Speaker;
use crate::tally::Tally;

pub(crate) async fn run(common: &Common) -> io::Result<Report> {
    let (doors, rooms) = (Door::all(&common.urls).await?, Rooms::new(1));
    let speaker = Speaker::enter(&doors[0], "speaker", (0, rooms.name(0)), 1, common.bytes).await?;
    let tally = Arc::new(Tally::new());
    let _progress = Progress::of(&tally);
    speaker.speak(Pace::Until(Instant::now() + common.duration()), tally.clone()).await?;

    let mut report = Report::of("idle-ack");
    report.figure("messages", tally.acked() as f64);
    acknowledgements(&mut report, &tally);
    Ok(report)
}
