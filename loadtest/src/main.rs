//! A guest with a stopwatch.
//!
//! It knows the public protocol and nothing else, so that it measures what any client would see; of the house's crates it
//! leans on testkit alone, and only to break things (`chaos/`). One process plays thousands of guests, hence `wire.rs` reads frames in place and `scan.rs`
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
mod socketio;
mod speaker;
mod tally;
mod wire;
mod witness;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use args::{Command, Program, Scenario};

fn main() -> ExitCode {
    let held = match Program::parse().command {
        Command::Measure(scenario) => measure(&scenario).map(|()| true),
        Command::Chaos(chaos) => judged(chaos::run(&chaos)),
        Command::Watch(watch) => judged(chaos::watch(&watch)),
        Command::Socketio(socketio) => alone(socketio::run(&socketio)),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(scenario: &Scenario) -> io::Result<()> {
    let report = alone(async {
        match scenario {
            Scenario::IdleAck(common) => scenario::idle_ack::run(common).await,
            Scenario::Durable(durable) => scenario::durable::run(durable).await,
            Scenario::Fanout(fanout) => scenario::fanout::run(fanout).await,
            Scenario::Idle(idle) => scenario::idle::run(idle).await,
            Scenario::Storm(storm) => scenario::storm::run(storm).await,
        }
    })?;
    report.tell(scenario.common())
}

/// On one thread: a client that wakes itself on other cores takes from the node what it wants to measure.
fn alone<T>(run: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    finished(&Builder::new_current_thread().enable_all().build()?, run)
}

/// On several threads: starting and stopping servers waits.
fn judged(run: impl Future<Output = io::Result<bool>>) -> io::Result<bool> {
    finished(&Builder::new_multi_thread().enable_all().build()?, run)
}

/// The means to start and break a cluster are those of tests, and fail like tests: that is no verdict.
fn finished<T>(runtime: &Runtime, run: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)))
        .unwrap_or_else(|_| Err(io::Error::other("the run could not be finished, so there is no verdict")))
}
