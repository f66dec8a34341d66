//! The commands, and what each takes besides the settings.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use proto::{PersonName, RoomName, TaskId};
use store::Policy;
use uuid::Uuid;

use super::ServeConfig;

/// What the program can do. `serve` is meant when nothing is said. All take the configuration of `serve`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a node (the default command).
    ///
    /// Alone it keeps its messages in a SQLite file and needs nothing else. With DATABASE_URL=postgres://… and REDIS_URL=redis://…
    /// any number of nodes form one chat.
    Serve(Box<ServeConfig>),
    /// Ask the node of this machine whether it is alive: leaves with 0 or 1, as container health checks want it.
    Health(Box<ServeConfig>),
    /// Look at all that a node would lean on, say what is wrong and what to do. Changes nothing.
    Doctor(Box<DoctorConfig>),
    /// Bring the database's schema up to date, as a node does when it starts.
    Migrate(Box<ServeConfig>),
    /// Show the settings in force and where each comes from, as a configuration file.
    Config(Box<ServeConfig>),
    /// Write a room or all rooms as JSON lines.
    Export(Box<ExportConfig>),
    /// Take in rooms that `export` wrote, numbers and all.
    Import(Box<ImportConfig>),
    /// Run only what is done in the background (webhooks and the like), without a door for people.
    ///
    /// Nodes do that work as well, unless they are told --workers 0. Any number of these share it with them.
    Worker(Box<ServeConfig>),
    /// Look at what rooms keep, change it, and make them forget.
    Rooms(Box<RoomsConfig>),
    /// Look at the tasks in the background: list, show, retry or drop them.
    Tasks(Box<TasksConfig>),
    /// Make accounts and look after them, beside whatever nodes run.
    Accounts(Box<AccountsConfig>),
}

impl Command {
    /// The configuration that each of them takes.
    pub(crate) fn config(&self) -> &ServeConfig {
        match self {
            Self::Serve(config) | Self::Health(config) | Self::Migrate(config) | Self::Config(config) => config,
            Self::Worker(config) => config,
            Self::Doctor(asked) => &asked.config,
            Self::Export(asked) => &asked.config,
            Self::Import(asked) => &asked.config,
            Self::Rooms(asked) => &asked.config,
            Self::Tasks(asked) => &asked.config,
            Self::Accounts(asked) => &asked.config,
        }
    }

    pub(super) fn config_mut(&mut self) -> &mut ServeConfig {
        match self {
            Self::Serve(config) | Self::Health(config) | Self::Migrate(config) | Self::Config(config) => config,
            Self::Worker(config) => config,
            Self::Doctor(asked) => &mut asked.config,
            Self::Export(asked) => &mut asked.config,
            Self::Import(asked) => &mut asked.config,
            Self::Rooms(asked) => &mut asked.config,
            Self::Tasks(asked) => &mut asked.config,
            Self::Accounts(asked) => &mut asked.config,
        }
    }
}

/// `doctor`.
#[derive(Args)]
pub(crate) struct DoctorConfig {
    /// People at once that this node should have room for.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: u64,

    #[command(flatten)]
    pub(crate) config: ServeConfig,
}

/// `export`.
#[derive(Args)]
pub(crate) struct ExportConfig {
    /// The room. Default: all of them.
    #[arg(long, value_parser = room_name)]
    pub(crate) room: Option<RoomName>,

    /// The file to write, complete or not at all; - for standard output.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) config: ServeConfig,
}

/// `accounts`.
#[derive(Args)]
pub(crate) struct AccountsConfig {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) action: AccountsAction,

    /// Whose account.
    #[arg(value_parser = person_name)]
    pub(crate) name: Option<PersonName>,

    /// With `add`: the account may look after the chat.
    #[arg(long)]
    pub(crate) admin: bool,

    /// With `add`: the account is a program's, which has no password and comes by keys.
    #[arg(long)]
    pub(crate) bot: bool,

    /// With `key`: what to call it.
    #[arg(long, default_value = "made by a command")]
    pub(crate) label: String,

    /// With `revoke`: the session or key to end, as `sessions` names it. Default: all of them.
    #[arg(long, value_name = "ID")]
    pub(crate) grant: Option<Uuid>,

    #[command(flatten)]
    pub(crate) config: ServeConfig,
}

