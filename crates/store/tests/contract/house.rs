//! A fresh store for a scene, and the people in it.

use std::sync::Arc;

use proto::{Message, MessageId, PersonName, RoomName, Text, User, UserId};
use store::{
    Accounts, Amendment, Archive, Change, Keeper, Outcome, Post, PostgresConfig, PostgresStore, Retention,
    SqliteConfig, SqliteStore, Store, StoreMetrics,
};
use tempfile::TempDir;
use testkit::postgres::Postgres;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// An empty store that nodes can be opened on.
pub enum House {
    /// As many nodes as one likes.
    Postgres { url: String },
    /// One node, which callers share: a file serves no second one.
    Sqlite { folder: TempDir, node: OnceCell<Arc<dyn Keeper>> },
}

impl House {
    pub fn postgres() -> Self {
        Self::Postgres { url: Postgres::shared().database() }
    }

    pub fn sqlite() -> Self {
        Self::Sqlite { folder: TempDir::new().unwrap(), node: OnceCell::new() }
    }

    pub async fn node(&self) -> Arc<dyn Store> {
        self.archive().await
    }

    /// The same node, for whoever carries rooms.
    pub async fn archive(&self) -> Arc<dyn Archive> {
        self.keeper().await
    }

    /// The same node, for whoever makes rooms forget.
    pub async fn retention(&self) -> Arc<dyn Retention> {
        self.keeper().await
    }

    /// The same node, with all that it can.
    pub async fn keeper(&self) -> Arc<dyn Keeper> {
        match self {
            Self::Postgres { url } => Arc::new(postgres(url).await),
            Self::Sqlite { folder, node } => {
                let open = async || {
                    let path = folder.path().join("rooms.db");
                    let store = SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics()).await;
                    Arc::new(store.unwrap()) as Arc<dyn Keeper>
                };
                node.get_or_init(open).await.clone()
            }
        }
    }

    /// The same node, for whoever looks after people.
    pub async fn accounts(&self) -> Arc<dyn Accounts> {
        self.keeper().await
    }

    /// Several nodes, all opened at the same moment.
    pub async fn nodes<const N: usize>(&self) -> [Arc<dyn Store>; N] {
        let nodes = futures_util::future::join_all((0..N).map(|_| self.node())).await;
        nodes.try_into().unwrap_or_else(|_| unreachable!("as many as were asked for"))
    }
}

pub fn metrics() -> StoreMetrics {
    StoreMetrics::register(&prometheus::Registry::new()).unwrap()
}

pub async fn postgres(url: &str) -> PostgresStore {
    // Few readers: many stores share one server's connections here.
    let config = PostgresConfig { lanes: 2, readers: 4, ..PostgresConfig::default() };
    PostgresStore::open(url, config, metrics()).await.unwrap()
}

pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

pub fn ana() -> User {
    person(1, "Ana")
}

pub fn ben() -> User {
    person(2, "Ben")
}

fn person(id: u128, name: &str) -> User {
    User { id: UserId(Uuid::from_u128(id)), name: PersonName::parse(name).unwrap() }
}

pub fn id(number: u128) -> MessageId {
    MessageId(Uuid::from_u128(number))
}

pub fn fresh_id() -> MessageId {
    MessageId(Uuid::now_v7())
}

/// Ana says something under an id of her choice.
pub fn post(to: &str, number: u128, says: &str) -> Post {
    Post { room: room(to), id: id(number), from: ana(), text: text(says), reply_to: None }
}

/// Ana says some things, one batch each.
pub async fn ana_says<const N: usize>(store: &Arc<dyn Store>, to: &str, words: [&str; N]) -> [Message; N] {
    let mut kept = Vec::new();
    for says in words {
        let post = Post { id: fresh_id(), ..post(to, 0, says) };
        kept.push(kept_one(store.append(0, &[post]).await.unwrap()));
    }
    kept.try_into().unwrap()
}

pub fn edit(to: &str, seq: u64, says: &str) -> Amendment {
    Amendment { room: room(to), seq, by: ana().id, change: Change::Text(text(says)) }
}

pub fn deletion(to: &str, seq: u64) -> Amendment {
    Amendment { room: room(to), seq, by: ana().id, change: Change::Delete }
}

pub async fn amended(store: &Arc<dyn Store>, amendment: Amendment) -> Outcome {
    one(store.amend(0, &[amendment]).await.unwrap())
}

pub fn one(mut outcomes: Vec<Outcome>) -> Outcome {
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

pub fn kept_one(outcomes: Vec<Outcome>) -> Message {
    match one(outcomes) {
        Outcome::Kept(message) => message,
        other => panic!("not kept: {other:?}"),
    }
}

/// The numbers of what was kept or known; 0 for the rest.
pub fn seqs(outcomes: &[Outcome]) -> Vec<u64> {
    let seq = |outcome: &Outcome| match outcome {
        Outcome::Kept(message) | Outcome::Known(message) => message.seq,
        Outcome::Forgotten { seq, .. } => *seq,
        _ => 0,
    };
    outcomes.iter().map(seq).collect()
}

/// All that survives in a room, by `rev`.
pub async fn everything(store: &Arc<dyn Store>, name: &str) -> Vec<Message> {
    let changes = store.changes(&room(name), 0, usize::MAX).await.unwrap();
    assert!(!changes.more);
    assert_eq!(changes.complete_to, changes.head);
    changes.messages
}

pub fn words(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}
