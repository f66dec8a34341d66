//! The machine that the node would run on.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::Report;
use crate::node::reachable;
use crate::{limits, open};

/// What a node opens besides its people's connections: the database, Redis, files, whoever is being refused.
const OWN_FILES: u64 = 200;

/// How long whoever listens may take to say who it is, and how much of it is read.
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_MAX: u64 = 16 * 1024;

/// A connection is an open file.
pub(super) fn open_files(connections: u64, report: &mut Report) {
    let Some(limit) = limits::open_files() else { return report.ok("open files", "as many as one likes") };
    let what = format!("{limit} allowed, {connections} connections expected (--connections)");
    if limit < connections.saturating_add(OWN_FILES) {
        report.warning(
            "open files",
            what,
            "raise the hard limit (ulimit -Hn, LimitNOFILE of systemd, nofile of Docker)",
        );
    } else {
        report.ok("open files", what);
    }
}

/// The address that the node would listen on.
pub(super) async fn door(address: SocketAddr, report: &mut Report) {
    let error = match open::door(address) {
        Ok(_) => return report.ok("address", format!("{address} is free")),
        Err(error) => error,
    };
    match who_answers(reachable(address)).await {
        Some(Health { node, status, version }) if status == "ok" => {
            report.ok("address", format!("{address}: the node {node} runs there ({version})"));
        }
        Some(Health { node, status, version }) => {
            let advice = "see its /healthz, and the lines above";
            report.warning(
                "address",
                format!("{address}: the node {node} runs there ({version}) and is {status}"),
                advice,
            );
        }
        None => {
            let advice = "end whatever listens there, or choose another address with --listen";
            report.problem("address", format!("cannot listen on {address}: {error}"), advice);
        }
    }
}

/// What a node says of itself.
#[derive(Deserialize)]
struct Health {
    node: String,
    status: String,
    version: String,
}

async fn who_answers(address: SocketAddr) -> Option<Health> {
    let answer = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_MAX).read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    });
    let answer = answer.await.ok()?.ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}
