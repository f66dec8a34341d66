//! Nodes on one database, and somebody beside them who makes accounts in it, and revokes. Nothing but the store tells the nodes of it,
//! as if it were done by a node that hears no Redis.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bus::LocalBus;
use people::{AccountKind, Caller, GrantId, People, PeopleConfig, PeopleMetrics};
use prometheus::Registry;
use proto::{PersonName, UserId};
use ring::hmac;
use serde_json::{Value, json};
use store::{PostgresConfig, PostgresStore, StoreMetrics};
use testkit::client::Client;
use testkit::cluster::{self, Cluster};
use testkit::node::Node;
use testkit::postgres::Postgres;
use testkit::socketio::SocketIo;
use tokio::net::TcpStream;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
pub(crate) const SOCKETIO: &str = "/socket.io/?EIO=4&transport=websocket";

pub(crate) struct House {
    pub(crate) cluster: Cluster,
    database: String,
    pub(crate) people: People,
}

/// An account's key.
pub(crate) struct Key {
    pub(crate) account: UserId,
    pub(crate) grant: GrantId,
    pub(crate) token: String,
}

impl House {
    pub(crate) async fn of(nodes: usize) -> Self {
        let database = Postgres::shared().database();
        Self::on(Cluster::with(nodes, |number| cluster::options(PROGRAM, number, &database)).await, &database).await
    }

    /// Nodes that were started on this database.
    pub(crate) async fn on(cluster: Cluster, database: &str) -> Self {
        let people = beside(database, Duration::from_secs(24 * 3600)).await;
        Self { cluster, database: database.to_owned(), people }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.cluster.nodes
    }

    pub(crate) fn node(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    /// An account without a password, a bot, and a key of it.
    pub(crate) async fn key(&self, name: &str) -> Key {
        let account = self.people.create_account(&person(name), None, AccountKind::Bot, false).await.unwrap();
        self.another_key(account.id).await
    }

    pub(crate) async fn another_key(&self, account: UserId) -> Key {
        let (grant, token) = self.people.create_key(account, "a test").await.unwrap();
        Key { account, grant: GrantId(grant.id), token }
    }

    /// An account by a session that lives for so long without being used.
    pub(crate) async fn session(&self, name: &str, life: Duration) -> String {
        let people = beside(&self.database, life).await;
        let caller = Caller { agent: None, address: [127, 0, 0, 1].into() };
        people.sign_up(&person(name), "correct horse battery", &caller).await.unwrap().1
    }
}

pub(crate) fn person(name: &str) -> PersonName {
    PersonName::parse(name).unwrap()
}

async fn beside(database: &str, session: Duration) -> People {
    let registry = Registry::new();
    let metrics = StoreMetrics::register(&registry).unwrap();
    let store = PostgresStore::open(database, PostgresConfig::default(), metrics).await.unwrap();
    let (bus, _) = LocalBus::new(16);
    let config = PeopleConfig { session, ..PeopleConfig::new("beside") };
    People::start(config, Arc::new(store), Arc::new(bus), PeopleMetrics::register(&registry).unwrap())
}

/// A native client that says hello with a token, and its welcome.
pub(crate) async fn by_hello(node: &Node, token: &str) -> (Client, Value) {
    let mut client = node.client().await;
    client.say(json!({"type": "hello", "token": token})).await;
    let welcome = client.expect("welcome").await;
    (client, welcome)
}

/// A native client whose upgrade brings more headers.
pub(crate) async fn by_upgrade(
    node: &Node,
    headers: &[(&'static str, &str)],
) -> Result<Client, Box<tokio_tungstenite::tungstenite::Error>> {
    Client::try_connect(&format!("ws://{}/ws", node.address()), headers).await
}

/// A session of Socket.IO that has not entered a namespace.
pub(crate) async fn socketio(node: &Node, headers: &[(&'static str, &str)]) -> SocketIo {
    let stream = TcpStream::connect(node.address()).await.unwrap();
    SocketIo::open_with(stream, SOCKETIO, headers).await.unwrap()
}

/// A token of an application that shares this secret with the nodes.
pub(crate) fn vouched(secret: &str, name: &str, until: SystemTime) -> String {
    let until = until.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let parts = [json!({"alg": "HS256", "typ": "JWT"}), json!({"sub": name, "name": name, "exp": until})];
    let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
