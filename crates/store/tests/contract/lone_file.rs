//! The manners of an SQLite file.

use std::sync::Arc;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use store::{SqliteConfig, SqliteStore, Store, StoreError, Survey};
use tempfile::TempDir;

use crate::house::*;

async fn open(path: &str) -> Result<Arc<dyn Store>, StoreError> {
    let store = SqliteStore::open(path, SqliteConfig::default(), metrics()).await?;
    Ok(Arc::new(store))
}

async fn refusal(path: &str) -> String {
    match open(path).await {
        Err(StoreError::Refused(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn what_was_kept_is_there_when_the_file_is_opened_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/down/rooms.db");
    let url = format!("sqlite://{}", path.to_str().unwrap());
    let store = open(&url).await.unwrap();
    let epoch = store.epoch().await.unwrap();
    ana_says(&store, "lobby", ["one"]).await;
    store.close().await;
    assert!(matches!(store.epoch().await, Err(StoreError::Refused(_))), "closed is closed");

    let store = open(&url).await.unwrap();
    assert_eq!(store.epoch().await.unwrap(), epoch);
    assert_eq!(words(&everything(&store, "lobby").await), ["one"]);
}

#[tokio::test]
async fn a_file_serves_one_node_at_a_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rooms.db");
    let path = path.to_str().unwrap();
    let first = open(path).await.unwrap();
    assert!(refusal(path).await.contains("another node uses"));
    drop(first);
    open(path).await.unwrap();
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    assert!(refusal(&format!("{}/rooms.db", file.display())).await.contains("cannot be made"));
    assert!(refusal("/proc/rooms.db").await.contains("/proc/rooms.db.lock cannot be written"));
    assert!(refusal(file.to_str().unwrap()).await.contains("not a database"));
}

#[tokio::test]
async fn the_data_of_a_newer_version_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rooms.db");
    let path = path.to_str().unwrap();
    open(path).await.unwrap().close().await;
    let mut connection = SqliteConnection::connect(&format!("sqlite://{path}")).await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (9999, 'from tomorrow', 0, true, x'00', 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert!(refusal(path).await.contains("newer version"));
    let going_back = SqliteConfig { allow_newer: true, ..SqliteConfig::default() };
    assert_eq!(SqliteStore::migrate(path, &going_back).await.unwrap(), []);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path, going_back, metrics()).await.unwrap());
    ana_says(&store, "lobby", ["one"]).await;
}

#[tokio::test]
async fn a_reader_may_look_beside_the_node_and_makes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rooms.db");
    let path = path.to_str().unwrap();
    let reader = SqliteConfig { reads_only: true, ..SqliteConfig::default() };
    let look = async || SqliteStore::open(path, reader.clone(), metrics()).await;
    assert!(look().await.is_err_and(|error| error.to_string().contains("there is no file")));
    let survey = async || SqliteStore::survey(path, &SqliteConfig::default()).await.unwrap();
    let state = |survey: &Survey| survey.file.as_ref().map(|file| (file.exists, file.in_use));
    let before = survey().await;
    assert_eq!((state(&before), before.schema.applied.len()), (Some((false, false)), 0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(path, "").unwrap();
    assert!(look().await.is_err_and(|error| error.to_string().contains("`tertulia migrate`")));

    let node = open(path).await.unwrap();
    ana_says(&node, "lobby", ["one"]).await;
    let beside = survey().await;
    assert_eq!((state(&beside), beside.schema.pending.len()), (Some((true, true)), 0));
    let beside: Arc<dyn Store> = Arc::new(look().await.unwrap());
    assert_eq!(words(&everything(&beside, "lobby").await), ["one"]);
    beside.close().await;
    node.close().await;
    assert_eq!(state(&survey().await), Some((true, false)));
}
