//! Redis flushed, forged, frozen and gone; the store gone and back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Commons, LocalBus};
use people::{Identity, Live};
use prometheus::Registry;
use proto::Code;
use store::{Accounts, Alteration, Revoke};
use testkit::postgres::Postgres;
use testkit::proxy::Proxy;
use testkit::redis::{Redis, Reply};

use crate::grants::next;
use crate::house::*;

/// Somebody comes to a node and stays.
async fn comes(node: &Node, token: &str) -> (Identity, Live) {
    let identity = node.people.recognize(token).await.unwrap();
    let live = node.people.enter(&identity).unwrap();
    (identity, live)
}

async fn keys(redis: &Redis, pattern: &str) -> Vec<String> {
    let Reply::Many(keys) = redis.command(&["KEYS", pattern]).await else { panic!() };
    keys.into_iter().map(|key| if let Reply::Text(key) = key { key } else { panic!() }).collect()
}

/// Waits until a node has a copy to go by: the first look at what was revoked is behind it.
async fn goes_by_copies(node: &Node, token: &str) {
    eventually("a copy is enough", async || {
        node.people.recognize(token).await.unwrap();
        node.metric("tertulia_people_tokens_total{by=\"copy\"}") >= 1.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_what_the_store_said() {
    let house = House::two().await;
    let [north, south] = house.nodes().await;
    let (_, token) = north.signs_up("Ana").await;
    goes_by_copies(&north, &token).await;
    let by_store = "tertulia_people_tokens_total{by=\"store\"}";
    let before = south.metric(by_store);
    goes_by_copies(&south, &token).await;
    for _ in 0..20 {
        assert!(south.knows(&token).await);
    }
    assert!(south.metric(by_store) - before <= 1.0);
    // What is in Redis lets nobody be anybody: neither the token nor its end is there.
    let copies = keys(house.redis(), "*:copy:*").await;
    assert!(!copies.is_empty() && copies.iter().all(|key| !key.contains(&token[3..])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_although_redis_was_flushed_and_somebody_is_slow() {
    let house = House::two().await;
    let [north, south] = house.nodes().await;
    let mut endings = south.endings();
    let (ana, token) = north.signs_up("Ana").await;
    goes_by_copies(&south, &token).await;
    let (_, live) = comes(&south, &token).await;
    let copy = keys(house.redis(), "*:copy:*").await.remove(0);
    let Reply::Text(_) = house.redis().command(&["TYPE", &copy]).await else { panic!() };
    house.redis().command(&["COPY", &copy, "kept"]).await;

    north.people.sign_out(&ana).await.unwrap();
    assert_eq!(Some(next(&mut endings).await), ana.grant());
    assert!(live.has_ended());
    // Redis forgets that it was removed, and a copy of before comes late.
    assert_eq!(house.redis().command(&["COPY", "kept", &copy, "REPLACE"]).await, Reply::Number(1));
    for node in [&north, &south] {
        assert!(!node.knows(&token).await);
    }
    house.redis().flush().await;
    for node in [&north, &south] {
        assert!(!node.knows(&token).await);
    }
}

/// Whoever revokes may die before Redis hears of it, or may be a command that knows no Redis.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_store_knows_ends_within_moments() {
    let house = House::two().await;
    let [north, south] = house.nodes().await;
    let (mut north_hears, mut south_hears) = (north.endings(), south.endings());
    let (ana, token) = north.signs_up("Ana").await;
    for node in [&north, &south] {
        goes_by_copies(node, &token).await;
    }
    let _lives = [comes(&north, &token).await, comes(&south, &token).await];
    let began = Instant::now();
    north.accounts.revoke(ana.user.id, Revoke::AllBut(None)).await.unwrap();
    assert_eq!(Some(next(&mut north_hears).await), ana.grant());
    assert_eq!(Some(next(&mut south_hears).await), ana.grant());
    println!("told after {:?}", began.elapsed());
    // The copy is still there, and nobody goes by it.
    assert!(!keys(house.redis(), "*:copy:*").await.is_empty());
    assert!(!north.knows(&token).await && !south.knows(&token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_copy_is_not_believed() {
    let house = House::two().await;
    let [north, south] = house.nodes().await;
    let (_, token) = north.signs_up("Ana").await;
    let (_, other) = north.signs_up("Ben").await;
    goes_by_copies(&south, &token).await;
    let [one, another] = [keys(house.redis(), "*:copy:*").await.remove(0), String::new()];
    north.people.recognize(&other).await.unwrap();
    let another = keys(house.redis(), "*:copy:*").await.into_iter().find(|key| *key != one && *key != another).unwrap();
    // Ana's copy under Ben's key, cut copies, and texts.
    house.redis().command(&["COPY", &one, &another, "REPLACE"]).await;
    assert_eq!(south.people.recognize(&other).await.unwrap().user.name.as_str(), "Ben");
    for forged in ["x", "{\"admin\":true}", &"x".repeat(200)] {
        house.redis().command(&["SET", &one, forged]).await;
        let known = south.people.recognize(&token).await.unwrap();
        assert!(known.user.name.as_str() == "Ana" && !known.is_admin());
    }
    house.redis().command(&["DEL", &one]).await;
    house.redis().command(&["LPUSH", &one, "x"]).await;
    assert!(south.knows(&token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_people_come_and_go_and_limits_are_each_nodes() {
    let mut redis = Redis::start().await;
    let (url, registry) = (Postgres::shared().database(), Registry::new());
    let bus = redis_at(&redis.url()).await;
    let node = Node::start(postgres(&url, &registry).await, bus, registry, |config| {
        config.paces.sign_in_name = people::Pace { burst: 2, every: Duration::from_secs(3_600) };
    });
    let (ana, token) = node.signs_up("Ana").await;
    let mut endings = node.endings();
    let _live = comes(&node, &token).await;
    redis.freeze();
    assert!(node.knows(&token).await);
    redis.stop();
    let (_, second) = node.signs_in("Ana").await;
    node.signs_in("Ana").await;
    assert_eq!(code(node.people.sign_in(&person("Ana"), PASSWORD, &caller()).await), Some(Code::RateLimited));
    assert!(node.knows(&second).await);
    node.people.sign_out(&ana).await.unwrap();
    assert_eq!(Some(next(&mut endings).await), ana.grant());
    assert!(!node.knows(&token).await && node.knows(&second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_nobody_comes_in_and_nobody_is_sent_away() {
    let (mut database, redis, registry) = (Postgres::start(), Redis::start().await, Registry::new());
    let bus = redis_at(&redis.url()).await;
    let node = Node::start(postgres(&database.database(), &registry).await, bus, registry, |_| {});
    let (_, token) = node.signs_up("Ana").await;
    goes_by_copies(&node, &token).await;
    let guest = node.people.guest(person("Eve")).await.unwrap();
    let guest_token = node.people.guest_token(&guest.user);
    let (ana, _live) = comes(&node, &token).await;
    database.stop();
    eventually("copies are no longer believed", async || node.people.recognize(&token).await.is_err()).await;
    assert!(!keys(&redis, "*:copy:*").await.is_empty(), "although they are there");
    let refusals = [
        node.people.recognize(&token).await.unwrap_err(),
        node.people.recognize(&guest_token).await.unwrap_err(),
        node.people.guest(person("Eve")).await.unwrap_err(),
        node.people.sign_in(&person("Ana"), PASSWORD, &caller()).await.unwrap_err(),
        node.people.sign_up(&person("Ben"), PASSWORD, &caller()).await.unwrap_err(),
        node.people.sign_out(&ana).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert!(refusal.code == Code::Unavailable && refusal.retry_after_ms.is_some(), "{refusal:?}");
    }
    assert!(node.people.check_again(&ana).await.unwrap().is_some(), "whoever is here may stay");
    database.start_again();
    eventually("the store is asked again", async || node.people.recognize(&token).await.is_ok()).await;
    assert!(node.people.recognize(&guest_token).await.is_ok());
    node.people.sign_out(&ana).await.unwrap();
    assert_eq!(code(node.people.check_again(&ana).await), Some(Code::Unauthorized));
}

/// Guards against a session of a few seconds that outlives itself as long as the store is away.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_a_session_ends_all_the_same() {
    let (mut database, registry) = (Postgres::start(), Registry::new());
    let (bus, _events) = LocalBus::new(16);
    let store = postgres(&database.database(), &registry).await;
    let node = Node::start(store, Arc::new(bus), registry, |config| config.session = Duration::from_secs(2));
    let (_, token) = node.signs_up("Ana").await;
    let (ana, _live) = comes(&node, &token).await;
    database.stop();
    assert!(node.people.check_again(&ana).await.unwrap().is_some());
    eventually("nobody can say that it holds", async || {
        code(node.people.check_again(&ana).await) == Some(Code::Unavailable)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_cut_off_looks_at_all_that_are_in_use() {
    let (database, redis) = (Postgres::start(), Redis::start().await);
    let url = database.database();
    let proxy = Proxy::to(database.address()).await;
    let name = url.rsplit('/').next().unwrap().to_owned();
    let through = url.replace(&database.address().port().to_string(), &proxy.address().port().to_string());
    let commons: Arc<dyn Commons> = redis_at(&redis.url()).await;
    let registry = Registry::new();
    let cut = Node::start(postgres(&through, &registry).await, commons, registry, |_| {});
    let whole: Arc<dyn Accounts> = postgres(&url, &Registry::new()).await;
    let mut endings = cut.endings();
    let (ana, token) = cut.signs_up("Ana").await;
    let (ben, other) = cut.signs_up("Ben").await;
    goes_by_copies(&cut, &token).await;
    let _lives = [comes(&cut, &token).await, comes(&cut, &other).await];
    proxy.refuse();
    proxy.cut();
    eventually("it is cut off for a while", async || cut.people.recognize(&token).await.is_err()).await;
    // Revoked longer ago, by the clock, than it will ask about.
    whole.alter_account(ana.user.id, &Alteration::Disabled(true)).await.unwrap();
    database
        .execute(&name, "UPDATE grants SET revoked_at = revoked_at - interval '1 hour' WHERE revoked_at IS NOT NULL");
    proxy.pass();
    assert_eq!(Some(next(&mut endings).await), ana.grant());
    eventually("it is whole again", async || cut.people.recognize(&other).await.is_ok()).await;
    assert!(!cut.knows(&token).await);
    assert!(cut.people.check_again(&ben).await.unwrap().is_some());
}

/// More is revoked than is read at once: what a look does not reach is not overlooked.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_revocations_hides_none() {
    let (url, registry) = (Postgres::shared().database(), Registry::new());
    let (bus, _events) = LocalBus::new(16);
    let node = Node::start(postgres(&url, &registry).await, Arc::new(bus), registry, |_| {});
    let (ana, token) = node.signs_up("Ana").await;
    let (_, other) = node.signs_up("Ben").await;
    let mut endings = node.endings();
    let _lives = [comes(&node, &token).await, comes(&node, &other).await];
    goes_by_copies(&node, &token).await;
    let flood = "INSERT INTO grants (id, account, kind, hash, created_at, used_at, revoked_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'key', sha256(n::text::bytea), now(), now(), now()
        FROM generate_series(1, 15000) n;
        UPDATE grants SET revoked_at = now() + interval '1 second' WHERE id = '";
    let grant = ana.grant().unwrap().0;
    Postgres::shared().execute(url.rsplit('/').next().unwrap(), &format!("{flood}{grant}'"));
    assert_eq!(Some(next(&mut endings).await), ana.grant());
    assert!(!node.knows(&token).await && node.knows(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_accounts_asks_the_store_a_few_times() {
    let house = House::two().await;
    let [north, south] = house.nodes_with(|config| config.session = Duration::from_secs(1_000)).await;
    let (ana, _) = north.signs_up("Ana").await;
    let mut tokens = Vec::new();
    for _ in 0..600 {
        tokens.push(north.people.create_key(ana.user.id, "echo").await.unwrap().1);
    }
    let questions = "tertulia_store_people_seconds_count";
    let before = south.metric(questions);
    let mut storm = tokio::task::JoinSet::new();
    for token in tokens.iter().chain(&tokens) {
        let (people, token) = (south.people.clone(), token.clone());
        storm.spawn(async move { people.recognize(&token).await.unwrap() });
    }
    for identity in storm.join_all().await {
        assert_eq!(identity.user, ana.user);
    }
    let asked = south.metric(questions) - before;
    // As many as fit while one was under way, and the watch's.
    assert!(asked < 120.0, "{asked} questions for 1,200 tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_endings_than_anybody_takes_at_once_are_all_told() {
    let house = House::alone().await;
    let [node, _] = house.nodes().await;
    let mut endings = node.endings();
    let (ana, token) = node.signs_up("Ana").await;
    let mut lives = vec![comes(&node, &token).await];
    for _ in 0..1_500 {
        let (_, key) = node.people.create_key(ana.user.id, "echo").await.unwrap();
        lives.push(comes(&node, &key).await);
    }
    node.people.disable(ana.user.id).await.unwrap();
    let mut told = std::collections::HashSet::new();
    while told.len() < lives.len() {
        assert!(told.insert(next(&mut endings).await), "told once");
    }
    assert!(lives.iter().all(|(_, live)| live.has_ended()));
    node.people.close().await;
    assert_eq!(endings.recv().await, None);
}
