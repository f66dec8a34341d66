//! Webhooks, and the tasks that messages cause in their own transaction.

use std::sync::Arc;

use proto::{Timestamp, UserId, WebhookId};
use store::{Direction, Events, Keeper, WEBHOOK_TASK, Webhook, Which};
use uuid::Uuid;

use crate::house::*;

pub fn hook(to: &str, number: u128, events: Events) -> Webhook {
    Webhook {
        room: room(to),
        id: WebhookId(Uuid::from_u128(number)),
        direction: Direction::Out,
        name: "the bell".into(),
        url: Some("https://example.org/bell".into()),
        secret: "s3cret".into(),
        events,
        created_by: UserId(Uuid::from_u128(1)),
        created_at: Timestamp(0),
        disabled_at: None,
    }
}

/// What is to be told, in the order of rooms, numbers and webhooks: webhook, room, rev, event.
async fn told(store: &Arc<dyn Keeper>) -> Vec<(u128, String, u64, String)> {
    let tasks = store.list_tasks(Which::Undone, None, 10_000).await.unwrap();
    let mut told: Vec<_> = tasks
        .iter()
        .map(|task| {
            assert_eq!((task.kind.as_str(), task.attempts, task.max_attempts), (WEBHOOK_TASK, 0, None));
            assert!(task.created_at == task.due_at && task.key.is_none());
            let text = |name: &str| {
                let (_, rest) = task.payload.split_once(&format!("\"{name}\"")).unwrap();
                let value = rest.trim_start_matches([' ', ':']).split([',', '}']).next().unwrap();
                value.trim().trim_matches('"').to_owned()
            };
            let id: Uuid = text("webhook").parse().unwrap();
            assert!(text("seq").parse::<u64>().unwrap() <= text("rev").parse::<u64>().unwrap());
            (id.as_u128(), text("room"), text("rev").parse().unwrap(), text("event"))
        })
        .collect();
    told.sort_by(|one, other| (&one.1, one.2, one.0).cmp(&(&other.1, other.2, other.0)));
    told
}

fn expected(all: &[(u128, &str, u64, &str)]) -> Vec<(u128, String, u64, String)> {
    all.iter().map(|(id, room, rev, event)| (*id, (*room).to_owned(), *rev, (*event).to_owned())).collect()
}

pub async fn a_webhook_is_kept_changed_and_forgotten(house: House) {
    let store = house.keeper().await;
    let given = hook("lobby", 7, Events::ALL);
    assert!(store.add_webhook(&given).await.unwrap());
    assert!(!store.add_webhook(&given).await.unwrap());
    let kept = store.webhook(given.id).await.unwrap().unwrap();
    assert!(kept.created_at > Timestamp(1_000_000_000_000));
    assert_eq!(kept, Webhook { created_at: kept.created_at, ..given.clone() });

    let changed = Webhook {
        name: "a drum".into(),
        url: None,
        secret: "another".into(),
        events: Events::EDIT,
        disabled_at: Some(Timestamp(0)),
        ..kept.clone()
    };
    assert!(store.change_webhook(&changed).await.unwrap());
    let found = store.webhook(given.id).await.unwrap().unwrap();
    assert!(found.disabled_at > Some(Timestamp(1_000_000_000_000)));
    assert_eq!(found, Webhook { disabled_at: found.disabled_at, ..changed.clone() });
    // Since when stays, however often it is said.
    assert!(store.change_webhook(&Webhook { disabled_at: Some(Timestamp(9)), ..changed.clone() }).await.unwrap());
    assert_eq!(store.webhook(given.id).await.unwrap(), Some(found));
    assert!(store.change_webhook(&Webhook { disabled_at: None, ..changed.clone() }).await.unwrap());
    assert_eq!(store.webhook(given.id).await.unwrap().unwrap().disabled_at, None);
    assert!(!store.change_webhook(&Webhook { room: room("attic"), ..changed }).await.unwrap());

    assert!(store.remove_webhook(given.id).await.unwrap());
    assert!(!store.remove_webhook(given.id).await.unwrap());
    assert_eq!(store.webhook(given.id).await.unwrap(), None);
    let inward = Webhook { direction: Direction::In, url: None, events: Events::NONE, ..hook("lobby", 8, Events::ALL) };
    assert!(store.add_webhook(&inward).await.unwrap());
    assert_eq!(store.webhook(inward.id).await.unwrap().unwrap().direction, Direction::In);
}

pub async fn webhooks_are_listed_by_room_in_pages(house: House) {
    let store = house.keeper().await;
    for (to, number) in [("b", 3), ("a", 2), ("b", 1), ("b", 2), ("A", 9)] {
        assert!(store.add_webhook(&hook(to, number, Events::ALL)).await.unwrap());
    }
    let shown = |page: &[Webhook]| -> Vec<(String, u128)> {
        page.iter().map(|hook| (hook.room.as_str().to_owned(), hook.id.0.as_u128())).collect()
    };
    let all = store.list_webhooks(None, None, 9).await.unwrap();
    let order = [("A", 9), ("a", 2), ("b", 1), ("b", 2), ("b", 3)].map(|(room, id)| (room.to_owned(), id));
    assert_eq!(shown(&all), order);
    let page = store.list_webhooks(None, Some((&all[1].room, all[1].id)), 2).await.unwrap();
    assert_eq!(shown(&page), order[2..4]);
    let of_room = store.list_webhooks(Some(&room("b")), None, 2).await.unwrap();
    assert_eq!(shown(&of_room), order[2..4]);
    let page = store.list_webhooks(Some(&room("b")), Some((&of_room[1].room, of_room[1].id)), 2).await.unwrap();
    assert_eq!(shown(&page), order[4..]);
    assert_eq!(store.list_webhooks(Some(&room("nowhere")), None, 9).await.unwrap(), []);
}

