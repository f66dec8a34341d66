//! What can be measured: a file each.

pub(crate) mod durable;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod idle_ack;
pub(crate) mod storm;

use crate::report::Report;
use crate::tally::Tally;

/// How long readers may take to hear what was acknowledged.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

fn acknowledgements(report: &mut Report, tally: &Tally) {
    report.figure("ack_p50_ms", tally.ack_time.ms(0.5));
    report.figure("ack_p99_ms", tally.ack_time.ms(0.99));
    report.figure("ack_max_ms", tally.ack_time.ms(1.0));
    for (code, count) in tally.refused.lock().iter() {
        report.figure(format!("refused_{code}"), *count as f64);
    }
}

fn deliveries(report: &mut Report, tally: &Tally, heard: &crate::crowd::Heard) {
    report.figure("delivery_p50_ms", tally.delivery_time.ms(0.5));
    report.figure("delivery_p99_ms", tally.delivery_time.ms(0.99));
    report.figure("gaps", heard.gaps as f64);
    report.figure("doubles", heard.doubles as f64);
    report.figure("reorderings", heard.late as f64);
    report.figure("returns", tally.returns.load(std::sync::atomic::Ordering::Relaxed) as f64);
}
