//! Names that are somebody's for good, and the sessions and keys that let somebody be them.

use std::sync::Arc;
use std::time::Duration;

use proto::{PersonName, Timestamp, UserId};
use store::{
    Account, AccountKind, Accounts, Alteration, By, Ended, Grant, GrantHash, GrantKind, Granted, NewAccount, NewGrant,
    Revoke,
};
use uuid::Uuid;

use crate::house::House;

const MONTH: Option<Duration> = Some(Duration::from_secs(30 * 24 * 3_600));
const MOMENT: Option<Duration> = Some(Duration::from_millis(1));

async fn make(store: &Arc<dyn Accounts>, id: u128, name: &str) -> Option<Account> {
    let key = name.to_lowercase();
    let person = PersonName::parse(name).unwrap();
    let new = NewAccount {
        id: UserId(Uuid::from_u128(id)),
        name: &person,
        key: &key,
        password_hash: Some("first"),
        kind: AccountKind::Person,
        admin: false,
    };
    store.create_account(&new).await.unwrap()
}

fn hash(number: u128) -> GrantHash {
    let mut hash = [7; 32];
    hash[..16].copy_from_slice(&number.to_be_bytes());
    hash
}

fn session(account: UserId, number: u128, life: Option<Duration>) -> NewGrant<'static> {
    NewGrant {
        id: Uuid::from_u128(number),
        account,
        kind: GrantKind::Session,
        hash: hash(number),
        label: None,
        agent: Some("Firefox"),
        address: Some("192.0.2.7"),
        life,
        by_password: Some("first"),
    }
}

fn key(account: UserId, number: u128) -> NewGrant<'static> {
    let session = session(account, number, None);
    NewGrant { kind: GrantKind::Key, label: Some("echo"), agent: None, address: None, by_password: None, ..session }
}

async fn signs_in(store: &Arc<dyn Accounts>, account: &Account, number: u128) -> Grant {
    store.create_grant(&session(account.id, number, MONTH)).await.unwrap().unwrap()
}

/// The grant, if it holds, found both ways.
async fn found(store: &Arc<dyn Accounts>, number: u128) -> Option<Granted> {
    let both = testkit::patience(Duration::from_secs(5), async || {
        let by_hash = store.grants(&[hash(number)], &[]).await.unwrap();
        let by_id = store.grants(&[], &[Uuid::from_u128(number)]).await.unwrap();
        assert!(by_hash.len() <= 1 && by_hash.iter().all(|(found, _)| *found == hash(number)));
        let (by_hash, by_id) = (by_hash.into_iter().next(), by_id.into_iter().next());
        let (by_hash, by_id) = (by_hash.map(|(_, granted)| granted), by_id.map(|(_, granted)| granted));
        let same = by_hash.as_ref().map(|one| &one.grant) == by_id.as_ref().map(|one| &one.grant);
        same.then_some(by_hash) // it may have expired between the two
    });
    both.await.unwrap()
}

async fn holds(store: &Arc<dyn Accounts>, number: u128) -> bool {
    found(store, number).await.is_some()
}

fn numbers(ended: &[Ended]) -> Vec<u128> {
    let mut numbers: Vec<u128> = ended.iter().map(|ended| ended.id.as_u128()).collect();
    assert!(ended.iter().all(|ended| ended.hash == hash(ended.id.as_u128())));
    numbers.sort_unstable();
    numbers
}

fn ids(numbers: &[u128]) -> Vec<Uuid> {
    numbers.iter().map(|number| Uuid::from_u128(*number)).collect()
}

pub async fn a_name_is_given_once(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    assert_eq!((ana.name.as_str(), ana.kind, ana.admin, ana.disabled), ("Ana", AccountKind::Person, false, false));
    assert_eq!(make(&store, 2, "ANA").await, None);
    // Whoever did not hear the answer asks again, and it is theirs.
    assert_eq!(make(&store, 1, "Ana").await.as_ref(), Some(&ana));
    let found = store.account(By::Key("ana")).await.unwrap().unwrap();
    assert_eq!((&found.account, found.password_hash.as_deref()), (&ana, Some("first")));
    assert!(!format!("{found:?}").contains("first"), "a hash is not for logs");
    assert_eq!(store.account(By::Id(ana.id)).await.unwrap(), Some(found));
    assert_eq!(store.account(By::Key("Ana")).await.unwrap(), None);
    assert_eq!(store.account(By::Id(UserId(Uuid::from_u128(2)))).await.unwrap(), None);
}

