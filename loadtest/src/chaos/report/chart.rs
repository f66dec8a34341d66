//! The run as a picture: what was broken, by whom it was felt, on one time axis.
//!
//! Drawn twice, for a wide page and for a narrow one, so that letters keep their size. Time is gathered into slots: an
//! hour makes as many as a minute, nearly.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::record::{Evidence, FaultSpan, Moment};
use super::delays::Spread;
use super::escape::escape;
use super::figures::{Figures, Slot};
use super::words::{grouped, length, moment, time, time_ms};

/// Where things go: the picture's own units are pixels at its natural width.
struct Frame {
    width: f64,
    left: f64,
    right: f64,
    seconds: f64,
    /// Of one letter of a label.
    letter: f64,
}

impl Frame {
    fn x(&self, at: Moment) -> f64 {
        self.left + (at.as_secs_f64() / self.seconds).min(1.0) * (self.width - self.left - self.right)
    }

    fn end(&self) -> f64 {
        self.width - self.right
    }
}

const SLOTS: [u64; 9] = [1, 2, 5, 10, 15, 30, 60, 120, 300];
const ROW: f64 = 22.0;
const GAP: f64 = 40.0;
const WIDE_LETTER: f64 = 7.4;

/// The picture for a wide page.
pub(super) fn wide(evidence: &Evidence, figures: &Figures) -> String {
    let frame = Frame { width: 1000.0, left: 72.0, right: 8.0, seconds: seconds(evidence), letter: 6.4 };
    draw(evidence, figures, &frame, 240, "wide")
}

/// The picture for a narrow one.
pub(super) fn narrow(evidence: &Evidence, figures: &Figures) -> String {
    let frame = Frame { width: 360.0, left: 64.0, right: 4.0, seconds: seconds(evidence), letter: 6.4 };
    draw(evidence, figures, &frame, 100, "narrow")
}

fn seconds(evidence: &Evidence) -> f64 {
    evidence.ended_at.as_secs_f64().max(1.0)
}

fn draw(evidence: &Evidence, figures: &Figures, frame: &Frame, most_slots: u64, class: &str) -> String {
    let fits = |slot: &&u64| frame.seconds <= (**slot * most_slots) as f64;
    let slot_seconds = SLOTS.iter().find(fits).copied().unwrap_or(600);
    let slots = figures.timeline(slot_seconds, evidence.ended_at);
    let rows = rows(&evidence.faults);
    let faults_top = 26.0;
    let delay_top = faults_top + rows.len().max(1) as f64 * ROW + GAP;
    let (delay_height, flow_height, lines_height) = (190.0, 84.0, 76.0);
    let flow_top = delay_top + delay_height + GAP;
    let lines_top = flow_top + flow_height + GAP;
    let bottom = lines_top + lines_height;
    let height = bottom + 30.0;

    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg class=\"chart {class}\" viewBox=\"0 0 {} {height}\" role=\"img\" aria-label=\"The run on a time axis: faults, \
         delivery delay, acknowledgements, connections. The tables below give the same in numbers.\">",
        frame.width
    );
    shade(&mut svg, evidence, frame, delay_top, bottom);
    axis(&mut svg, frame, faults_top - 4.0, bottom);
    fault_rows(&mut svg, &rows, frame, faults_top);
    delays(&mut svg, &slots, frame, delay_top, delay_height, slot_seconds);
    flow(&mut svg, &slots, frame, flow_top, flow_height, slot_seconds);
    lines(&mut svg, &slots, frame, lines_top, lines_height, slot_seconds);
    healed(&mut svg, evidence, frame, faults_top - 4.0, bottom);
    hover(&mut svg, &slots, frame, delay_top, bottom, slot_seconds);
    svg.push_str("</svg>");
    svg
}

