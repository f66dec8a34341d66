//! A store, a room in it, and what is needed to tell of it.

use std::sync::Arc;
use std::time::Duration;

use outgoing::{Client, OutgoingConfig};
use proto::{Message, MessageId, PersonName, RoomName, Text, User, UserId};
use store::{Amendment, Change, Keeper, Outcome, Post, SqliteConfig, SqliteStore, StoreMetrics, Task};
use tempfile::TempDir;
use uuid::Uuid;
use webhooks::{Deliver, Direction, Events, Hooks, NewHook, SecretOnce, Webhook};

pub(crate) struct House {
    _folder: TempDir,
    pub(crate) store: Arc<dyn Keeper>,
    client: Client,
}

pub(crate) fn client(allowed: &str) -> Client {
    Client::new(OutgoingConfig { allowed: allowed.parse().unwrap(), ..OutgoingConfig::default() }).unwrap()
}

pub(crate) fn room() -> RoomName {
    RoomName::parse("lobby").unwrap()
}

pub(crate) fn ana() -> User {
    User { id: UserId(Uuid::from_u128(1)), name: PersonName::parse("Ana").unwrap() }
}

pub(crate) fn new_hook(direction: Direction, url: Option<&str>) -> NewHook {
    let name = PersonName::parse("Herald").unwrap();
    NewHook { room: room(), direction, name, url: url.map(Into::into), events: Events::ALL, created_by: ana().id }
}

impl House {
    pub(crate) async fn new(allowed: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = StoreMetrics::register(&prometheus::Registry::new()).unwrap();
        let path = folder.path().join("rooms.db");
        let store = SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics).await.unwrap();
        Self { _folder: folder, store: Arc::new(store), client: client(allowed) }
    }

    pub(crate) fn hooks(&self) -> Hooks {
        Hooks::new(self.store.clone(), self.client.clone())
    }

    pub(crate) fn deliver(&self) -> Deliver {
        Deliver::new(self.store.clone(), self.client.clone())
    }

    /// A webhook that is told of everything.
    pub(crate) async fn tells(&self, url: &str) -> (Webhook, SecretOnce) {
        self.hooks().add(new_hook(Direction::Out, Some(url))).await.unwrap()
    }

    pub(crate) async fn says(&self, text: &str) -> Message {
        let id = MessageId(Uuid::new_v4());
        let post = Post { room: room(), id, from: ana(), text: Text::parse(text).unwrap(), reply_to: None };
        match self.store.append(0, &[post]).await.unwrap().remove(0) {
            Outcome::Kept(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// Another text, or none any more.
    pub(crate) async fn changes(&self, seq: u64, text: Option<&str>) {
        let change = text.map_or(Change::Delete, |text| Change::Text(Text::parse(text).unwrap()));
        self.store.amend(0, &[Amendment { room: room(), seq, by: ana().id, change }]).await.unwrap();
    }

    /// What is to be done, oldest first.
    pub(crate) async fn tasks(&self) -> Vec<Task> {
        self.store.claim_due(100, &["webhook"], "a test", Duration::from_secs(60)).await.unwrap()
    }

    /// The newest thing to be done.
    pub(crate) async fn task(&self) -> Task {
        self.tasks().await.pop().expect("there is something to be done")
    }
}