pub async fn a_message_causes_a_task_for_each_webhook_that_wants_it(house: House) {
    let store = house.keeper().await;
    store.append(0, &[post("lobby", 1, "before anybody listened")]).await.unwrap();
    for (number, events) in [(1, Events::ALL), (2, Events::MESSAGE), (3, Events::EDIT)] {
        store.add_webhook(&hook("lobby", number, events)).await.unwrap();
    }
    let inward = Webhook { direction: Direction::In, ..hook("lobby", 4, Events::ALL) };
    store.add_webhook(&inward).await.unwrap();
    store.append(0, &[post("lobby", 2, "one"), post("attic", 3, "elsewhere"), post("lobby", 4, "two")]).await.unwrap();
    let wanted = [(1, 2), (2, 2), (1, 3), (2, 3)].map(|(id, rev)| (id, "lobby", rev, "message"));
    assert_eq!(told(&store).await, expected(&wanted));
}

pub async fn what_is_known_already_causes_nothing_more(house: House) {
    let store = house.keeper().await;
    store.add_webhook(&hook("lobby", 1, Events::ALL)).await.unwrap();
    store.append(0, &[post("lobby", 1, "one")]).await.unwrap();
    store.append(0, &[post("lobby", 1, "one"), post("lobby", 1_000, "two")]).await.unwrap();
    store.append(0, &[post("lobby", 1, "another")]).await.unwrap();
    store.amend(0, &[edit("lobby", 1, "one"), edit("lobby", 9, "x")]).await.unwrap();
    assert_eq!(told(&store).await, expected(&[(1, "lobby", 1, "message"), (1, "lobby", 2, "message")]));
}

pub async fn edits_and_deletions_cause_their_own(house: House) {
    let store = house.keeper().await;
    store.append(0, &[post("lobby", 1, "one"), post("música", 2, "one")]).await.unwrap();
    store.add_webhook(&hook("lobby", 1, Events::EDIT)).await.unwrap();
    store.add_webhook(&hook("lobby", 2, Events::DELETE)).await.unwrap();
    store.add_webhook(&hook("música", 3, Events::ALL)).await.unwrap();
    let changes = [
        edit("lobby", 1, "uno"),
        edit("música", 1, "uno"),
        edit("lobby", 1, "uno"),
        deletion("lobby", 1),
        deletion("lobby", 1),
        deletion("música", 1),
    ];
    store.amend(0, &changes).await.unwrap();
    let wanted =
        [(1, "lobby", 2, "edit"), (2, "lobby", 3, "delete"), (3, "música", 2, "edit"), (3, "música", 3, "delete")];
    assert_eq!(told(&store).await, expected(&wanted));
}

pub async fn a_disabled_webhook_hears_nothing(house: House) {
    let store = house.keeper().await;
    let off = Webhook { disabled_at: Some(Timestamp(0)), ..hook("lobby", 1, Events::ALL) };
    store.add_webhook(&off).await.unwrap();
    store.append(0, &[post("lobby", 1, "one")]).await.unwrap();
    store.amend(0, &[edit("lobby", 1, "uno")]).await.unwrap();
    assert_eq!(told(&store).await, []);
    store.change_webhook(&Webhook { disabled_at: None, ..off }).await.unwrap();
    store.append(0, &[post("lobby", 2, "two")]).await.unwrap();
    assert_eq!(told(&store).await, expected(&[(1, "lobby", 3, "message")]));
}

pub async fn many_rooms_in_one_batch_tell_their_own(house: House) {
    let store = house.keeper().await;
    for number in 1..=5 {
        store.add_webhook(&hook(&format!("room-{}", number * 10), number, Events::ALL)).await.unwrap();
    }
    let batch: Vec<_> = (0..1_200).map(|number| post(&format!("room-{}", number % 100), number, "hola")).collect();
    store.append(0, &batch).await.unwrap();
    let told = told(&store).await;
    assert_eq!(told.len(), 5 * 12);
    for number in 1..=5u128 {
        let of_room: Vec<u64> = told.iter().filter(|(id, ..)| *id == number).map(|(_, _, rev, _)| *rev).collect();
        assert_eq!(of_room, (1..=12).collect::<Vec<_>>());
    }
}

pub async fn a_batch_that_fails_causes_nothing(house: House) {
    let store = house.keeper().await;
    store.add_webhook(&hook("lobby", 1, Events::ALL)).await.unwrap();
    // No two of one call may share an id: the database refuses, and all of the batch with it.
    let twice = [post("lobby", 1, "one"), post("lobby", 1, "one")];
    assert!(store.append(0, &twice).await.is_err());
    assert_eq!(told(&store).await, []);
    assert_eq!(store.heads(&[room("lobby")]).await.unwrap().heads, [0]);
}
