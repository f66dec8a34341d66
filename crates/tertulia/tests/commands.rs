//! `doctor`, `migrate` and `config`, as an operator uses them.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use testkit::errand::{self, Errand, SECRET};
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;
use testkit::process::free_port;
use testkit::redis::Redis;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

fn run(args: &[&str], environment: &[(&str, &str)]) -> Errand {
    errand::run(PROGRAM, args, environment)
}

/// What the doctor says, on a free port.
fn doctor(flags: &[&str], environment: &[(&str, &str)]) -> Errand {
    let port = format!("--listen=127.0.0.1:{}", free_port());
    run(&[&["doctor", &port], flags].concat(), environment)
}

/// The report must have a line with this verdict about this, which says these words; and no secret.
fn told(report: &Errand, verdict: &str, about: &str, words: &str) {
    let begins = format!("{verdict:<8} {about} ");
    let found = report.said.lines().any(|line| line.starts_with(&begins) && line.contains(words));
    assert!(found, "no {verdict} about {about} with {words:?}: {report:?}");
    assert!(!format!("{report:?}").contains(SECRET), "{report:?}");
    let is_clear = !report.said.lines().any(|line| line.starts_with("problem "));
    assert_eq!(report.code, Some(if is_clear { 0 } else { 1 }), "{report:?}");
}

fn database_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// The same address, with a password that a trusting server does not look at.
fn with_password(url: &str) -> String {
    url.replace("postgres@", &format!("postgres:{SECRET}@"))
}

const TOMORROW: &str = "INSERT INTO _sqlx_migrations VALUES (9999, 'from tomorrow', now(), true, '\\x00', 0)";

#[tokio::test]
async fn a_doctor_finds_nothing_wrong_with_a_cluster_in_order() {
    let url = with_password(&Postgres::shared().database());
    let redis = Redis::start().await;
    let cluster = [("DATABASE_URL", url.as_str()), ("REDIS_URL", &redis.url())];
    let report = doctor(&["--connections=10"], &cluster);
    told(&report, "ok", "database", "Postgres");
    told(&report, "ok", "migrations", "none yet");
    told(&report, "ok", "durability", "synchronous_commit=on");
    told(&report, "ok", "connections", "12 wanted");
    told(&report, "ok", "clock", "ms");
    told(&report, "ok", "redis", "Redis ");
    told(&report, "ok", "open files", "10 connections expected");
    told(&report, "ok", "address", "is free");
    assert!(report.said.ends_with("0 problems, 0 warnings\n"), "{report:?}");

    assert_eq!(run(&["migrate"], &cluster).code, Some(0));
    told(&doctor(&[], &cluster), "ok", "migrations", "none missing");
}

#[tokio::test]
async fn a_doctor_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let flag = format!("--data-dir={}", data.display());
    told(&doctor(&[&flag], &[]), "ok", "data folder", "can be made");
    assert!(!data.exists());
    let url = Postgres::shared().database();
    doctor(&[], &[("DATABASE_URL", &url)]);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(Postgres::shared().execute(database_of(&url), tables).trim(), "0");
}

