//! A real Prometheus with the project's own configuration and rules.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::node::raw_http;
use crate::patience;
use crate::process::{Daemon, Folder, free_port};

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    // Dropped in this order: the program before its folder.
    _daemon: Daemon,
    folder: Folder,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts it, with these nodes and this HAProxy in place of those that names lead to, and a second for its ten; waits until it has
    /// seen all of them.
    ///
    /// # Panics
    /// When Prometheus is not installed (`scripts/install-test-tools` brings it) or does not see them; with its log.
    pub async fn watching(nodes: &[SocketAddr], haproxy: SocketAddr) -> Self {
        let folder = Folder::make(None);
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, config_for(nodes, haproxy, address)).expect("a file in a temporary folder");
        let command = [
            "prometheus".to_owned(),
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".into(),
        ];
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let daemon = Daemon::start("TERM", &folder.path().join("log"), &command);
        let prometheus = Self { _daemon: daemon, folder, address };
        let targets = (nodes.len() + 2) as f64;
        let sees = patience(Duration::from_secs(60), async || {
            (prometheus.number("sum(up)").await == Some(targets)).then_some(())
        });
        assert!(sees.await.is_some(), "Prometheus does not see {targets} targets: {}", prometheus.log());
        prometheus
    }

    /// What a query gives now.
    ///
    /// # Errors
    /// What Prometheus has against it.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = self.api(&format!("query?query={}", in_url(query))).await?;
        Ok(answer["result"].as_array().cloned().unwrap_or_default())
    }

    /// The one number that a query gives now, if it is one.
    pub async fn number(&self, query: &str) -> Option<f64> {
        let result = self.query(query).await.ok()?;
        result.first()?["value"][1].as_str()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The names of all series that it has seen.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn names(&self) -> Result<Vec<String>, String> {
        let answer = self.api("label/__name__/values").await?;
        let names = answer.as_array().into_iter().flatten();
        Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Its rules, as it understood them, each with its health.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn rules(&self) -> Result<Vec<Value>, String> {
        let answer = self.api("rules").await?;
        let groups = answer["groups"].as_array().into_iter().flatten();
        Ok(groups.filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn api(&self, path: &str) -> Result<Value, String> {
        // HTTP 1.0, so that the answer comes in one piece.
        let request = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        let (_, _, body) = raw_http(self.address, request.as_bytes()).await.ok_or("it does not answer")?;
        let mut answer: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer["error"].to_string()) }
    }
}

/// Where configuration and rules are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

/// The project's configuration with what a test has in place of containers.
fn config_for(nodes: &[SocketAddr], haproxy: SocketAddr, own: SocketAddr) -> String {
    let folder = folder();
    let nodes: Vec<String> = nodes.iter().map(SocketAddr::to_string).collect();
    let by_name =
        "dns_sd_configs:\n      - names: [node]\n        type: A\n        port: 8080\n        refresh_interval: 10s\n";
    let here = format!("static_configs:\n      - targets: [{}]\n", nodes.join(", "));
    let rules = |name: &str| format!("- {}\n", folder.join(name).display());
    [
        (by_name, here),
        ("[haproxy:8404]", format!("[{haproxy}]")),
        ("[localhost:9090]", format!("[{own}]")),
        ("- recording.yml\n", rules("recording.yml")),
        ("- alerts.yml\n", rules("alerts.yml")),
        ("scrape_interval: 10s", "scrape_interval: 1s".into()),
        ("evaluation_interval: 10s", "evaluation_interval: 1s".into()),
    ]
    .into_iter()
    .fold(std::fs::read_to_string(folder.join("prometheus.yml")).expect("it is there"), |config, (this, that)| {
        assert!(config.contains(this), "prometheus.yml has no {this:?} to put something else in place of");
        config.replacen(this, &that, 1)
    })
}

fn in_url(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
