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
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, Server, TcpConfig, UnresponsiveConfig};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::config::BusError;
use super::names::PARTITIONS;

/// How long a command may take before its sender gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// For whoever subscribes to nothing: fred sets places aside for every message that might wait, and uses some itself.
pub(super) const NO_MESSAGES: usize = 16;
/// Commands that may wait within fred; ours come in pipelines, each of which counts once.
const COMMANDS_MAX: usize = 1_024;

/// How to connect: the address, read once.
pub(super) struct Plan(Config);

impl Plan {
    pub(super) fn parse(url: &str) -> Result<Self, BusError> {
        // fred takes any scheme that it does not know for a single server's.
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let (server, kind) = scheme.split_once('-').unwrap_or((scheme, ""));
        if !matches!(server, "redis" | "rediss" | "valkey" | "valkeys") || !matches!(kind, "" | "cluster" | "sentinel")
        {
            return Err(BusError::Url("it begins with redis://, redis-sentinel:// or redis-cluster://".into()));
        }
        let mut config = Config::from_url(url).map_err(|error| BusError::Url(error.details().to_owned()))?;
        config.version = RespVersion::RESP3;
        config.fail_fast = true;
        Ok(Self(config))
    }

    /// Connects once, with room for this many messages that nobody has taken yet.
    pub(super) async fn open(&self, messages_max: usize) -> Result<Session, Error> {
        let performance = PerformanceConfig {
            default_command_timeout: PATIENCE,
            broadcast_channel_capacity: messages_max,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: CONNECT_PATIENCE,
            internal_command_timeout: CONNECT_PATIENCE,
            // One, and one more where a cluster redirects it. Nothing is sent again over another connection.
            max_command_attempts: 2,
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

    /// Which server of a cluster has each partition; nothing on a single server.
    pub(super) fn owners(&self) -> Owners {
        let Some(cluster) = self.client.cached_cluster_state() else { return Owners::default() };
        let slot = |partition: u32| fred::util::redis_keyslot(partition.to_string().as_bytes());
        Owners((0..PARTITIONS).map(|partition| cluster.get_server(slot(partition)).cloned()).collect())
    }

    /// Asks the cluster again who has what.
    pub(super) async fn owners_now(&self) -> Result<Owners, Error> {
        if self.client.is_clustered() {
            self.client.sync_cluster().await?;
        }
        Ok(self.owners())
    }
}

/// The servers of the partitions, in their order.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Owners(Vec<Option<Server>>);

impl Owners {
    /// One partition on each server, for a canary each; on a single server the first.
    pub(super) fn a_partition_a_server(&self) -> Vec<u32> {
        let first = |partition: &u32| {
            let (before, from) = self.0.split_at(*partition as usize);
            from.first().is_some_and(|owner| owner.is_some() && !before.contains(owner))
        };
        let found: Vec<_> = (0..self.0.len() as u32).filter(first).collect();
        if found.is_empty() { vec![0] } else { found }
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
