//! Configuration: flags, environment variables and a file, in this order; each documented once, here.

mod commands;
mod file;
mod settings;
mod vouchers;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser};
use gateway::Networks;

pub(crate) use self::commands::{
    AccountsAction, AccountsConfig, Command, DoctorConfig, ExportConfig, ImportConfig, Keep, RoomsAction, RoomsConfig,
    TasksAction, TasksConfig,
};
pub(crate) use self::settings::{Setting, Source, Value};
pub(crate) use self::vouchers::VoucherFlags;
use crate::logging::LogFormat;
use crate::otlp;

/// A real-time chat cluster in one binary.
#[derive(Parser)]
#[command(name = "tertulia", version, subcommand_required = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

/// All settings. Each command takes all of them, so that one configuration does for all.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeConfig {
    /// Address and port to listen on.
    #[arg(long, env = "TERTULIA_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// Where messages are kept: postgres://… or sqlite:path. Default: a SQLite file in the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,

    /// What carries messages between nodes: redis://…, rediss://…, redis-sentinel://… or redis-cluster://… (Redis 7 or later). Default: none, one node.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// What all of this chat's keys and channels in Redis begin with.
    #[arg(long, env = "TERTULIA_REDIS_PREFIX", default_value = "tertulia")]
    pub(crate) redis_prefix: String,

    /// Directory of the SQLite file.
    #[arg(long, env = "TERTULIA_DATA_DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,

    /// Whether a name is enough to talk: on or off.
    #[arg(long, env = "TERTULIA_GUESTS", default_value = "on", value_parser = on_or_off, action = clap::ArgAction::Set)]
    pub(crate) guests: bool,

    /// Whether people may make accounts for themselves: on or off.
    #[arg(long, env = "TERTULIA_SIGN_UP", default_value = "on", value_parser = on_or_off, action = clap::ArgAction::Set)]
    pub(crate) sign_up: bool,

    /// Seconds that a session lives without being used.
    #[arg(long, env = "TERTULIA_SESSION_SECONDS", default_value_t = 2_592_000, value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    pub(crate) session_seconds: u64,

    /// What this node is called. Default: the host name.
    #[arg(long, env = "TERTULIA_NODE_NAME")]
    pub(crate) node_name: Option<String>,

    /// Origins that pages may connect from besides the node's own, separated by commas; * for any.
    #[arg(long, env = "TERTULIA_ALLOWED_ORIGINS", value_delimiter = ',', hide_default_value = true)]
    pub(crate) allowed_origins: Vec<String>,

    /// Messages a second and user, four seconds' worth at once; 0: no limit.
    #[arg(long, env = "TERTULIA_SEND_RATE", default_value_t = 50)]
    pub(crate) send_rate: u32,

    /// Requests of the REST API a second, for each user, and each address of those who are nobody yet; 0: no limit.
    #[arg(long, env = "TERTULIA_REQUEST_RATE", default_value_t = 50)]
    pub(crate) request_rate: u32,

    /// Connections from one address at a time; 0: no limit.
    #[arg(long, env = "TERTULIA_CONNECTIONS_PER_ADDRESS", default_value_t = 0)]
    pub(crate) connections_per_address: usize,

    /// New connections a second; more are told when to come back. 0: no limit.
    #[arg(long, env = "TERTULIA_CONNECT_RATE", default_value_t = 4000)]
    pub(crate) connect_rate: u32,

    /// Seconds that an HTTP connection may live that does not become a WebSocket.
    #[arg(long, env = "TERTULIA_HTTP_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) http_seconds: u64,

    /// Balancers whose X-Forwarded-For is believed: addresses and networks (10.0.0.0/8), separated by commas.
    #[arg(long, env = "TERTULIA_TRUSTED_PROXIES", default_value = "", hide_default_value = true)]
    pub(crate) trusted_proxies: Networks,

    /// Rooms that one connection may listen to.
    #[arg(long, env = "TERTULIA_ROOMS_PER_CONNECTION", default_value_t = 1000)]
    pub(crate) rooms_per_connection: usize,

    /// Bytes that may wait for a slow reader before it is told goodbye.
    #[arg(long, env = "TERTULIA_BACKLOG_BYTES", default_value_t = 1024 * 1024)]
    pub(crate) backlog_bytes: usize,

    /// Seconds that leaving may take after SIGTERM.
    #[arg(long, env = "TERTULIA_DRAIN_SECONDS", default_value_t = 10)]
    pub(crate) drain_seconds: u64,

    /// What guests' tokens are signed with; nodes of one cluster must share it. Default: made once and kept in the store.
    #[arg(long, env = "TERTULIA_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,

    #[command(flatten)]
    pub(crate) vouchers: VoucherFlags,

    /// Store connections that write, on Postgres.
    #[arg(long, env = "TERTULIA_WRITERS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) writers: u32,

    /// Store connections that read.
    #[arg(long, env = "TERTULIA_READERS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) readers: u32,

    /// Tasks in the background at once (webhooks and the like); 0: none here.
    #[arg(long, env = "TERTULIA_WORKERS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub(crate) workers: u32,

    /// Serve even if the store's settings let a power cut lose acknowledged messages.
    #[arg(long, env = "TERTULIA_ALLOW_WEAK_DURABILITY", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) allow_weak_durability: bool,

    /// Serve even on a database that a newer version has migrated: for going back to this one.
    #[arg(long, env = "TERTULIA_ALLOW_NEWER_MIGRATIONS", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) allow_newer_migrations: bool,

    /// How logs are written: human, json, or auto (human on a terminal, JSON otherwise).
    #[arg(long, env = "TERTULIA_LOG_FORMAT", default_value = "auto", value_enum)]
    pub(crate) log_format: LogFormat,

    /// What is logged: a level, or a filter such as info,hub=debug.
    #[arg(long, env = "TERTULIA_LOG", default_value = "info")]
    pub(crate) log: String,

    /// Where a collector takes traces, by OTLP over HTTP: http://host:4318. Default: nothing is traced.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = otlp::collector)]
    pub(crate) otlp_endpoint: Option<String>,

    /// What traces call this chat. Default: tertulia.
    #[arg(long, env = "OTEL_SERVICE_NAME")]
    pub(crate) otlp_service: Option<String>,

    /// The share of messages that is traced where there is a collector: 0 to 1.
    #[arg(long, env = "TERTULIA_TRACE_RATIO", default_value = "0.01", value_parser = otlp::ratio)]
    pub(crate) trace_ratio: f64,

    /// A TOML file with any of these flags as keys (listen = "0.0.0.0:8080"). Flags and environment variables go before it.
    #[arg(long, env = "TERTULIA_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

