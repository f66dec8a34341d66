//! Starting, leaving and bad configuration, as an operator meets them.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::json;
use testkit::errand::{self, Errand, SECRET};
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;
use testkit::process::free_port;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

fn run(args: &[&str], environment: &[(&str, &str)]) -> Errand {
    errand::run(PROGRAM, args, environment)
}

/// It must end badly, with one sentence that names what is wrong, and tell no secret.
fn complains(errand: &Errand, about: &str) {
    let said = &errand.complained;
    assert!(matches!(errand.code, Some(1 | 2)) && said.contains(about), "{about}: {errand:?}");
    assert!(!said.contains("panicked") && !said.contains(SECRET), "{said}");
    assert_eq!(said.matches("ERROR").count() + said.matches("error: ").count(), 1, "{said}");
}

#[tokio::test]
async fn bad_configuration_ends_with_a_sentence_and_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let port = format!("127.0.0.1:{}", free_port());
    let listen = ["serve", "--listen", &port, "--data-dir", data];
    complains(&run(&["serve", "--colour=red"], &[]), "--colour");
    complains(&run(&["dance"], &[]), "dance");
    complains(&run(&["serve", "--listen=nowhere"], &[]), "nowhere");
    complains(&run(&["serve", "--otlp-endpoint=https://c:4318"], &[]), "without TLS");
    complains(&run(&["serve"], &[("TERTULIA_TRACE_RATIO", "1%")]), "0 to 1");
    complains(&run(&listen, &[("REDIS_URL", "nonsense://")]), "REDIS_URL");
    let elsewhere = format!("mysql://ana:{SECRET}@localhost/x");
    complains(&run(&listen, &[("DATABASE_URL", &elsewhere)]), "give postgres://user:password@host/database");
    complains(&run(&listen, &[("DATABASE_URL", "postgres:db")]), "postgres://user:password@host:port/database");
    let nowhere = Postgres::shared().url("nowhere");
    complains(&run(&listen, &[("DATABASE_URL", &nowhere)]), "make that database first");
    let nobody = nowhere.replace("postgres@", &format!("nobody:{SECRET}@"));
    complains(&run(&listen, &[("DATABASE_URL", &nobody)]), "the user and the password in its address");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for closed in [file.to_str().unwrap(), "/proc/tertulia"] {
        let told = run(&["serve", "--listen", &port, "--data-dir", closed], &[]);
        complains(&told, "let whoever runs this program write there, or name another place");
        complains(&told, closed);
    }
    // In a folder of its own: a log that was left beside it would make a database of it.
    let garbage = tempfile::tempdir().unwrap();
    std::fs::write(garbage.path().join("tertulia.db"), "something else altogether, and long enough to have a head")
        .unwrap();
    let here = ["serve", "--listen", &port, "--data-dir", garbage.path().to_str().unwrap()];
    complains(&run(&here, &[]), "not a database");
    let config = folder.path().join("tertulia.toml");
    std::fs::write(&config, "colour = 'red'").unwrap();
    complains(&run(&["--config", config.to_str().unwrap()], &[]), "colour");
    std::fs::write(&config, format!("send-rate = 3\nsecret = \"{SECRET}")).unwrap();
    complains(&run(&["--config", config.to_str().unwrap()], &[]), "line 2");
    complains(&run(&["serve", "--listen=localhost"], &[]), "such as 127.0.0.1:8080");

    let node = Node::start(NodeOptions::alone(PROGRAM)).await;
    let taken = node.address().to_string();
    complains(&run(&["--listen", &taken, "--data-dir", data], &[]), "--listen");
    let in_use = node.folder().join("data");
    complains(&run(&["--listen", &port, "--data-dir", in_use.to_str().unwrap()], &[]), "another");
}

#[test]
fn a_database_that_nobody_answers_for_is_waited_for_and_then_named() {
    let nobody = format!("postgres://ana:{SECRET}@127.0.0.1:{}/chat", free_port());
    let port = format!("--listen=127.0.0.1:{}", free_port());
    let told = run(&["serve", &port], &[("DATABASE_URL", &nobody)]);
    complains(&told, "Does it run, and is everything in DATABASE_URL right?");
    assert!(told.complained.contains("trying again for 30 s") && told.complained.contains("ana:***@"), "{told:?}");
}

