//! The verdict in one line.

use super::super::record::Evidence;
use super::super::verdict::Verdict;
use super::RunInfo;
use super::figures::Figures;
use super::words::{broken, grouped, length, many, time};

pub(super) fn line(run: &RunInfo, evidence: &Evidence, verdict: &Verdict, figures: &Figures) -> String {
    let setting =
        format!("seed {} · {} · {}", run.seed, length(run.seconds), many(evidence.faults.len() as u64, "fault"));
    if !verdict.holds() {
        return format!("BROKEN {} · {setting}", broken_rules(verdict));
    }
    let recovery = figures.slowest_recovery().map(|slowest| format!(", slowest heal {}", time(slowest)));
    format!(
        "HELD  {setting} · {} acknowledged, 0 lost, 0 doubled, 0 reordered · {}{} · longest absence {}",
        grouped(figures.counts.acknowledged),
        many(figures.counts.deliveries, "delivery"),
        recovery.unwrap_or_default(),
        time(figures.longest_absence),
    )
}

/// `acked-is-kept ×3, same-end ×1, 12 more findings`.
pub(super) fn broken_rules(verdict: &Verdict) -> String {
    let mut said: Vec<String> =
        broken(&verdict.findings).iter().map(|(rule, count)| format!("{} ×{count}", rule.name())).collect();
    if verdict.more > 0 {
        said.push(many(verdict.more as u64, "more finding"));
    }
    said.join(", ")
}