/// Faults by target; those of one target that overlap get rows of their own.
fn rows(faults: &[FaultSpan]) -> Vec<(String, Vec<&FaultSpan>)> {
    let mut sorted: Vec<&FaultSpan> = faults.iter().collect();
    sorted.sort_by(|a, b| (rank(&a.target), &a.target, a.began).cmp(&(rank(&b.target), &b.target, b.began)));
    let mut rows: Vec<(String, Vec<&FaultSpan>)> = Vec::new();
    for fault in sorted {
        let free = |(target, row): &&mut (String, Vec<&FaultSpan>)| {
            *target == fault.target && row.last().is_none_or(|last| last.ended <= fault.began)
        };
        match rows.iter_mut().find(free) {
            Some((_, row)) => row.push(fault),
            None => rows.push((fault.target.clone(), vec![fault])),
        }
    }
    rows
}

/// Nodes first, then what they stand on, then those who use them.
fn rank(target: &str) -> u8 {
    match target {
        "redis" => 1,
        "postgres" => 2,
        "proxy" => 3,
        "clients" => 4,
        _ => 0,
    }
}

/// Bands of the time in which something was broken; faults that overlap make one.
fn shade(svg: &mut String, evidence: &Evidence, frame: &Frame, top: f64, bottom: f64) {
    let mut spans: Vec<(Moment, Moment)> = evidence.faults.iter().map(|fault| (fault.began, fault.ended)).collect();
    spans.sort_unstable();
    let mut bands: Vec<(f64, f64)> = Vec::new();
    for (began, ended) in spans {
        let (from, to) = (frame.x(began), frame.x(ended).max(frame.x(began) + 1.0));
        match bands.last_mut() {
            Some(band) if from <= band.1 => band.1 = band.1.max(to),
            _ => bands.push((from, to)),
        }
    }
    for (from, to) in bands {
        let _ = write!(
            svg,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            to - from,
            bottom - top
        );
    }
}

fn axis(svg: &mut String, frame: &Frame, top: f64, bottom: f64) {
    const STEPS: [u64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
    let room = (frame.end() - frame.left) / 58.0;
    let step = STEPS.iter().find(|step| frame.seconds / **step as f64 <= room).copied().unwrap_or(7200);
    let mut at = 0;
    while at as f64 <= frame.seconds {
        let x = frame.x(Duration::from_secs(at));
        let _ = write!(svg, "<line class=\"tick\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
        let anchor = if x + 24.0 > frame.width { "end" } else { "middle" };
        let label = if at == 0 { "0".to_owned() } else { length(at) };
        text(svg, x, bottom + 18.0, "axis", anchor, &label);
        at += step;
    }
}

fn fault_rows(svg: &mut String, rows: &[(String, Vec<&FaultSpan>)], frame: &Frame, top: f64) {
    text(svg, 0.0, top - 12.0, "head", "start", "What was broken");
    if rows.is_empty() {
        text(svg, frame.left, top + 12.0, "axis", "start", "nothing");
    }
    for (place, (target, row)) in rows.iter().enumerate() {
        let y = top + place as f64 * ROW;
        let repeated = place > 0 && rows[place - 1].0 == *target;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            frame.left,
            y + ROW / 2.0,
            frame.end(),
            y + ROW / 2.0
        );
        if !repeated {
            let room = ((frame.left - 8.0) / frame.letter) as usize;
            text(svg, frame.left - 8.0, y + 15.0, "axis", "end", &shortened(target, room));
        }
        for (index, fault) in row.iter().enumerate() {
            let next = row.get(index + 1).map_or(frame.end(), |next| frame.x(next.began) - 4.0);
            bar(svg, fault, frame, y, next);
        }
    }
}

fn bar(svg: &mut String, fault: &FaultSpan, frame: &Frame, y: f64, next: f64) {
    let x = frame.x(fault.began);
    let wide = (frame.x(fault.ended) - x).max(3.0);
    let _ = write!(
        svg,
        "<g><title>{}</title><rect class=\"fault\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"16\" rx=\"2.5\"/>",
        escape(&format!(
            "{} on {}, from {} for {}",
            fault.kind,
            fault.target,
            moment(fault.began),
            time(fault.ended.saturating_sub(fault.began))
        )),
        y + 3.0,
    );
    let label = fault.kind.len() as f64 * frame.letter;
    if label + 10.0 <= wide {
        text(svg, x + 6.0, y + 15.0, "in", "start", fault.kind);
    } else if x + wide + 4.0 + label <= next {
        text(svg, x + wide + 4.0, y + 15.0, "out", "start", fault.kind);
    }
    svg.push_str("</g>");
}

fn delays(svg: &mut String, slots: &[Slot], frame: &Frame, top: f64, height: f64, slot_seconds: u64) {
    text(svg, 0.0, top - 14.0, "head", "start", "Delivery delay");
    legend(svg, frame, top - 14.0, &[("p50", "p50"), ("p99", "p99"), ("max", "max")]);
    let spreads = || slots.iter().filter_map(|slot| slot.delivery.as_ref());
    let least = spreads().map(|spread| spread.p50_ms).fold(1.0, f64::min).max(0.1);
    let most = spreads().map(|spread| spread.max_ms).fold(100.0, f64::max);
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let y = |ms: f64| top + height - (ms.max(0.1).log10().clamp(low, high) - low) / (high - low) * height;
    for decade in (low as i32)..=(high as i32) {
        let value = 10f64.powi(decade);
        grid(svg, frame, y(value), &decade_label(value));
    }
    let x = |place: usize| {
        let middle = slots[place].began.as_secs_f64() + slot_seconds as f64 / 2.0;
        frame.x(Duration::from_secs_f64(middle))
    };
    let runs = runs(slots);
    for run in &runs {
        let upper = run.iter().map(|(place, spread)| (x(*place), y(spread.p99_ms)));
        let lower = run.iter().rev().map(|(place, spread)| (x(*place), y(spread.p50_ms)));
        let points: String = upper.chain(lower).map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
        let _ = write!(svg, "<polygon class=\"between\" points=\"{}\"/>", points.trim_end());
    }
    for (class, value) in LINES {
        for run in &runs {
            let points: String =
                run.iter().map(|(place, spread)| format!("{:.1},{:.1} ", x(*place), y(value(spread)))).collect();
            let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.trim_end());
        }
    }
}

