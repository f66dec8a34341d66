//! A real HAProxy with the project's own configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::node::raw_http;
use crate::patience;
use crate::process::{Daemon, Folder, free_port};

/// A running front door.
#[derive(Debug)]
pub struct HaProxy {
    // Dropped in this order: the program before its folder.
    daemon: Daemon,
    folder: Folder,
    address: SocketAddr,
    inner: SocketAddr,
}

impl HaProxy {
    /// Starts it before some nodes, with limits that a test on one address does not meet, and waits until it takes all of
    /// them for ready.
    ///
    /// # Panics
    /// When HAProxy is not installed (`scripts/install-test-tools` brings it) or does not start; with its log.
    pub async fn before(nodes: &[SocketAddr]) -> Self {
        Self::with(nodes, &[]).await
    }

    /// The same with settings of the test's own, as in `haproxy/README.md`.
    ///
    /// # Panics
    /// As above.
    pub async fn with(nodes: &[SocketAddr], settings: &[(&str, &str)]) -> Self {
        let folder = Folder::make(None);
        let (address, inner) = (loopback(), loopback());
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../haproxy/haproxy.cfg");
        let mut command = vec!["env".to_owned()];
        command.push(format!("PROXY_LISTEN={address}"));
        command.push(format!("PROXY_INNER_LISTEN={inner}"));
        for limit in ["CONNECTS", "CONNECTIONS", "REQUESTS"] {
            command.push(format!("PROXY_{limit}_PER_ADDRESS=1000000"));
        }
        command.extend(settings.iter().map(|(name, value)| format!("{name}={value}")));
        command.extend(nodes.iter().zip(1..).map(|(node, number)| format!("PROXY_NODE_{number}={node}")));
        // Debian keeps it where only root's path leads.
        command.push(format!("PATH={}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        // A master that starts workers: it can be told to read its configuration anew.
        command.extend(["haproxy".into(), "-W".into(), "-db".into(), "-f".into(), config.display().to_string()]);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let daemon = Daemon::start("TERM", &folder.path().join("log"), &command);
        let proxy = Self { daemon, folder, address, inner };
        let ready = patience(Duration::from_secs(20), async || {
            (proxy.states().await.len() == nodes.len() && proxy.states().await.iter().all(|state| state == "UP"))
                .then_some(())
        });
        assert!(ready.await.is_some(), "HAProxy is not ready: {:?} {}", proxy.states().await, proxy.log());
        proxy
    }

    /// The front door.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The inner port, with its metrics: for the operator.
    pub fn inner(&self) -> SocketAddr {
        self.inner
    }

    /// Has it read its configuration anew, as an operator does: another process takes what comes from now on, and the old one
    /// keeps what is open.
    pub fn reload(&self) {
        self.daemon.signal("USR2");
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What it thinks of each node, in the order given: `UP`, `NOLB` (no new clients), `DOWN` …
    pub async fn states(&self) -> Vec<String> {
        let request = format!("GET /;csv HTTP/1.0\r\nHost: {}\r\n\r\n", self.inner);
        let (_, _, csv) = raw_http(self.inner, request.as_bytes()).await.unwrap_or_default();
        csv.lines()
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|fields| {
                fields.first() == Some(&"nodes") && fields.get(1).is_some_and(|name| name.starts_with("node"))
            })
            .filter_map(|fields| Some(fields.get(17)?.split(' ').next()?.to_owned()))
            .collect()
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}
