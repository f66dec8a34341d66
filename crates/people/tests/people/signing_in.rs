//! Coming in by a password.

use std::time::Duration;

use people::{AccountKind, GrantId, Pace, Standing};
use proto::Code;

use crate::house::*;

const LONG: Duration = Duration::from_secs(3_600);

pub async fn whoever_signed_up_is_known_everywhere(house: House) {
    let [north, south] = house.nodes().await;
    let (ana, token) = north.signs_up("Ana María").await;
    assert_eq!(ana.user.name.as_str(), "Ana María");
    assert!(matches!(ana.standing, Standing::Account { admin: false, .. }) && !ana.is_admin());
    assert!(ana.check_at.is_some());
    for node in [&south, &north, &south] {
        let known = node.people.recognize(&token).await.unwrap();
        assert_eq!((&known.user, known.grant()), (&ana.user, ana.grant()));
    }
    // Another day, another session, however the name is typed.
    let (again, other) = south.signs_in("ANA  MARI\u{301}A").await;
    assert_eq!(again.user, ana.user);
    assert!(again.grant() != ana.grant() && other != token);
    assert!(north.knows(&other).await && north.knows(&token).await);
    north.people.sign_out(&ana).await.unwrap();
    assert!(!north.knows(&token).await && north.knows(&other).await);
    assert_eq!(north.metric("tertulia_people_sign_ups_total{outcome=\"ok\"}"), 1.0);
    assert_eq!(south.metric("tertulia_people_sign_ins_total{outcome=\"ok\"}"), 1.0);
}

pub async fn a_wrong_password_and_an_unknown_name_are_the_same(house: House) {
    let [north, south] = house.nodes().await;
    north.signs_up("Ana").await;
    let (ben, _) = north.signs_up("Ben").await;
    north.people.disable(ben.user.id).await.unwrap();
    north.people.create_account(&person("Echo"), None, AccountKind::Bot, false).await.unwrap();
    let mut refusals = Vec::new();
    for (name, password) in [
        ("Ana", "another one"),
        ("Ana", ""),
        ("Ana", &"x".repeat(1_000)),
        ("Ben", PASSWORD),
        ("Echo", ""),
        ("Eve", PASSWORD),
    ] {
        refusals.push(south.people.sign_in(&person(name), password, &caller()).await.unwrap_err());
    }
    assert_eq!(refusals[0].code, Code::Unauthorized);
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    // Each of them cost a hash.
    assert_eq!(south.metric("tertulia_people_sign_ins_total{outcome=\"refused\"}"), 6.0);
    let hashed = south.metric("tertulia_people_password_seconds_count");
    let made = if south.metric("tertulia_people_sign_ups_total{outcome=\"ok\"}") > 0.0 { 2.0 } else { 0.0 };
    assert_eq!(hashed - made, 6.0);
    north.people.enable(ben.user.id).await.unwrap();
    south.signs_in("Ben").await;
}

pub async fn a_name_belongs_to_one(house: House) {
    let [north, south] = house.nodes().await;
    north.signs_up("Ana").await;
    for name in ["Ana", "aNA", "Ａna"] {
        let taken = south.people.sign_up(&person(name), PASSWORD, &caller()).await;
        assert_eq!(code(taken), Some(Code::NameTaken), "{name}");
        let taken = south.people.create_account(&person(name), Some(PASSWORD), AccountKind::Person, true).await;
        assert_eq!(code(taken), Some(Code::NameTaken), "{name}");
    }
    // Two who want one at the same time.
    let both = [&north, &south].map(|node| {
        let node = node.clone();
        tokio::spawn(async move { node.people.sign_up(&person("Ben"), PASSWORD, &caller()).await })
    });
    let mut codes = Vec::new();
    for one in both {
        codes.push(code(one.await.unwrap()));
    }
    codes.sort_by_key(Option::is_some);
    assert_eq!(codes, [None, Some(Code::NameTaken)]);
    let found = south.people.account_named(&person("ana")).await.unwrap();
    assert_eq!(found, north.people.account(found.id).await.unwrap());
    let names: Vec<String> =
        south.people.accounts(None, 10).await.unwrap().iter().map(|a| a.name.to_string()).collect();
    assert_eq!(names, ["Ana", "Ben"]);
    assert_eq!(south.people.accounts(Some(&person("ANA")), 10).await.unwrap().len(), 1);
    assert_eq!(code(south.people.account_named(&person("Eve")).await), Some(Code::NotFound));
}

pub async fn a_password_is_looked_at_before_it_is_taken(house: House) {
    let [node, _] = house.nodes().await;
    for password in ["", "1234567", &"x".repeat(257)] {
        let refused = node.people.sign_up(&person("Ana"), password, &caller()).await;
        assert_eq!(code(refused), Some(Code::InvalidField), "{password}");
    }
    let nothing_to_see = node.people.sign_up(&person("\u{3164}"), PASSWORD, &caller()).await;
    assert_eq!(code(nothing_to_see), Some(Code::InvalidName));
    let bot = node.people.create_account(&person("Echo"), Some(PASSWORD), AccountKind::Bot, false).await;
    assert_eq!(code(bot), Some(Code::InvalidField));
    let person_without = node.people.create_account(&person("Ana"), None, AccountKind::Person, false).await;
    assert_eq!(code(person_without), Some(Code::InvalidField));
    assert!(node.people.accounts(None, 10).await.unwrap().is_empty());
}

