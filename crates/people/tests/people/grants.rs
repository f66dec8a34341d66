//! Sessions and keys: how long they hold, and who is told when they do not.

use std::time::{Duration, SystemTime};

use people::{GrantId, GrantKind, Identity};
use proto::Code;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use uuid::Uuid;

use crate::house::*;

pub async fn next(endings: &mut Receiver<GrantId>) -> GrantId {
    timeout(DEADLINE, endings.recv()).await.unwrap().unwrap()
}

pub async fn a_key_is_good_until_it_is_revoked(house: House) {
    let [north, south] = house.nodes().await;
    let (ana, _) = north.signs_up("Ana").await;
    let (key, token) = north.people.create_key(ana.user.id, " echo ").await.unwrap();
    assert!(token.starts_with("tk_") && token.len() > 40);
    assert_eq!((key.label.as_deref(), key.kind, key.expires_at), (Some("echo"), GrantKind::Key, None));
    let known = south.people.recognize(&token).await.unwrap();
    assert_eq!((&known.user, known.grant()), (&ana.user, Some(GrantId(key.id))));
    assert!(south.people.check_again(&known).await.unwrap().is_some());
    assert_eq!(south.people.keys(ana.user.id).await.unwrap(), std::slice::from_ref(&key));
    for label in ["", "  ", "a\nb", &"x".repeat(65)] {
        assert_eq!(code(north.people.create_key(ana.user.id, label).await), Some(Code::InvalidField), "{label}");
    }
    let ben = north.signs_up("Ben").await.0.user.id;
    assert_eq!(code(south.people.revoke(ben, GrantId(key.id)).await), Some(Code::NotFound), "it is not his");
    assert_eq!(code(south.people.revoke(ana.user.id, GrantId(Uuid::from_u128(7))).await), Some(Code::NotFound));
    south.people.revoke(ana.user.id, GrantId(key.id)).await.unwrap();
    assert!(!south.knows(&token).await && !north.knows(&token).await);
    assert!(south.people.keys(ana.user.id).await.unwrap().is_empty());
    assert_eq!(code(south.people.check_again(&known).await), Some(Code::Unauthorized));
}

fn one_second(config: &mut people::PeopleConfig) {
    config.session = Duration::from_secs(1);
}