#[tokio::test]
async fn a_doctor_names_what_a_database_lacks() {
    let server = Postgres::shared();
    let nobody = format!("postgres://ana:{SECRET}@127.0.0.1:{}/chat", free_port());
    told(&doctor(&[], &[("DATABASE_URL", &nobody)]), "problem", "database", "ana:***@");
    let typo = format!("mysql://ana:{SECRET}@localhost/chat");
    told(&doctor(&[], &[("DATABASE_URL", &typo)]), "problem", "database", "postgres://user:password@");
    told(&doctor(&[], &[("DATABASE_URL", &server.url("nowhere"))]), "problem", "database", "make that database");

    let url = with_password(&server.database());
    let weak = format!("ALTER DATABASE {} SET synchronous_commit = off", database_of(&url));
    server.execute(database_of(&url), &weak);
    let here = [("DATABASE_URL", url.as_str())];
    told(&doctor(&[], &here), "problem", "durability", "set it to on");
    told(&doctor(&["--allow-weak-durability"], &here), "warning", "durability", "synchronous_commit is off");
    told(&doctor(&["--readers=256"], &here), "warning", "connections", "max_connections");

    run(&["migrate"], &here).well();
    server.execute(database_of(&url), TOMORROW);
    told(&doctor(&[], &here), "problem", "migrations", "--allow-newer-migrations");
    told(&doctor(&["--allow-newer-migrations"], &here), "warning", "migrations", "9999");
    server.execute(database_of(&url), "DELETE FROM _sqlx_migrations WHERE version > 1");
    told(&doctor(&["--allow-weak-durability"], &here), "warning", "migrations", "`tertulia migrate`");

    let guest = format!("guest_of_{}", database_of(&url));
    server
        .execute(database_of(&url), &format!("CREATE ROLE {guest} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
    server.execute(database_of(&url), &format!("GRANT SELECT ON _sqlx_migrations TO {guest}"));
    let guest = url.replace("//postgres:", &format!("//{guest}:"));
    told(&doctor(&[], &[("DATABASE_URL", &guest)]), "problem", "migrations", "GRANT");
}

#[tokio::test]
async fn a_doctor_names_what_redis_lacks() {
    let gone = format!("redis://ana:{SECRET}@127.0.0.1:{}", free_port());
    told(&doctor(&[], &[("REDIS_URL", &gone)]), "problem", "redis", "Connection refused");
    told(&doctor(&[], &[("REDIS_URL", "http://cache")]), "problem", "redis", "redis://");
    let url = Postgres::shared().database();
    told(&doctor(&[], &[("DATABASE_URL", &url)]), "warning", "redis", "set REDIS_URL");

    let tight = ["--maxmemory", "64mb", "--client-output-buffer-limit", "pubsub 1mb 0 0"];
    let redis = Redis::start_with(&tight).await;
    let report = doctor(&[], &[("REDIS_URL", &redis.url())]);
    told(&report, "warning", "redis", "set DATABASE_URL");
    told(&report, "warning", "redis memory", "allkeys-lru");
    told(&report, "warning", "redis buffer", "1048576 bytes");
}

#[tokio::test]
async fn a_doctor_names_what_a_machine_lacks() {
    told(&doctor(&["--connections=4000000000"], &[]), "warning", "open files", "LimitNOFILE");
    let file = tempfile::NamedTempFile::new().unwrap();
    let blocked = format!("--data-dir={}", file.path().display());
    told(&doctor(&[&blocked], &[]), "problem", "data folder", "--data-dir");
    let garbage = format!("sqlite:{}", file.path().display());
    std::fs::write(file.path(), "something else altogether, and long enough to have a head").unwrap();
    told(&doctor(&[], &[("DATABASE_URL", &garbage)]), "problem", "database", "not a database");

    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--listen={}", stranger.local_addr().unwrap());
    told(&run(&["doctor", &taken], &[]), "problem", "address", "--listen");
}

#[tokio::test]
async fn a_doctor_knows_a_node_that_runs() {
    let node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_NODE_NAME", "north")).await;
    let (address, data) = (node.address().to_string(), node.folder().join("data"));
    let report = run(&["doctor", "--listen", &address, "--data-dir", data.to_str().unwrap()], &[]);
    told(&report, "ok", "database", "in use by a node now");
    told(&report, "ok", "address", "the node north runs there");

    let gone = format!("redis://127.0.0.1:{}", free_port());
    let node = Node::start(NodeOptions::alone(PROGRAM).with("REDIS_URL", gone)).await;
    let report = run(&["doctor", "--listen", &node.address().to_string()], &[]);
    told(&report, "warning", "address", "degraded");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_applied_once_however_many_ask() {
    let url = with_password(&Postgres::shared().database());
    let asks: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::task::spawn_blocking(move || run(&["migrate"], &[("DATABASE_URL", &url)]).well())
        })
        .collect();
    let mut applied = 0;
    for ask in asks {
        let said = ask.await.unwrap();
        assert!(!said.contains(SECRET), "{said}");
        applied += said.matches("applied migration").count();
    }
    let known = Postgres::shared().execute(database_of(&url), "SELECT count(*) FROM _sqlx_migrations");
    assert_eq!(applied.to_string(), known.trim());
    assert!(run(&["migrate"], &[("DATABASE_URL", &url)]).well().contains("nothing to do"));

    let folder = tempfile::tempdir().unwrap();
    let here = ["migrate", "--data-dir", folder.path().to_str().unwrap()];
    assert!(run(&here, &[]).well().contains("applied migration 1: rooms"));
    assert!(run(&here, &[]).well().contains("nothing to do"));
}

#[tokio::test]
async fn what_cannot_be_migrated_ends_with_a_sentence() {
    let url = Postgres::shared().database();
    let here = [("DATABASE_URL", url.as_str())];
    run(&["migrate"], &here).well();
    Postgres::shared().execute(database_of(&url), TOMORROW);
    run(&["migrate"], &here).badly("--allow-newer-migrations");
    assert!(run(&["migrate", "--allow-newer-migrations"], &here).well().contains("nothing to do"));
    let node = Node::start(NodeOptions::alone(PROGRAM)).await;
    let in_use = node.folder().join("data");
    run(&["migrate", "--data-dir", in_use.to_str().unwrap()], &[]).badly("another node uses");
}

#[test]
fn the_settings_in_force_are_told_with_their_sources() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tertulia.toml");
    let text = format!("send-rate = 3\nconnect-rate = 4\nwriters = 5\nsecret = \"{SECRET}\"\nlog = 'info,hub=\"x\"'");
    std::fs::write(&file, text).unwrap();
    let redis = format!("redis://:{SECRET}@cache");
    let environment = [("TERTULIA_CONNECT_RATE", "7"), ("TERTULIA_WRITERS", "8"), ("REDIS_URL", &redis)];
    let file = file.to_str().unwrap();
    let page =
        run(&["config", "--config", file, "--writers=9", "--allowed-origins=https://a,https://b"], &environment).well();
    for line in [
        "listen = \"127.0.0.1:8080\" # default",
        &format!("send-rate = 3 # file {file}"),
        "connect-rate = 7 # environment variable TERTULIA_CONNECT_RATE",
        "writers = 9 # flag",
        "allowed-origins = [\"https://a\", \"https://b\"] # flag",
        &format!("log = \"info,hub=\\\"x\\\"\" # file {file}"),
        "# redis-url = \"redis://:***@cache\" # environment variable REDIS_URL; not shown whole",
        &format!("# secret = \"***\" # file {file}; not shown whole"),
        "# database-url is not set: messages are kept in data/tertulia.db",
        "# otlp-endpoint is not set: nothing is traced",
        "trace-ratio = 0.01 # default",
    ] {
        assert!(page.lines().any(|told| told == line), "{line} is not in {page}");
    }
    assert!(!page.contains(SECRET));
}

