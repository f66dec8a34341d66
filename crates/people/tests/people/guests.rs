//! People who have a name and nothing else.

use people::Standing;
use proto::{Code, User, UserId};

use crate::house::*;

pub async fn a_guest_comes_back_by_a_token(house: House) {
    let [north, south] = house.nodes().await;
    let ana = north.people.guest(person("Ana")).await.unwrap();
    assert_eq!((ana.standing, ana.check_at, ana.grant()), (Standing::Guest, None, None));
    let token = north.people.guest_token(&ana.user);
    assert_eq!(south.people.recognize(&token).await, Ok(ana.clone()));
    assert_eq!(south.people.check_again(&ana).await, Ok(None));
    assert!(!south.people.enter(&ana).unwrap().has_ended());
    let another = south.people.guest(person("Ana")).await.unwrap();
    assert_ne!(another.user.id, ana.user.id);
    assert!(!south.knows(&format!("{token}x")).await);
}

pub async fn a_guest_cannot_have_an_accounts_name(house: House) {
    let [north, south] = house.nodes().await;
    let before = south.people.guest(person("ana")).await.unwrap();
    let token = south.people.guest_token(&before.user);
    let (ana, _) = north.signs_up("Ana").await;
    for name in ["Ana", "ANA", "A\u{200a}na".replace('\u{200a}', "").as_str(), "Ａｎａ", "ana\u{fe0f}"] {
        assert_eq!(code(south.people.guest(person(name)).await), Some(Code::NameTaken), "{name}");
    }
    let refused = south.people.recognize(&token).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), (Code::NameTaken, None));
    // Nor does it help that the account is disabled.
    north.people.disable(ana.user.id).await.unwrap();
    assert_eq!(code(south.people.guest(person("Ana")).await), Some(Code::NameTaken));
    south.people.guest(person("Anna")).await.unwrap();
    assert_eq!(code(south.people.sign_up(&person("Anna"), PASSWORD, &caller()).await), None, "a guest owns no name");
    assert!(south.metric("tertulia_people_turned_away_total{why=\"name_taken\"}") >= 7.0);
}

pub async fn many_guests_are_looked_up_together(house: House) {
    let [north, south] = house.nodes().await;
    north.signs_up("guest 7").await;
    let mut guests = tokio::task::JoinSet::new();
    for number in 0..2_000 {
        let people = south.people.clone();
        guests.spawn(async move {
            let taken = code(people.guest(person(&format!("Guest {number}"))).await) == Some(Code::NameTaken);
            taken.then_some(number)
        });
    }
    let taken: Vec<i32> = guests.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, [7]);
    // Of which a few are the watch's, and some come from signing up. (The lone node's store has its metrics elsewhere.)
    if let Some(asked) = south.metric_if_any("tertulia_store_people_seconds_count") {
        assert!(asked < 200.0, "{asked} questions for 2,000 guests");
    }
}

pub async fn where_guests_are_not_let_in_accounts_are(house: House) {
    let [node, _] = house.nodes_with(|config| config.guests = false).await;
    let eve = User { id: UserId(uuid::Uuid::from_u128(7)), name: person("Eve") };
    assert_eq!(code(node.people.guest(person("Eve")).await), Some(Code::Unauthorized));
    assert_eq!(code(node.people.recognize(&node.people.guest_token(&eve)).await), Some(Code::Unauthorized));
    let (_, token) = node.signs_up("Ana").await;
    assert!(node.knows(&token).await);
}