pub async fn a_session_lives_as_long_as_it_is_used(house: House) {
    let [north, south] = house.nodes_with(one_second).await;
    let (ana, token) = north.signs_up("Ana").await;
    let began = SystemTime::now();
    while began.elapsed().unwrap() < Duration::from_millis(2_500) {
        assert!(south.knows(&token).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let session = south.people.sessions(ana.user.id).await.unwrap().remove(0);
    assert!(session.used_at > session.created_at);
    eventually("it ends when nobody uses it", async || north.people.sessions(ana.user.id).await.unwrap().is_empty())
        .await;
    assert!(!north.knows(&token).await && !south.knows(&token).await);
    assert_eq!(code(south.people.check_again(&ana).await), Some(Code::Unauthorized));
}

pub async fn whoever_is_connected_keeps_a_session_alive(house: House) {
    let [north, south] = house.nodes_with(one_second).await;
    let (ana, token) = north.signs_up("Ana").await;
    let mut connected: Identity = south.people.recognize(&token).await.unwrap();
    let _live = south.people.enter(&connected).unwrap();
    let began = SystemTime::now();
    while began.elapsed().unwrap() < Duration::from_millis(2_500) {
        let check_at = connected.check_at.unwrap();
        assert!(check_at <= SystemTime::now() + Duration::from_secs(1), "before it would expire");
        tokio::time::sleep(check_at.duration_since(SystemTime::now()).unwrap_or_default()).await;
        connected.check_at = south.people.check_again(&connected).await.unwrap();
    }
    assert!(north.knows(&token).await, "others know it too");
    assert_eq!(north.people.sessions(ana.user.id).await.unwrap().len(), 1);
}

pub async fn what_ends_is_told_to_whoever_is_connected_by_it(house: House) {
    let [north, south] = house.nodes().await;
    let mut endings = south.people.endings().unwrap();
    assert!(south.people.endings().is_none(), "they can be taken once");
    let (ana, token) = north.signs_up("Ana").await;
    let (other, other_token) = north.signs_in("Ana").await;
    let here = south.people.recognize(&token).await.unwrap();
    let lives = [&here, &here, &south.people.recognize(&other_token).await.unwrap()]
        .map(|identity| south.people.enter(identity).unwrap());
    // Nobody here came by this one.
    let (third, _) = north.signs_in("Ana").await;
    north.people.revoke(ana.user.id, third.grant().unwrap()).await.unwrap();

    north.people.sign_out(&ana).await.unwrap();
    assert_eq!(Some(next(&mut endings).await), ana.grant());
    assert_eq!(lives.each_ref().map(|live| live.has_ended()), [true, true, false]);
    assert_eq!(code(south.people.enter(&here)), Some(Code::Unauthorized), "whoever is a moment late");
    assert_eq!(code(south.people.check_again(&here).await), Some(Code::Unauthorized));

    assert_eq!(north.people.revoke_all(ana.user.id, None).await, Ok(1));
    assert_eq!(Some(next(&mut endings).await), other.grant());
    assert_eq!(south.metric("tertulia_people_ended_total"), 2.0);
    assert!(north.metric("tertulia_people_revoked_total") >= 3.0);
}

pub async fn whoever_is_disabled_is_out(house: House) {
    let [north, south] = house.nodes().await;
    let mut endings = south.people.endings().unwrap();
    let (ana, token) = north.signs_up("Ana").await;
    let (_, key) = north.people.create_key(ana.user.id, "echo").await.unwrap();
    let here = south.people.recognize(&token).await.unwrap();
    let _live = south.people.enter(&here).unwrap();
    north.people.disable(ana.user.id).await.unwrap();
    assert_eq!(Some(next(&mut endings).await), ana.grant());
    assert!(!south.knows(&token).await && !south.knows(&key).await);
    assert_eq!(code(north.people.create_key(ana.user.id, "echo").await), Some(Code::NotFound));
    north.people.enable(ana.user.id).await.unwrap();
    assert!(!south.knows(&token).await, "what ended does not come back");
    let nobody = proto::UserId(Uuid::from_u128(7));
    assert_eq!(code(north.people.disable(nobody).await), Some(Code::NotFound));
}

pub async fn a_token_is_worth_what_was_made_here(house: House) {
    let [node, _] = house.nodes().await;
    let (_, token) = node.signs_up("Ana").await;
    assert!(token.starts_with("ts_"));
    let mut touched: Vec<String> =
        ["", "ts_", "tk_", "ts", "a.b.c", "g1.a.b", "...", "\0", "ts_\u{fe0f}"].map(str::to_owned).to_vec();
    touched.extend([format!("{token} "), token.replacen("ts_", "tk_", 1), token.to_uppercase(), token[3..].to_owned()]);
    for touched in touched {
        assert!(!node.knows(&touched).await, "{touched:?}");
    }
    assert!(node.knows(&token).await);
}

pub async fn sessions_are_told_with_where_they_come_from(house: House) {
    let [north, south] = house.nodes().await;
    let (ana, _) = north.signs_up("Ana").await;
    let caller = people::Caller { agent: Some("x".repeat(5_000)), ..caller_at("::ffff:198.51.100.9") };
    let (second, _) = south.people.sign_in(&person("Ana"), PASSWORD, &caller).await.unwrap();
    let sessions = south.people.sessions(ana.user.id).await.unwrap();
    assert_eq!(
        sessions.iter().map(|session| GrantId(session.id)).collect::<Vec<_>>(),
        [second.grant().unwrap(), ana.grant().unwrap()]
    );
    assert_eq!(sessions[0].agent.as_deref().map(str::len), Some(200));
    assert_eq!(sessions[0].address.as_deref(), Some("198.51.100.9"));
    assert_eq!((sessions[1].agent.as_deref(), sessions[1].address.as_deref()), (Some("Firefox"), Some("192.0.2.7")));
    assert!(sessions[0].expires_at.unwrap() > sessions[0].created_at);
}