#[test]
fn the_settings_in_force_can_be_used_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tertulia.toml");
    let awkward = [
        "--node-name=a \"b\" \\ ñ\u{7f}",
        "--allow-weak-durability",
        "--guests=off",
        "--trusted-proxies=::1",
        "--trace-ratio=.5",
    ];
    let page = run(&[&["config"], awkward.as_slice()].concat(), &[]).well();
    std::fs::write(&file, &page).unwrap();
    let again = run(&["config", "--config", file.to_str().unwrap()], &[]).well();
    let bare = |page: &str| -> Vec<String> {
        page.lines().map(|line| line.rsplit_once(" # ").map_or(line, |(setting, _)| setting).to_owned()).collect()
    };
    assert_eq!(bare(&again), bare(&page));
    assert!(again.contains("listen = \"127.0.0.1:8080\" # file"));
}

#[test]
fn what_is_not_known_is_an_error_for_every_command() {
    for command in ["doctor", "migrate", "config", "export", "import"] {
        let told = run(&[command, "--colour=red"], &[]);
        assert!(told.code == Some(2) && told.complained.contains("--colour"), "{told:?}");
        let told = run(&[command, "--config=/nowhere"], &[]);
        assert!(told.code == Some(2) && told.complained.contains("/nowhere cannot be read"), "{told:?}");
    }
}

/// Whoever reads a pipe may leave before the end.
#[test]
fn nobody_need_hear_the_end() {
    for command in ["doctor", "config"] {
        let script = format!("{PROGRAM} {command} --listen 127.0.0.1:{} | true", free_port());
        let told = errand::run("sh", &["-c", &script], &[]);
        assert!(!told.complained.contains("panicked"), "{told:?}");
    }
}
