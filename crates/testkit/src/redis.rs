//! A real Redis for one test, and the ways it goes away.
//!
//! Each test has its own server in a temporary folder, on a free loopback port, without persistence. It dies with the
//! test, also when the test process is killed.

#![expect(clippy::expect_used, reason = "a test that cannot have this cannot go on")]

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::process::{Daemon, free_port};

const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A running redis-server.
pub struct Redis {
    // Dropped in this order: the program before its folder.
    server: Option<Daemon>,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Panics
    /// If there is no `redis-server`, which `scripts/install-test-tools` installs; or if it does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with more options, as on its command line.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let memory_only = ["--save", "", "--appendonly", "no"].iter();
        Self::start_in(folder, memory_only.chain(arguments).map(|argument| (*argument).to_owned()).collect()).await
    }

    async fn start_in(folder: TempDir, arguments: Vec<String>) -> Self {
        let mut redis = Self { folder, port: 0, arguments, server: None };
        for _ in 0..5 {
            redis.port = free_port();
            if redis.try_start().await {
                return redis;
            }
        }
        panic!("redis-server found no free port");
    }

    /// Starts a Sentinel that watches a server under the name `chat`, and needs nobody's agreement to replace it.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_sentinel_of(primary: &Self) -> Self {
        let watch = primary.address();
        let sentinel = format!(
            "sentinel monitor chat {} {} 1\nsentinel down-after-milliseconds chat 500\nsentinel failover-timeout chat 2000\n",
            watch.ip(),
            watch.port()
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A Sentinel keeps what it learns in its configuration file, and does not start without one.
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, sentinel).expect("a file in a temporary folder");
        Self::start_in(folder, vec![file.display().to_string(), "--sentinel".into()]).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its address as a client wants it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Daemon::pid)
    }

    /// Kills the server: its connections break, its memory is gone.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&mut self) {
        assert!(self.try_start().await, "redis-server did not start again on port {}", self.port);
    }

    /// Stops the process without ending it: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Cuts all connections that have subscribed to something. Returns how many there were.
    pub async fn kill_subscribers(&self) -> i64 {
        match self.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await {
            Reply::Number(count) => count,
            other => panic!("CLIENT KILL answered {other:?}"),
        }
    }

    /// Forgets everything.
    pub async fn flush(&self) {
        self.command(&["FLUSHALL"]).await;
    }

    /// Answers nobody for a while.
    pub async fn pause(&self, pause: Duration) {
        self.command(&["CLIENT", "PAUSE", &pause.as_millis().to_string()]).await;
    }

    /// How often each command was called, by its name in small letters.
    pub async fn calls(&self) -> HashMap<String, u64> {
        let Reply::Text(statistics) = self.command(&["INFO", "commandstats"]).await else { return HashMap::new() };
        let of = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        statistics.lines().filter_map(of).collect()
    }

    /// Sends one command on a connection of its own.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn command(&self, words: &[&str]) -> Reply {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, for a server that may be away.
    ///
    /// # Errors
    /// If it is.
    pub async fn try_command(&self, words: &[&str]) -> io::Result<Reply> {
        let mut stream = BufReader::new(TcpStream::connect(self.address()).await?);
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).await?;
        Reply::read(&mut stream).await
    }

    async fn try_start(&mut self) -> bool {
        let (port, folder) = (self.port.to_string(), self.folder.path().display().to_string());
        let mut command = vec!["redis-server"];
        command.extend(self.arguments.iter().map(String::as_str));
        command.extend(["--bind", "127.0.0.1", "--port", &port, "--dir", &folder]);
        let mut server = Daemon::start("KILL", &self.folder.path().join("log"), &command);
        let deadline = tokio::time::Instant::now() + STARTS_WITHIN;
        while tokio::time::Instant::now() < deadline {
            if let Some(code) = server.ended() {
                // What a shell says of a program that it does not find.
                assert_ne!(code, 127, "no redis-server: run scripts/install-test-tools");
                return false;
            }
            if let Ok(Reply::Text(about)) = self.try_command(&["INFO", "server"]).await {
                // Somebody else's server may have taken the port in between.
                let ours = about.contains(&format!("process_id:{}\r", server.pid()));
                self.server = ours.then_some(server);
                return ours;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    fn signal(&self, signal: &str) {
        self.server.as_ref().expect("a running server").signal(signal);
    }
}

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Several answers.
    Many(Vec<Reply>),
    /// Nothing.
    Nothing,
    /// A refusal.
    Error(String),
}

impl Reply {
    async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Self> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().map_err(io::Error::other);
        Ok(match kind {
            "+" => Self::Text(rest.to_owned()),
            "-" => Self::Error(rest.to_owned()),
            ":" => Self::Number(number()?),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    stream.read_exact(&mut text).await?;
                    text.truncate(length);
                    Self::Text(String::from_utf8_lossy(&text).into_owned())
                }
                Err(_) => Self::Nothing,
            },
            "*" => {
                let mut many = Vec::new();
                for _ in 0..number()? {
                    many.push(Box::pin(Self::read(stream)).await?);
                }
                Self::Many(many)
            }
            _ => return Err(io::Error::other(format!("not an answer of Redis: {line:?}"))),
        })
    }
}