impl ServeConfig {
    /// Orchestrators pass variables on that are set to nothing: nothing is meant.
    fn forget_empty(&mut self) {
        let texts = [&mut self.database_url, &mut self.redis_url, &mut self.node_name, &mut self.secret];
        for text in texts.into_iter().chain([&mut self.otlp_endpoint, &mut self.otlp_service]) {
            text.take_if(|text| text.is_empty());
        }
        self.allowed_origins.retain(|origin| !origin.is_empty());
        self.vouchers.forget_empty();
    }

    /// The name of this node: as given, or the host's.
    pub(crate) fn node_name(&self) -> String {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.node_name.clone().unwrap_or_else(host)
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "say an address and a port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for all addresses")
}

fn on_or_off(word: &str) -> Result<bool, String> {
    match word {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("say on or off".into()),
    }
}

/// What was asked for, and where each setting came from.
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) settings: Vec<Setting>,
}

/// Reads flags, variables and the file. An error knows how to print itself and which code to leave with; asking for help
/// is one too.
pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let mut args: Vec<OsString> = args.collect();
    let names_command = args.get(1).and_then(|first| first.to_str()).is_some_and(|first| {
        matches!(first, "-h" | "--help" | "-V" | "--version" | "help")
            || Program::command().get_subcommands().any(|command| command.get_name() == first)
    });
    if !names_command {
        args.insert(1.min(args.len()), "serve".into());
    }
    let mut matches = Program::command().try_get_matches_from(&args)?;
    let mut file = None;
    if let Some((_, given)) = matches.subcommand()
        && let Some(path) = given.get_one::<PathBuf>("config")
    {
        let found = file::read(path, &serve_settings(), given)
            .map_err(|sentence| Program::command().error(ErrorKind::ValueValidation, sentence))?;
        args.splice(2..2, found.flags());
        file = Some(found);
        matches = Program::command().try_get_matches_from(&args)?;
    }
    let settings = match matches.subcommand() {
        Some((_, given)) => settings::told(&serve_settings(), given, file.as_ref()),
        None => Vec::new(),
    };
    let mut command = Program::from_arg_matches(&matches)?.command;
    if let Command::Accounts(asked) = &command
        && (asked.action == AccountsAction::List) != asked.name.is_none()
    {
        let sentence = "say whose account it is, except to `list` all";
        return Err(Program::command().error(ErrorKind::MissingRequiredArgument, sentence));
    }
    command.config_mut().forget_empty();
    Ok(Asked { command, settings })
}

