//! The figures of all rounds, and their medians side by side.

use std::fs;
use std::io;

use serde_json::{Map, Value, json};

use super::contender::Contender;
use super::measure::{Figures, WRONGS};
use crate::args::Socketio;
use crate::report::shown;

pub(super) struct Table {
    /// Of each contender its name, and its figures round by round.
    columns: Vec<(String, Vec<Figures>)>,
}

impl Table {
    pub(super) fn new(contenders: &[Contender]) -> Self {
        Self { columns: contenders.iter().map(|contender| (contender.name.clone(), Vec::new())).collect() }
    }

    pub(super) fn add(&mut self, index: usize, figures: Figures) {
        self.columns[index].1.push(figures);
    }

    /// Whether nothing went wrong in any round of a contender.
    pub(super) fn is_whole(&self, index: usize) -> bool {
        let mut all = self.columns[index].1.iter().flatten();
        all.all(|(name, value)| !WRONGS.contains(name) || *value == 0.0)
    }

    pub(super) fn tell(&self, args: &Socketio) -> io::Result<()> {
        let Socketio { rounds, seconds, bytes, idle, readers, in_flight, rate, .. } = args;
        println!(
            "socketio: medians of {rounds} rounds; {idle} idle sockets; a room of {readers}, quiet ({rate} messages/s)"
        );
        println!(
            "and busy ({in_flight} under way), {seconds} s each, {bytes} bytes a text. Tertulia has each message in Postgres"
        );
        println!(
            "before it is acknowledged; socket.io keeps nothing. CPU and memory are those of the server's process."
        );
        let names = self.names();
        let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
        let heads: Vec<String> = self.columns.iter().map(|(name, _)| format!("{name:>14}")).collect();
        println!("  {:width$}  {}", "", heads.join("  "));
        for name in &names {
            let cells: Vec<String> =
                self.columns.iter().map(|(_, rounds)| format!("{:>14}", shown(told(rounds, name)))).collect();
            println!("  {name:width$}  {}", cells.join("  "));
        }
        let Some(file) = &args.json else { return Ok(()) };
        let of = |rounds: &Vec<Figures>| -> Map<String, Value> {
            names.iter().map(|name| ((*name).to_owned(), json!(told(rounds, name)))).collect()
        };
        let servers: Map<String, Value> =
            self.columns.iter().map(|(name, rounds)| (name.clone(), Value::Object(of(rounds)))).collect();
        let all = json!({
            "scenario": "socketio",
            "rounds": rounds,
            "seconds": seconds,
            "text_bytes": bytes,
            "idle": idle,
            "readers": readers,
            "in_flight": in_flight,
            "rate": rate,
            "servers": servers,
        });
        fs::write(file, format!("{all:#}\n"))
    }

    fn names(&self) -> Vec<&'static str> {
        let first = self.columns.first().and_then(|(_, rounds)| rounds.first());
        first.into_iter().flatten().map(|(name, _)| *name).collect()
    }
}

/// What is told of a figure: its median, but all that went wrong.
fn told(rounds: &[Figures], name: &str) -> f64 {
    let mut values: Vec<f64> =
        rounds.iter().flatten().filter(|(other, _)| *other == name).map(|(_, value)| *value).collect();
    if WRONGS.contains(&name) {
        return values.iter().sum();
    }
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(values[even / 2 - 1], values[even / 2]),
        odd => values[odd / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_by_their_median_and_mistakes_by_their_sum() {
        let rounds: Vec<Figures> =
            [3.0, 1.0, 2.0].map(|value| vec![("busy_p50_ms", value), ("gaps", value)]).into_iter().collect();
        assert_eq!((told(&rounds, "busy_p50_ms"), told(&rounds, "gaps")), (2.0, 6.0));
        assert_eq!(told(&rounds[..2], "busy_p50_ms"), 2.0);
    }
}
