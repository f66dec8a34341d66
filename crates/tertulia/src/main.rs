//! Tertulia: a chat cluster in one binary.
//!
//! This crate is the threshold: it reads the configuration, opens what the two URLs name, puts the rooms of the house
//! behind each other, and sees everybody out. It is the only place that names concrete types.

mod background;
mod commands;
mod config;
mod limits;
mod logging;
mod mask;
mod metrics;
mod node;
mod open;
mod otlp;
mod runtime;
mod signals;
mod vouchers;
mod worker;

use std::process::ExitCode;

use config::{Asked, Command, Source};
use logging::LogFormat;
use node::StartError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Leaves with 0 after a drain or an errand, 1 if it could not be done or something is wrong, 2 if it was asked for what it
/// does not know.
fn main() -> ExitCode {
    let asked = match config::read(std::env::args_os()) {
        Ok(asked) => asked,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let serves = matches!(asked.command, Command::Serve(_) | Command::Worker(_));
    start_logging(&asked);
    match run(asked) {
        Ok(code) => code,
        Err(error) if serves => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            commands::mention(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// An errand says by itself what people want to know, and logs only what goes wrong unless it is asked for more. What the
/// doctor finds stands in its report.
fn start_logging(Asked { command, settings }: &Asked) {
    let config = command.config();
    let is_default = settings.iter().any(|setting| setting.key == "log" && matches!(setting.source, Source::Default));
    match command {
        Command::Serve(_) | Command::Worker(_) => logging::start(config.log_format, &config.log),
        Command::Doctor(_) | Command::Config(_) | Command::Health(_) => {}
        Command::Migrate(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::Rooms(_)
        | Command::Tasks(_)
        | Command::Accounts(_) => {
            let format = if config.log_format == LogFormat::Auto { LogFormat::Human } else { config.log_format };
            logging::start(format, if is_default { "warn" } else { &config.log });
        }
    }
}

fn run(asked: Asked) -> Result<ExitCode, StartError> {
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::Runtime)?;
    let done = runtime.block_on(Box::pin(carry_out(asked)));
    // A task that still waits for a client's close handshake is not waited for.
    runtime.shutdown_background();
    done
}

async fn carry_out(Asked { command, settings }: Asked) -> Result<ExitCode, StartError> {
    match command {
        Command::Serve(config) => node::serve(*config).await?,
        Command::Health(config) => {
            if let Err(error) = commands::health::ask(config.listen).await {
                commands::mention(format_args!("the node at {} is not alive: {error}", config.listen));
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Doctor(asked) => {
            if !commands::doctor::run(&asked).await? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Migrate(config) => commands::migrate::run(&config).await?,
        Command::Config(config) => commands::config::run(&config, &settings)?,
        Command::Export(asked) => commands::export::run(&asked).await?,
        Command::Import(asked) => commands::import::run(&asked).await?,
        Command::Worker(config) => worker::work(*config).await?,
        Command::Rooms(asked) => commands::rooms::run(&asked).await?,
        Command::Tasks(asked) => commands::tasks::run(&asked).await?,
        Command::Accounts(asked) => commands::accounts::run(&asked).await?,
    }
    Ok(ExitCode::SUCCESS)
}