pub async fn only_so_many_guesses_at_a_name(house: House) {
    let [north, south] = house.nodes_with(|config| config.paces.sign_in_name = Pace { burst: 4, every: LONG }).await;
    north.signs_up("Ana").await;
    north.signs_up("Ben").await;
    // From wherever, on whatever node, with whatever spelling.
    for (number, node) in [&north, &south, &north, &south].into_iter().enumerate() {
        let name = if number % 2 == 0 { "Ana" } else { "ANA" };
        let guess =
            node.people.sign_in(&person(name), "another one", &caller_at(&format!("198.51.100.{number}"))).await;
        assert_eq!(code(guess), Some(Code::Unauthorized), "{number}");
    }
    for node in [&north, &south] {
        let refused = node.people.sign_in(&person("ana"), PASSWORD, &caller()).await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert!(refused.retry_after_ms.is_some_and(|wait| wait > 0 && wait <= LONG.as_millis() as u64), "{refused:?}");
    }
    south.signs_in("Ben").await;
    assert!(south.metric("tertulia_people_sign_ins_total{outcome=\"rate_limited\"}") >= 1.0);
}

pub async fn only_so_many_tries_from_an_address(house: House) {
    let pace = Pace { burst: 3, every: LONG };
    let [north, south] = house
        .nodes_with(|config| {
            config.paces.sign_in_address = pace;
            config.paces.sign_up_address = pace;
        })
        .await;
    for (number, node) in [&north, &south, &north].into_iter().enumerate() {
        // One household of version 6.
        let caller = caller_at(&format!("2001:db8::{number}"));
        let guess = node.people.sign_in(&person(&format!("name {number}")), PASSWORD, &caller).await;
        assert_eq!(code(guess), Some(Code::Unauthorized));
        node.people.sign_up(&person(&format!("name {number}")), PASSWORD, &caller).await.unwrap();
    }
    let caller = caller_at("2001:db8::77");
    assert_eq!(code(south.people.sign_in(&person("name 0"), PASSWORD, &caller).await), Some(Code::RateLimited));
    assert_eq!(code(south.people.sign_up(&person("Ana"), PASSWORD, &caller).await), Some(Code::RateLimited));
    let elsewhere = caller_at("2001:db8:0:1::77");
    assert_eq!(code(south.people.sign_in(&person("name 0"), PASSWORD, &elsewhere).await), None);
}

pub async fn another_password_ends_what_the_old_one_began(house: House) {
    let [north, south] = house.nodes().await;
    let (ana, here) = north.signs_up("Ana").await;
    let (_, elsewhere) = south.signs_in("Ana").await;
    let (_, key) = south.people.create_key(ana.user.id, "echo").await.unwrap();
    let change = async |before, after| north.people.change_password(&ana, before, after, &caller()).await;
    assert_eq!(code(change("another one", "the next one").await), Some(Code::Unauthorized));
    assert_eq!(code(change(PASSWORD, "short").await), Some(Code::InvalidField));
    assert!(south.knows(&elsewhere).await);
    change(PASSWORD, "the next one").await.unwrap();
    assert!(north.knows(&here).await);
    assert!(!north.knows(&elsewhere).await && !north.knows(&key).await);
    assert_eq!(code(north.people.sign_in(&person("Ana"), PASSWORD, &caller()).await), Some(Code::Unauthorized));
    north.people.sign_in(&person("Ana"), "the next one", &caller()).await.unwrap();
    // An admin does not know the old one, and ends all.
    north.people.set_password(ana.user.id, PASSWORD).await.unwrap();
    assert!(!north.knows(&here).await);
    north.signs_in("Ana").await;
    let guest = north.people.guest(person("Eve")).await.unwrap();
    assert_eq!(code(north.people.change_password(&guest, "", PASSWORD, &caller()).await), Some(Code::Forbidden));
    assert_eq!(code(north.people.sign_out(&guest).await), Some(Code::Forbidden));
}

pub async fn where_admins_make_accounts_nobody_else_does(house: House) {
    let [node, _] = house.nodes_with(|config| config.sign_up = false).await;
    assert!(!node.people.may_sign_up());
    assert_eq!(code(node.people.sign_up(&person("Ana"), PASSWORD, &caller()).await), Some(Code::Forbidden));
    let ana = node.people.create_account(&person("Ana"), Some(PASSWORD), AccountKind::Person, true).await.unwrap();
    let (signed_in, token) = node.signs_in("Ana").await;
    assert!(signed_in.is_admin() && node.people.recognize(&token).await.unwrap().is_admin());
    assert_eq!(signed_in.user.id, ana.id);
    node.people.set_admin(ana.id, false).await.unwrap();
    assert!(!node.knows(&token).await, "it says admin");
    assert!(!node.signs_in("Ana").await.0.is_admin());
    assert!(matches!(signed_in.grant(), Some(GrantId(_))));
}
