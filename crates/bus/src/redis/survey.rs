//! A look at Redis from outside.

use std::collections::HashMap;
use std::time::Duration;

use fred::error::Error;
use fred::interfaces::{ClientLike, ClusterInterface};
use fred::types::{ClusterHash, CustomCommand, InfoKind};
use tokio::time::timeout;

use super::config::{BusError, RedisConfig};
use super::link::{NO_MESSAGES, Plan, Session};

/// How long the whole look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One server, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisServer {
    /// Its version.
    pub version: String,
    /// The most memory that it takes for data; 0: as much as there is.
    pub memory_max: u64,
    /// What it does when that is used up.
    pub eviction: String,
    /// Bytes that may wait for a subscriber before it is cut off, 0: no limit. `None` if we may not ask.
    pub subscriber_buffer: Option<u64>,
}

impl RedisServer {
    /// The first number of its version; 0 if it cannot be read.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

/// Connects as a node would and asks every server of a cluster, or the only one.
///
/// # Errors
/// [`BusError`]: the configuration can never work, or Redis is away.
pub async fn survey(config: &RedisConfig) -> Result<Vec<RedisServer>, BusError> {
    config.names()?;
    let plan = Plan::parse(&config.url)?;
    let asked = timeout(
        PATIENCE,
        Box::pin(async {
            let session = plan.open(NO_MESSAGES).await?;
            ask_all(&session).await
        }),
    );
    let silent = |_| BusError::Away("it does not answer".into());
    asked.await.map_err(silent)?.map_err(|error: Error| BusError::Away(plain(error.details()).to_owned()))
}

/// Errors of the network come in the form for programmers, with the one for people inside.
fn plain(details: &str) -> &str {
    details.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"')).map_or(details, |(message, _)| message)
}

async fn ask_all(session: &Session) -> Result<Vec<RedisServer>, Error> {
    let client = &session.client;
    let Some(cluster) = client.cached_cluster_state() else { return Ok(vec![ask(client).await?]) };
    let mut servers = Vec::new();
    for server in cluster.unique_primary_nodes() {
        servers.push(ask(&client.with_cluster_node(server)).await?);
    }
    Ok(servers)
}

/// Through whatever leads to one server.
async fn ask(client: &impl ClientLike) -> Result<RedisServer, Error> {
    let about: String = client.info(Some(InfoKind::Default)).await?;
    let buffers = CustomCommand::new_static("CONFIG", ClusterHash::Random, false);
    let buffers: Result<HashMap<String, String>, Error> =
        client.custom(buffers, vec!["GET", "client-output-buffer-limit"]).await;
    Ok(read(&about, buffers.ok().and_then(|pair| pair.into_values().next()).as_deref()))
}

/// `buffers` is a list of classes of clients, each with a hard limit, a soft one and its seconds.
fn read(about: &str, buffers: Option<&str>) -> RedisServer {
    let of = |name: &str| {
        about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim().to_owned()
    };
    let mut words = buffers.unwrap_or_default().split_whitespace().skip_while(|word| *word != "pubsub");
    // Valkey tells its own version beside that of the Redis which it stands for.
    RedisServer {
        version: of("redis_version"),
        memory_max: of("maxmemory").parse().unwrap_or(0),
        eviction: of("maxmemory_policy"),
        subscriber_buffer: words.nth(1).and_then(|bytes| bytes.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_what_it_says_of_itself() {
        let about = "# Server\r\nredis_version:7.4.1\r\n# Memory\r\nmaxmemory:1000\r\nmaxmemory_human:1K\r\nmaxmemory_policy:noeviction\r\n";
        let buffers = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        let server = read(about, Some(buffers));
        assert_eq!((server.major(), server.memory_max, server.eviction.as_str()), (7, 1000, "noeviction"));
        assert_eq!(server.subscriber_buffer, Some(33_554_432));
        assert_eq!(read("", None), RedisServer::default());
        assert_eq!(read("redis_version:nonsense", Some("pubsub")).major(), 0);
    }
}
