//! Tertulia: a chat cluster in one binary.
//!
//! This crate is the threshold: it reads the configuration, opens what the two URLs name, puts the rooms of the house
//! behind each other, and sees everybody out. It is the only place that names concrete types.

mod config;
mod health;
mod limits;
mod logging;
mod node;
mod open;
mod otlp;
mod signals;

use std::process::ExitCode;

use config::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Leaves with 0 after a drain, 1 if the node could not start or serve, 2 if it was asked for what it does not know.
fn main() -> ExitCode {
    match config::read(std::env::args_os()) {
        Ok(Command::Serve(config)) => {
            logging::start(config.log_format, &config.log);
            done(run(*config), |error| tracing::error!("{error}"))
        }
        Ok(Command::Health { listen }) => {
            done(health::ask(listen), |error| eprintln!("the node at {listen} is not alive: {error}"))
        }
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn done<E>(result: Result<(), E>, tell: impl FnOnce(E)) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(error);
            ExitCode::FAILURE
        }
    }
}

fn run(config: config::ServeConfig) -> Result<(), node::StartError> {
    limits::raise_open_files();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(node::StartError::Runtime)?;
    let served = runtime.block_on(Box::pin(node::serve(config)));
    // A task that still waits for a client's close handshake is not waited for.
    runtime.shutdown_background();
    served
}