/// What is drawn of each slot, by its class in the style sheet.
const LINES: [(&str, ValueOf); 3] =
    [("max", |spread| spread.max_ms), ("p99", |spread| spread.p99_ms), ("p50", |spread| spread.p50_ms)];

type ValueOf = fn(&Spread) -> f64;

/// Stretches of slots in which something was delivered.
fn runs(slots: &[Slot]) -> Vec<Vec<(usize, &Spread)>> {
    let mut runs: Vec<Vec<(usize, &Spread)>> = Vec::new();
    let mut open = false;
    for (place, slot) in slots.iter().enumerate() {
        match (&slot.delivery, runs.last_mut()) {
            (Some(spread), Some(run)) if open => run.push((place, spread)),
            (Some(spread), _) => runs.push(vec![(place, spread)]),
            (None, _) => {}
        }
        open = slot.delivery.is_some();
    }
    runs
}

fn flow(svg: &mut String, slots: &[Slot], frame: &Frame, top: f64, height: f64, slot_seconds: u64) {
    text(svg, 0.0, top - 14.0, "head", "start", "Messages a second");
    legend(svg, frame, top - 14.0, &[("acked", "acknowledged"), ("deferred", "put off")]);
    let rate = |count: u64| count as f64 / slot_seconds as f64;
    let most = round_up(slots.iter().map(|slot| rate(slot.acked.max(slot.deferred))).fold(1.0, f64::max));
    let y = |value: f64| top + height - value / most * height;
    grid(svg, frame, y(most), &plain(most));
    grid(svg, frame, y(0.0), "0");
    for slot in slots {
        column(svg, slot, frame, slot_seconds, "acked", (y(rate(slot.acked)), y(0.0)), 0.0);
    }
    for slot in slots {
        column(svg, slot, frame, slot_seconds, "deferred", (y(rate(slot.deferred)), y(0.0)), 0.25);
    }
}

