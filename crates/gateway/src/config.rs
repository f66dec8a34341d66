//! What tunes the doors.

use std::time::Duration;

use trace::Tracer;

use crate::Networks;

/// Who is let in, how much they may ask, and how long the node waits for them.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// What this node is called in `welcome` and in logs.
    pub node_name: String,
    /// Origins that browsers may connect from, besides the page's own; `*` for any.
    pub allowed_origins: Vec<String>,
    /// Messages a second and user; 0 means no limit.
    pub send_rate: u32,
    /// Requests a second of the REST API, for each user, and for each address of those who are nobody yet; 0 means no limit.
    pub request_rate: u32,
    /// Sockets that may be open at a time, of whatever kind.
    pub sockets: usize,
    /// Connections from one address at a time; 0 means no limit. Of sockets, an address may have twice as many and some.
    pub connections_per_address: usize,
    /// New connections a second on this node; 0 means no limit. More are told when to come back.
    pub connect_rate: u32,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// Rooms that one connection may listen to.
    pub rooms_per_connection: usize,
    /// Bytes that may wait for a slow reader before it is told goodbye.
    pub backlog_bytes: usize,
    /// How long a drain may last.
    pub drain: Duration,
    /// How long a new connection may take to say hello, and a request to send its headers.
    pub hello_wait: Duration,
    /// How long an HTTP connection may live that does not become a WebSocket: however it drips, idles or fails to read.
    pub http_life: Duration,
    /// How often an idle connection is pinged; one that stays silent for more than twice as long is closed.
    pub heartbeat: Duration,
    /// Who decides which requests are traced, and is told of them.
    pub tracer: Tracer,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            node_name: "node".into(),
            allowed_origins: Vec::new(),
            send_rate: 50,
            request_rate: 50,
            sockets: 65_536,
            connections_per_address: 0,
            connect_rate: 4000,
            trusted_proxies: Networks::default(),
            rooms_per_connection: 1000,
            backlog_bytes: 1024 * 1024,
            drain: Duration::from_secs(10),
            hello_wait: Duration::from_secs(10),
            http_life: Duration::from_secs(60),
            heartbeat: Duration::from_secs(25),
            tracer: Tracer::default(),
        }
    }
}
