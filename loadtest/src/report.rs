//! What a run found: a short table for people, JSON for programs.

use std::fs;
use std::io;

use serde_json::{Map, Value, json};

use crate::args::Common;

/// The figures of one run, in the order they are told.
pub(crate) struct Report {
    scenario: &'static str,
    figures: Vec<(String, f64)>,
}

impl Report {
    pub(crate) fn of(scenario: &'static str) -> Self {
        Self { scenario, figures: Vec::new() }
    }

    /// Adds a figure; its name ends in its unit.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) -> &mut Self {
        self.figures.push((name.into(), value));
        self
    }

    pub(crate) fn tell(&self, common: &Common) -> io::Result<()> {
        println!(
            "{}, {} node(s), {} s, {} bytes a text",
            self.scenario,
            common.urls.len(),
            common.seconds,
            common.bytes
        );
        let width = self.figures.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.figures {
            println!("  {name:width$}  {:>14}", shown(*value));
        }
        let Some(file) = &common.json else { return Ok(()) };
        let figures: Map<String, Value> =
            self.figures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let all = json!({
            "scenario": self.scenario,
            "urls": common.urls,
            "seconds": common.seconds,
            "text_bytes": common.bytes,
            "figures": figures,
        });
        fs::write(file, format!("{all:#}\n"))
    }
}

/// As many digits as mean something.
pub(crate) fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 || value.fract() == 0.0 => 0,
        small if small < 1.0 => 3,
        _ => 2,
    };
    format!("{value:.decimals$}")
}