/// Going back to the version before, after a newer one has migrated the database.
#[tokio::test]
async fn data_of_a_newer_version_is_refused_unless_allowed() {
    let server = Postgres::shared();
    let url = server.database();
    let node = Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", &url)).await;
    node.guest("Ana").await.send("r", "before").await;
    drop(node);
    let sql = "INSERT INTO _sqlx_migrations VALUES (9999, 'from tomorrow', now(), true, '\\x00', 0);
        ALTER TABLE messages ADD COLUMN of_tomorrow text; CREATE TABLE tomorrow (room text)";
    server.execute(url.rsplit('/').next().unwrap(), sql);
    let port = format!("--listen=127.0.0.1:{}", free_port());
    complains(&run(&["serve", &port], &[("DATABASE_URL", &url)]), "--allow-newer-migrations");
    for allowed in [
        NodeOptions::alone(PROGRAM).flag("--allow-newer-migrations"),
        NodeOptions::alone(PROGRAM).with("TERTULIA_ALLOW_NEWER_MIGRATIONS", true),
    ] {
        let node = Node::start(allowed.with("DATABASE_URL", &url)).await;
        let mut ana = node.guest("Ana").await;
        assert_eq!(ana.join("r").await["messages"][0]["text"], "before");
        ana.send("r", "after").await;
        ana.heard("r", &["after"]).await;
    }
}

#[tokio::test]
async fn weak_durability_is_refused_unless_allowed() {
    let url = Postgres::shared().database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    Postgres::shared().execute("postgres", &format!("ALTER DATABASE {database} SET synchronous_commit = off"));
    let port = format!("--listen=127.0.0.1:{}", free_port());
    complains(&run(&["serve", &port], &[("DATABASE_URL", &url)]), "synchronous_commit");
    let node =
        Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", &url).flag("--allow-weak-durability")).await;
    let series = "tertulia_store_durability{setting=\"synchronous_commit\",value=\"off\"}";
    assert_eq!(node.metric(series).await, 1.0);
}

#[tokio::test]
async fn several_nodes_may_start_at_once_on_an_empty_database() {
    let url = Postgres::shared().database();
    let starts = (0..4).map(|_| Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", &url)));
    let nodes = futures_util::future::join_all(starts).await;
    let mut ana = nodes[0].client().await;
    let welcome = ana.hello("Ana").await;
    for node in &nodes {
        let mut again = node.client().await;
        again.say(json!({"type": "hello", "token": welcome["token"]})).await;
        assert_eq!(again.expect("welcome").await["user"], welcome["user"], "they agree on the secret");
    }
}

#[tokio::test]
async fn an_unreachable_redis_means_starting_degraded() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let node = Node::start(NodeOptions::alone(PROGRAM).with("REDIS_URL", url)).await;
    assert_eq!(node.metric("tertulia_bus_up").await, 0.0);
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    ana.send("r", "all the same").await;
    ben.heard("r", &["all the same"]).await;
}

#[tokio::test]
async fn what_was_accepted_is_acknowledged_before_the_node_goes() {
    let mut node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_DRAIN_SECONDS", 3)).await;
    let mut ana = node.guest("Ana").await;
    for number in 0..200 {
        let id = uuid::Uuid::new_v4().to_string();
        ana.say(json!({"type": "send", "room": "r", "id": id, "text": number.to_string()})).await;
    }
    ana.expect("ack").await;
    node.signal("TERM");
    assert_eq!(ana.expect("bye").await["reason"], "drain");
    ana.closed().await;
    assert_eq!(node.ended(Duration::from_secs(5)).await, Some(0), "{}", node.log());
    let acks = 1 + ana.heard_already("ack");
    node.start_again().await;
    let mut again = node.guest("Ana").await;
    let head = again.join("r").await["head"].as_u64().unwrap();
    assert_eq!(head, acks as u64, "what is kept is what was acknowledged");
}

#[tokio::test]
async fn leaving_never_waits_for_a_client_that_does_not_listen() {
    let mut node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_DRAIN_SECONDS", 2)).await;
    let _deaf = node.guest("Deaf").await;
    node.signal("TERM");
    assert_eq!(node.ended(Duration::from_secs(4)).await, Some(0), "{}", node.log());
}
