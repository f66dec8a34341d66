//! A guest with a stopwatch.
//!
//! It knows the public protocol and nothing else: no crate of the house is among its dependencies, so that it measures
//! what any client would see. One process plays thousands of guests, hence `wire.rs` reads frames in place and `scan.rs`
//! looks for fields instead of parsing them. A scenario is a file in `scenario/`; it returns a [`report::Report`].
//!
//! Latency counts from the moment a message was due, not from when it could be written.

mod args;
mod chaos;
mod crowd;
mod door;
mod ids;
mod listener;
mod pace;
mod process;
mod progress;
mod report;
mod scan;
mod scenario;
mod speaker;
mod tally;
mod wire;
mod witness;

use std::process::ExitCode;

use clap::Parser;

use args::{Program, Scenario};

fn main() -> ExitCode {
    let Program { scenario } = Program::parse();
    // One thread: a client that wakes itself on other cores takes from the node what it wants to measure.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = async {
        match &scenario {
            Scenario::IdleAck(common) => scenario::idle_ack::run(common).await,
            Scenario::Durable(durable) => scenario::durable::run(durable).await,
            Scenario::Fanout(fanout) => scenario::fanout::run(fanout).await,
            Scenario::Idle(idle) => scenario::idle::run(idle).await,
            Scenario::Storm(storm) => scenario::storm::run(storm).await,
        }
    };
    let told = runtime.and_then(|runtime| runtime.block_on(run)).and_then(|report| report.tell(scenario.common()));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}