pub async fn of_many_who_want_a_name_one_gets_it(house: House) {
    let nodes = [house.accounts().await, house.accounts().await, house.accounts().await];
    let mut people = tokio::task::JoinSet::new();
    for id in 1..=24 {
        let store = nodes[id % nodes.len()].clone();
        people.spawn(async move { make(&store, id as u128, "Ana").await.is_some() });
    }
    let made = people.join_all().await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

pub async fn many_names_are_looked_up_at_once(house: House) {
    let store = house.accounts().await;
    for (id, name) in ["ana", "ben", "música", "%", "o'hara"].iter().enumerate() {
        make(&store, id as u128 + 1, name).await.unwrap();
    }
    let mut keys: Vec<String> = (0..3_000).map(|number| format!("guest {number}")).collect();
    keys.extend(["ana", "música", "o'hara", "an", "%%"].map(str::to_owned));
    let mut taken = store.taken(&keys).await.unwrap();
    taken.sort_unstable();
    assert_eq!(taken, ["ana", "música", "o'hara"]);
    assert!(store.taken(&[]).await.unwrap().is_empty());
}

pub async fn accounts_are_listed_by_their_names(house: House) {
    let store = house.accounts().await;
    for (id, name) in ["Carla", "ana", "Émile", "Ben"].iter().enumerate() {
        make(&store, id as u128 + 1, name).await.unwrap();
    }
    let page = async |after: &str, limit| {
        let accounts = store.accounts(after, limit).await.unwrap();
        accounts.into_iter().map(|account| account.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page("", 3).await, ["ana", "Ben", "Carla"]);
    assert_eq!(page("carla", 3).await, ["Émile"]);
    assert!(page("émile", 3).await.is_empty());
}

pub async fn a_grant_lets_its_bearer_be_the_account(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    let made = signs_in(&store, &ana, 10).await;
    let granted = found(&store, 10).await.unwrap();
    assert_eq!((&granted.grant, &granted.account), (&made, &ana));
    assert!(granted.read_at >= made.created_at);
    let life = made.expires_at.unwrap().0 - made.created_at.0;
    assert_eq!((made.used_at, life), (made.created_at, MONTH.unwrap().as_millis() as i64));
    assert_eq!((made.agent.as_deref(), made.address.as_deref()), (Some("Firefox"), Some("192.0.2.7")));

    let echo = store.create_grant(&key(ana.id, 11)).await.unwrap().unwrap();
    assert_eq!((echo.kind, echo.label.as_deref(), echo.expires_at), (GrantKind::Key, Some("echo"), None));
    let later = signs_in(&store, &ana, 12).await;
    let of = async |kind, limit| store.grants_of(ana.id, kind, limit).await.unwrap();
    assert_eq!(of(GrantKind::Session, 10).await, [later.clone(), made]);
    assert_eq!(of(GrantKind::Session, 1).await, [later]);
    assert_eq!(of(GrantKind::Key, 10).await, [echo]);
    assert_eq!(store.holding(&ids(&[10, 11, 13])).await.unwrap().len(), 2);
    assert!(!holds(&store, 13).await);
    // Many at once, by either name.
    let hashes: Vec<GrantHash> = (1..2_500).filter(|number| *number != 11).map(hash).collect();
    let mut together: Vec<u128> = store
        .grants(&hashes, &ids(&[11, 12, 14]))
        .await
        .unwrap()
        .iter()
        .map(|(_, granted)| granted.grant.id.as_u128())
        .collect();
    together.sort_unstable();
    together.dedup();
    assert_eq!(together, [10, 11, 12]);
    assert!(store.grants(&[], &[]).await.unwrap().is_empty());
}

pub async fn a_grant_that_is_not_used_expires(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    store.create_grant(&session(ana.id, 10, MOMENT)).await.unwrap().unwrap();
    let until = async |number| {
        while holds(&store, number).await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    until(10).await;
    // Too late to go on with.
    store.touch_grants(&ids(&[10]), MONTH).await.unwrap();
    assert!(!holds(&store, 10).await);
    assert!(store.grants_of(ana.id, GrantKind::Session, 10).await.unwrap().is_empty());
    assert!(store.holding(&ids(&[10])).await.unwrap().is_empty());

    let made = signs_in(&store, &ana, 11).await;
    store.touch_grants(&[made.id, Uuid::from_u128(77)], Some(Duration::from_secs(60))).await.unwrap();
    let used = found(&store, 11).await.unwrap().grant;
    assert!(used.used_at >= made.used_at && used.expires_at < made.expires_at);
    assert_eq!(used.expires_at.unwrap().0 - used.used_at.0, 60_000);
}

pub async fn revoking_ends_one_or_all_but_one(house: House) {
    let store = house.accounts().await;
    let (ana, ben) = (make(&store, 1, "Ana").await.unwrap(), make(&store, 2, "Ben").await.unwrap());
    for number in 10..14 {
        signs_in(&store, &ana, number).await;
    }
    signs_in(&store, &ben, 20).await;
    let revoke = async |account: &Account, which| numbers(&store.revoke(account.id, which).await.unwrap());
    assert!(revoke(&ben, Revoke::One(Uuid::from_u128(10))).await.is_empty(), "it is not his");
    assert_eq!(revoke(&ana, Revoke::One(Uuid::from_u128(10))).await, [10]);
    assert_eq!(revoke(&ana, Revoke::One(Uuid::from_u128(10))).await, [10], "told again to whoever asks again");
    assert_eq!(revoke(&ana, Revoke::AllBut(Some(Uuid::from_u128(12)))).await, [11, 13]);
    assert_eq!((holds(&store, 10).await, holds(&store, 12).await, holds(&store, 13).await), (false, true, false));
    assert_eq!(revoke(&ana, Revoke::AllBut(None)).await, [12]);
    assert!(holds(&store, 20).await);
}

pub async fn whoever_is_disabled_loses_all_and_gets_nothing(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    signs_in(&store, &ana, 10).await;
    store.create_grant(&key(ana.id, 11)).await.unwrap().unwrap();
    let alter = async |alteration| store.alter_account(ana.id, &alteration).await.unwrap();
    assert_eq!(numbers(&alter(Alteration::Disabled(true)).await.unwrap()), [10, 11]);
    assert!(store.account(By::Id(ana.id)).await.unwrap().unwrap().account.disabled);
    assert_eq!(store.create_grant(&session(ana.id, 12, MONTH)).await.unwrap(), None);
    assert_eq!(store.create_grant(&key(ana.id, 13)).await.unwrap(), None);
    assert_eq!(store.taken(&["ana".into()]).await.unwrap(), ["ana"]);
    assert_eq!(alter(Alteration::Disabled(false)).await, Some(Vec::new()));
    assert!(!holds(&store, 10).await && !holds(&store, 11).await, "what ended does not come back");
    signs_in(&store, &ana, 14).await;
    let nobody = UserId(Uuid::from_u128(9));
    assert_eq!(store.alter_account(nobody, &Alteration::Disabled(true)).await.unwrap(), None);
    assert_eq!(store.create_grant(&key(nobody, 15)).await.unwrap(), None);
}

pub async fn another_password_ends_all_but_the_session_that_asked(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    for number in 10..13 {
        signs_in(&store, &ana, number).await;
    }
    let second = Alteration::Password("second", Some(Uuid::from_u128(11)));
    assert_eq!(numbers(&store.alter_account(ana.id, &second).await.unwrap().unwrap()), [10, 12]);
    assert!(holds(&store, 11).await);
    assert_eq!(store.account(By::Id(ana.id)).await.unwrap().unwrap().password_hash.as_deref(), Some("second"));
    // Whoever was found right by the old one comes too late.
    assert_eq!(store.create_grant(&session(ana.id, 13, MONTH)).await.unwrap(), None);
    let new = NewGrant { by_password: Some("second"), ..session(ana.id, 14, MONTH) };
    assert!(store.create_grant(&new).await.unwrap().is_some());
}

pub async fn who_is_admin_no_more_loses_what_says_so(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    signs_in(&store, &ana, 10).await;
    assert_eq!(store.alter_account(ana.id, &Alteration::Admin(true)).await.unwrap(), Some(Vec::new()));
    assert!(found(&store, 10).await.unwrap().account.admin);
    assert_eq!(numbers(&store.alter_account(ana.id, &Alteration::Admin(false)).await.unwrap().unwrap()), [10]);
}

/// Guards against a grant that slips in while its account is being disabled: it would hold once the account is enabled again.
pub async fn nothing_slips_in_while_an_account_is_disabled(house: House) {
    let nodes = [house.accounts().await, house.accounts().await];
    let ana = make(&nodes[0], 1, "Ana").await.unwrap();
    for round in 0..20_u128 {
        let mut people = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (store, ana) = (nodes[number % 2].clone(), ana.id);
            let number = 100 + round * 10 + number as u128;
            people.spawn(async move { _ = store.create_grant(&session(ana, number, MONTH)).await.unwrap() });
        }
        let store = nodes[round as usize % 2].clone();
        people.spawn(async move { _ = store.alter_account(ana.id, &Alteration::Disabled(true)).await.unwrap() });
        people.join_all().await;
        nodes[0].alter_account(ana.id, &Alteration::Disabled(false)).await.unwrap();
        let holding = nodes[1].grants_of(ana.id, GrantKind::Session, 10).await.unwrap();
        assert!(holding.is_empty(), "round {round}: {holding:?}");
    }
}

pub async fn what_was_revoked_after_a_moment_is_told(house: House) {
    let store = house.accounts().await;
    let (ana, ben) = (make(&store, 1, "Ana").await.unwrap(), make(&store, 2, "Ben").await.unwrap());
    for number in 10..15 {
        signs_in(&store, &ana, number).await;
    }
    signs_in(&store, &ben, 20).await;
    // The far future has seen nothing, and tells the clock.
    let begun = store.revoked_after(Timestamp(i64::MAX), 10).await.unwrap();
    assert!(begun.grants.is_empty() && !begun.more);
    assert!((begun.read_at.0 - Timestamp::now().0).abs() < 60_000);
    let before = Timestamp(begun.read_at.0 - 1);
    assert_eq!(store.revoked_after(before, 10).await.unwrap().grants, []);

    store.revoke(ana.id, Revoke::One(Uuid::from_u128(12))).await.unwrap();
    store.alter_account(ben.id, &Alteration::Disabled(true)).await.unwrap();
    let told = store.revoked_after(before, 10).await.unwrap();
    assert_eq!(told.grants.iter().map(|(id, _)| id.as_u128()).collect::<Vec<_>>(), [12, 20]);
    assert!(told.grants.iter().all(|(_, at)| *at >= before && *at <= told.read_at));
    assert!(!told.more);
    let latest = told.grants[1].1;
    // Asking again for one that was revoked does not make it fresh.
    tokio::time::sleep(Duration::from_millis(2)).await;
    store.revoke(ana.id, Revoke::One(Uuid::from_u128(12))).await.unwrap();
    assert!(store.revoked_after(Timestamp(latest.0 + 1), 10).await.unwrap().grants.is_empty());

    store.revoke(ana.id, Revoke::AllBut(None)).await.unwrap();
    let some = store.revoked_after(before, 4).await.unwrap();
    assert_eq!((some.grants.len(), some.more), (4, true));
    assert_eq!(store.revoked_after(before, 6).await.unwrap().grants.len(), 6);
}

pub async fn what_ended_long_ago_is_forgotten(house: House) {
    let store = house.accounts().await;
    let ana = make(&store, 1, "Ana").await.unwrap();
    for number in 10..14 {
        signs_in(&store, &ana, number).await;
    }
    store.create_grant(&session(ana.id, 14, MOMENT)).await.unwrap().unwrap();
    store.create_grant(&key(ana.id, 15)).await.unwrap().unwrap();
    for number in [10, 11] {
        store.revoke(ana.id, Revoke::One(Uuid::from_u128(number))).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.forget_grants(Duration::from_secs(3_600), 10).await.unwrap(), 0);
    let mut forgotten = 0;
    loop {
        let some = store.forget_grants(Duration::ZERO, 1).await.unwrap();
        assert!(some <= 2, "about as many as were asked for");
        forgotten += some;
        if some == 0 {
            break;
        }
    }
    assert_eq!(forgotten, 3);
    assert!(holds(&store, 12).await && holds(&store, 15).await);
    assert!(store.revoke(ana.id, Revoke::One(Uuid::from_u128(10))).await.unwrap().is_empty());
}