/// The settings, as the command line knows them.
fn serve_settings() -> Vec<Arg> {
    let program = Program::command();
    let serve = program.find_subcommand("serve");
    serve.into_iter().flat_map(clap::Command::get_arguments).filter(|arg| arg.get_long().is_some()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(args: &[&str]) -> Result<ServeConfig, String> {
        let args = std::iter::once("tertulia").chain(args.iter().copied()).map(OsString::from);
        match read(args) {
            Ok(Asked { command: Command::Serve(config), .. }) => Ok(*config),
            Ok(_) => panic!("another command"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn serve_is_meant_when_nothing_is_said() {
        assert_eq!(serve(&["--send-rate", "7"]).map(|config| config.send_rate), Ok(7));
        assert_eq!(serve(&["serve", "--guests=off"]).map(|config| config.guests), Ok(false));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(serve(&["--colour", "red"]).is_err());
        assert!(serve(&["dance"]).is_err());
        assert!(serve(&["--guests=perhaps"]).is_err());
        assert!(serve(&["--trusted-proxies=10.0.0.0/33"]).unwrap_err().contains("`10.0.0.0/33`"));
    }

    #[test]
    fn nothing_is_traced_unless_a_collector_is_named() {
        let collector = |args: &[&str]| serve(args).map(|config| (config.otlp_endpoint, config.trace_ratio));
        assert_eq!(collector(&[]), Ok((None, 0.01)));
        assert_eq!(collector(&["--otlp-endpoint="]), Ok((None, 0.01)));
        let named = collector(&["--otlp-endpoint=http://c:4318", "--trace-ratio=1"]);
        assert_eq!(named, Ok((Some("http://c:4318".to_owned()), 1.0)));
        assert!(collector(&["--otlp-endpoint=https://c:4318"]).unwrap_err().contains("without TLS"));
        assert!(collector(&["--trace-ratio=2"]).unwrap_err().contains("0 to 1"));
    }

    #[test]
    fn a_list_of_proxies_may_name_networks_or_be_empty() {
        let proxies = |list: &str| serve(&[&format!("--trusted-proxies={list}")]).unwrap().trusted_proxies;
        assert!(proxies("127.0.0.1,10.0.0.0/8").contains(&[10, 1, 2, 3].into()));
        assert_eq!(proxies(""), Networks::default());
    }

    #[test]
    fn a_file_gives_what_flags_do_not_and_may_hold_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tertulia.toml");
        let with_file = |text: &str, more: &[&str]| {
            std::fs::write(&file, text).unwrap();
            let path = file.to_str().unwrap();
            serve(&[&["--config", path], more].concat())
        };
        let config = with_file(
            "send-rate = 3\ntrace-ratio = 0.5\nallowed-origins = [\"https://a\", \"https://b\"]\nallow-weak-durability = true",
            &[],
        )
        .unwrap();
        assert_eq!((config.send_rate, config.allowed_origins.len(), config.allow_weak_durability), (3, 2, true));
        assert_eq!(config.trace_ratio, 0.5);
        assert_eq!(with_file("send-rate = 3", &["--send-rate=9"]).unwrap().send_rate, 9);
        assert!(with_file("colour = 'red'", &[]).unwrap_err().contains("`colour`"));
        assert!(with_file("not toml", &[]).is_err());
        assert!(with_file("[send-rate]\na = 1", &[]).is_err());
    }
}
