//! A real node: the program itself, as a process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::patience;
use crate::process::{Daemon, Folder, free_port};

/// How a node is started.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The program.
    pub program: PathBuf,
    /// Environment, as `NAME=value`.
    pub environment: Vec<String>,
    /// Flags after `serve`.
    pub flags: Vec<String>,
    /// How many files it may open, if not as many as this process.
    pub open_files: Option<u32>,
}

impl NodeOptions {
    /// A node alone: SQLite in a folder of its own, in-process bus, no limit on sends.
    pub fn alone(program: impl Into<PathBuf>) -> Self {
        let environment = vec!["TERTULIA_SEND_RATE=0".into(), "TERTULIA_REQUEST_RATE=0".into()];
        Self { program: program.into(), environment, flags: Vec::new(), open_files: None }
    }

    /// With one more environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// With one more flag.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }
}

/// A node, running or not.
#[derive(Debug)]
pub struct Node {
    // Dropped in this order: the program before its folder.
    daemon: Option<Daemon>,
    folder: Folder,
    options: NodeOptions,
    address: SocketAddr,
}

impl Node {
    /// Starts a node on a free port and waits until it is ready.
    pub async fn start(options: NodeOptions) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut node = Self { daemon: None, folder: Folder::make(None), options, address };
        node.start_again().await;
        node
    }

    /// Starts it again, on the same port and the same data, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; with its log.
    pub async fn start_again(&mut self) {
        self.launch();
        let ready = patience(Duration::from_secs(40), async || {
            (self.get("/readyz").await.is_some_and(|(status, _)| status == 200)).then_some(())
        });
        assert!(ready.await.is_some(), "the node does not become ready: {}", self.log());
    }

    /// How it is started from the next time on.
    pub fn set_options(&mut self, options: NodeOptions) {
        self.options = options;
    }

    /// Starts the program without waiting for anything.
    pub fn launch(&mut self) {
        let mut command: Vec<String> = vec!["env".into()];
        command.extend(self.options.environment.iter().cloned());
        command.extend(
            self.options.open_files.iter().flat_map(|files| ["prlimit".into(), format!("--nofile={files}:{files}")]),
        );
        command.push(self.options.program.to_string_lossy().into_owned());
        command.extend(["serve".into(), format!("--listen={}", self.address)]);
        command.push(format!("--data-dir={}", self.folder.path().join("data").display()));
        command.extend(self.options.flags.iter().cloned());
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        self.daemon = Some(Daemon::start("KILL", &self.log_path(), &command));
    }

    /// Kills it as a power cut would: `kill -9`.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.end_by("KILL");
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is not running.
    pub fn signal(&self, name: &str) {
        self.daemon.as_ref().expect("the node runs").signal(name);
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    /// Waits until the program has ended by itself; its exit code.
    pub async fn ended(&mut self, within: Duration) -> Option<i32> {
        let daemon = self.daemon.as_mut()?;
        patience(within, async || daemon.ended()).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its page.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder of its data and log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Connects a client.
    pub async fn client(&self) -> Client {
        Client::connect(&format!("ws://{}/ws", self.address)).await
    }

    /// A guest who said hello.
    pub async fn guest(&self, name: &str) -> Client {
        let mut client = self.client().await;
        client.hello(name).await;
        client
    }

    /// Gets a path: status and body; `None` if nobody answers.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        let (status, _, body) = raw_http(self.address, head.as_bytes()).await?;
        Some((status, body))
    }

    /// The value of a metric, labels included in the name as Prometheus writes them; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, body) = self.get("/metrics").await.unwrap_or_default();
        body.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .find(|(name, _)| *name == series)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0.0)
    }
}

impl Node {
    /// The series of a counter with one label, by the label's value. Those that stand at 0 are left out.
    pub async fn counted(&self, name: &str) -> BTreeMap<String, u64> {
        let (_, body) = self.get("/metrics").await.unwrap_or_default();
        let of = |line: &str| {
            let (label, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("\"} ")?;
            let (_, label) = label.split_once("=\"")?;
            Some((label.to_owned(), value.parse::<u64>().ok()?))
        };
        body.lines().filter_map(of).filter(|(_, value)| *value > 0).collect()
    }

    /// Waits until a metric is as it should be.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn until(&self, series: &str, is_right: impl Fn(f64) -> bool) {
        let right = patience(Duration::from_secs(20), async || is_right(self.metric(series).await).then_some(()));
        assert!(right.await.is_some(), "{series} stays {}: {}", self.metric(series).await, self.log());
    }
}

/// Sends bytes and reads until the other side closes: status, head and body; `None` if nobody answers.
pub async fn raw_http(address: SocketAddr, request: &[u8]) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    if answer.is_empty() && !matches!(read, Ok(Ok(_))) {
        return None;
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_owned(), body.to_owned()))
}