/// What can be done about accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccountsAction {
    /// Make an account; the password is read from standard input.
    Add,
    /// Show all accounts.
    List,
    /// Keep somebody out: all sessions and keys end, and no new one begins.
    Disable,
    /// Let somebody in again.
    Enable,
    /// Give an account the password on standard input; all its sessions and keys end.
    Password,
    /// Make an API key and show it, once.
    Key,
    /// Show what lets somebody be this account now.
    Sessions,
    /// End all sessions and keys of an account, or one of them.
    Revoke,
}

/// `import`.
#[derive(Args)]
pub(crate) struct ImportConfig {
    /// The file to read; - for standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) config: ServeConfig,
}

/// `tasks`.
#[derive(Args)]
pub(crate) struct TasksConfig {
    /// What is to be done.
    #[arg(value_enum)]
    pub(crate) action: TasksAction,

    /// The task: for show always, for retry and drop unless --dead says which.
    #[arg(value_name = "ID")]
    pub(crate) id: Option<TaskId>,

    /// Those that are not tried any more. For retry and drop: all of them.
    #[arg(long)]
    pub(crate) dead: bool,

    /// At most so many lines.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,

    #[command(flatten)]
    pub(crate) config: ServeConfig,
}

/// `rooms`.
#[derive(Args)]
pub(crate) struct RoomsConfig {
    /// What is to be done.
    #[arg(value_enum)]
    pub(crate) action: RoomsAction,

    /// The room. For show: of all that do not keep everything if it is not given.
    #[arg(value_parser = room_name)]
    pub(crate) room: Option<RoomName>,

    /// For set: keep messages of at most so many days, or `all`.
    #[arg(long, value_name = "DAYS", value_parser = keep_days)]
    pub(crate) keep_days: Option<Keep>,

    /// For set: keep at most so many of the newest messages, or `all`.
    #[arg(long, value_name = "COUNT", value_parser = keep_messages)]
    pub(crate) keep_messages: Option<Keep>,

    /// For forget: every message up to this number, whatever the room keeps.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) up_to: Option<u64>,

    #[command(flatten)]
    pub(crate) config: ServeConfig,
}

/// What can be done about what rooms keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoomsAction {
    /// Tell what they keep, and where a room stands.
    Show,
    /// Change what one keeps. Workers see to it, each minute.
    Set,
    /// See to it now, or forget more than that.
    Forget,
}

/// How much is kept; `None`: all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep(pub(crate) Option<u32>);

fn keep_days(word: &str) -> Result<Keep, String> {
    keep(word, Policy::KEEP_DAYS_MAX)
}

fn keep_messages(word: &str) -> Result<Keep, String> {
    keep(word, Policy::KEEP_MESSAGES_MAX)
}

fn keep(word: &str, most: u32) -> Result<Keep, String> {
    match word.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(Keep(Some(number))),
        _ if word == "all" => Ok(Keep(None)),
        _ => Err(format!("say a number from 1 to {most}, or all")),
    }
}

/// What can be done about tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TasksAction {
    /// One line for each that waits or is under way.
    List,
    /// All that is known of one.
    Show,
    /// Make it due now, as if it had never been tried.
    Retry,
    /// Forget it.
    Drop,
}

fn room_name(name: &str) -> Result<RoomName, String> {
    RoomName::parse(name).map_err(|refusal| refusal.detail)
}

fn person_name(name: &str) -> Result<PersonName, String> {
    PersonName::parse(name).map_err(|refusal| refusal.detail)
}
