//! One connection to Redis, from its first byte to its last, and the pause before the next one.
//!
//! fred's own reconnecting is not used: a connection that ends takes its client with it, and another life begins with
//! nothing left over from the one before. fred replays subscriptions wrongly, its router can sit in a blocked write
//! where no time-out reaches it, and some of its errors end its task for good; dropping the client cures all three.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, ClusterInterface, EventInterface};
use fred::types::Message;
use fred::types::RespVersion;
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, TcpConfig, UnresponsiveConfig};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::config::BusError;
use super::names::PARTITIONS;

/// How long a command may take before its sender gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// Messages that may wait for the reader. fred's default of 32 loses a burst.
const MESSAGES_MAX: usize = 65_536;
/// Commands that may wait within fred; ours come in pipelines, each of which counts once.
const COMMANDS_MAX: usize = 1_024;

/// How to connect: the address, read once.
pub(super) struct Plan(Config);

impl Plan {
    pub(super) fn parse(url: &str) -> Result<Self, BusError> {
        let mut config = Config::from_url(url).map_err(|error| BusError::Url(error.details().to_owned()))?;
        config.version = RespVersion::RESP3;
        config.fail_fast = true;
        Ok(Self(config))
    }

    /// Connects once.
    pub(super) async fn open(&self) -> Result<Session, Error> {
        let performance = PerformanceConfig {
            default_command_timeout: PATIENCE,
            broadcast_channel_capacity: MESSAGES_MAX,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: CONNECT_PATIENCE,
            internal_command_timeout: CONNECT_PATIENCE,
            max_command_attempts: 1,
            max_command_buffer_len: COMMANDS_MAX,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(Duration::from_secs(3)),
                interval: Duration::from_secs(1),
            },
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        // No policy of reconnecting: see above.
        let client = Client::new(self.0.clone(), Some(performance), Some(connection), None);
        let messages = client.message_rx();
        let mut task = AbortOnDropHandle::new(client.connect());
        tokio::select! {
            connected = client.wait_for_connect() => connected?,
            end = &mut task => return Err(match end {
                Ok(Err(error)) => error,
                _ => Error::new(ErrorKind::IO, "the connection ended before it began"),
            }),
        }
        Ok(Session { client, task, messages: Some(messages) })
    }
}

/// One connection. Dropping it ends it, whatever it is busy with.
pub(super) struct Session {
    pub(super) client: Client,
    task: AbortOnDropHandle<Result<(), Error>>,
    messages: Option<broadcast::Receiver<Message>>,
}

impl Session {
    /// What arrives on subscribed channels, from the connection's beginning. Can be taken once.
    pub(super) fn take_messages(&mut self) -> broadcast::Receiver<Message> {
        self.messages.take().unwrap_or_else(|| self.client.message_rx())
    }

    /// Waits until the connection is gone, and says why.
    pub(super) async fn ended(&mut self) -> String {
        match (&mut self.task).await {
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(())) => "closed".into(),
            Err(error) => error.to_string(),
        }
    }

    /// One partition on each server of a cluster, for a canary each; on a single server the first.
    pub(super) fn a_partition_a_server(&self) -> Vec<u32> {
        let Some(cluster) = self.client.cached_cluster_state() else { return vec![0] };
        let mut seen = Vec::new();
        (0..PARTITIONS)
            .filter(|partition| {
                let server = cluster.get_server(fred::util::redis_keyslot(partition.to_string().as_bytes()));
                let new = server.is_some() && !seen.contains(&server);
                seen.push(server);
                new
            })
            .collect()
    }
}

/// The pause before the next attempt: longer each time, and of random length, so that nodes do not return in step.
#[derive(Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    const MAX: Duration = Duration::from_secs(2);

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Whether this is the first failure of a row, worth a line in the log.
    pub(super) fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    pub(super) async fn pause(&mut self) {
        let most = Self::MAX.min(Duration::from_millis(50) * 2u32.saturating_pow(self.attempts.min(10)));
        self.attempts += 1;
        tokio::time::sleep(most.mul_f64(rand::random_range(0.2..=1.0))).await;
    }
}