fn lines(svg: &mut String, slots: &[Slot], frame: &Frame, top: f64, height: f64, slot_seconds: u64) {
    text(svg, 0.0, top - 14.0, "head", "start", "Connections");
    legend(svg, frame, top - 14.0, &[("returned", "made again ↑"), ("lost", "lost ↓")]);
    let most = slots.iter().map(|slot| slot.lost.max(slot.returned)).max().unwrap_or(0).max(1) as f64;
    let middle = top + height / 2.0;
    let reach = |count: u64| count as f64 / most * height / 2.0;
    grid(svg, frame, top, &plain(most));
    grid(svg, frame, middle, "0");
    grid(svg, frame, top + height, &plain(most));
    for slot in slots {
        column(svg, slot, frame, slot_seconds, "returned", (middle - reach(slot.returned), middle), 0.1);
        column(svg, slot, frame, slot_seconds, "lost", (middle, middle + reach(slot.lost)), 0.1);
    }
}

fn column(svg: &mut String, slot: &Slot, frame: &Frame, slot_seconds: u64, class: &str, y: (f64, f64), inset: f64) {
    if y.1 - y.0 < 0.05 {
        return;
    }
    let from = frame.x(slot.began);
    let to = frame.x(slot.began + Duration::from_secs(slot_seconds));
    let margin = (to - from) * inset;
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
        from + margin,
        y.0,
        (to - from - 2.0 * margin - 0.4).max(0.6),
        y.1 - y.0
    );
}

/// From here on nothing was broken.
fn healed(svg: &mut String, evidence: &Evidence, frame: &Frame, top: f64, bottom: f64) {
    if evidence.faults.is_empty() || evidence.healed_at >= evidence.ended_at {
        return;
    }
    let x = frame.x(evidence.healed_at);
    let _ = write!(svg, "<line class=\"healed\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
    let (place, anchor) = if x + 70.0 > frame.width { (x - 4.0, "end") } else { (x + 4.0, "start") };
    text(svg, place, top - 8.0, "axis", anchor, "all healed");
}

fn hover(svg: &mut String, slots: &[Slot], frame: &Frame, top: f64, bottom: f64, slot_seconds: u64) {
    for slot in slots {
        let from = frame.x(slot.began);
        let to = frame.x(slot.began + Duration::from_secs(slot_seconds));
        let delay = slot.delivery.as_ref().map_or("nothing delivered".to_owned(), |spread| {
            format!("p50 {}, p99 {}, max {}", time_ms(spread.p50_ms), time_ms(spread.p99_ms), time_ms(spread.max_ms))
        });
        let began = slot.began.as_secs();
        let _ = write!(
            svg,
            "<rect class=\"hover\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"><title>{began}–{} s: {delay}\n{} \
             acknowledged, {} put off\nconnections: {} lost, {} made again, {} refused</title></rect>",
            (to - from).max(0.1),
            bottom - top,
            began + slot_seconds,
            grouped(slot.acked),
            grouped(slot.deferred),
            grouped(slot.lost),
            grouped(slot.returned),
            grouped(slot.not_let_in),
        );
    }
}

fn legend(svg: &mut String, frame: &Frame, y: f64, entries: &[(&str, &str)]) {
    // From the right, each with room for wide letters: a key belongs to the word behind it, whatever the font.
    let mut x = frame.end();
    for (class, label) in entries.iter().rev() {
        x -= label.chars().count() as f64 * WIDE_LETTER;
        text(svg, x, y, "axis", "start", label);
        x -= 14.0;
        let _ = write!(
            svg,
            "<rect class=\"key {class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"2\"/>",
            y - 9.0
        );
        x -= 14.0;
    }
}

fn grid(svg: &mut String, frame: &Frame, y: f64, label: &str) {
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
        frame.left,
        frame.end()
    );
    text(svg, frame.left - 8.0, y + 4.0, "axis", "end", label);
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, label: &str) {
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(label)
    );
}

fn shortened(label: &str, letters: usize) -> String {
    if label.chars().count() <= letters {
        return label.to_owned();
    }
    label.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

fn decade_label(ms: f64) -> String {
    if ms >= 1000.0 { format!("{} s", plain(ms / 1000.0)) } else { format!("{} ms", plain(ms)) }
}

fn plain(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value as u64) } else { format!("{value:.1}") }
}

/// The next number that begins with 1, 2 or 5.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].iter().map(|step| step * decade).find(|round| *round >= value).unwrap_or(10.0 * decade)
}
