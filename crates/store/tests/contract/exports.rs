//! Exports: kept in pieces, by one attempt at a time, until they are swept.

use proto::TaskId;
use store::{NewTask, export_task};
use uuid::Uuid;

use crate::house::*;

fn an_id() -> TaskId {
    TaskId(Uuid::now_v7())
}

pub async fn an_export_is_there_once_it_is_complete(house: House) {
    let store = house.keeper().await;
    let (lobby, id, content) = (room("lobby"), an_id(), Uuid::now_v7());
    assert_eq!(store.export(&lobby, id).await.unwrap(), None);
    store.begin_export(&lobby, id, content).await.unwrap();
    for (number, lines) in [(0, &b"one\n"[..]), (1, b"two\n"), (1, b"two again\n")] {
        assert!(store.put_export_chunk(&lobby, id, content, number, lines).await.unwrap());
    }
    assert_eq!(store.export(&lobby, id).await.unwrap(), None, "not yet");
    assert!(store.finish_export(&lobby, id, content, 2, 14).await.unwrap());
    let export = store.export(&lobby, id).await.unwrap().unwrap();
    assert_eq!((export.content, export.chunks, export.bytes), (content, 2, 14));
    assert_eq!(store.export_chunk(&lobby, content, 1).await.unwrap(), Some(b"two again\n".to_vec()));
    assert_eq!(store.export_chunk(&lobby, content, 2).await.unwrap(), None);
    assert_eq!(store.export(&room("attic"), id).await.unwrap(), None, "another room's");
    assert!(!store.sweep_export().await.unwrap(), "it is kept for a day");
}

pub async fn an_attempt_that_was_overtaken_writes_no_more(house: House) {
    let store = house.keeper().await;
    let (lobby, id) = (room("lobby"), an_id());
    let [slow, quick] = [1, 2].map(|_| Uuid::now_v7());
    store.begin_export(&lobby, id, slow).await.unwrap();
    assert!(store.put_export_chunk(&lobby, id, slow, 0, b"slow\n").await.unwrap());
    store.begin_export(&lobby, id, quick).await.unwrap();
    assert!(store.put_export_chunk(&lobby, id, quick, 0, b"quick\n").await.unwrap());
    assert!(!store.put_export_chunk(&lobby, id, slow, 1, b"slow\n").await.unwrap());
    assert!(!store.finish_export(&lobby, id, slow, 2, 10).await.unwrap());
    assert_eq!(store.export_chunk(&lobby, slow, 0).await.unwrap(), None, "what it wrote is gone");
    assert!(store.finish_export(&lobby, id, quick, 1, 6).await.unwrap());
    assert_eq!(store.export(&lobby, id).await.unwrap().unwrap().content, quick);
}

pub async fn a_room_is_exported_by_one_task_at_a_time(house: House) {
    let store = house.keeper().await;
    let first = store.add_task(&export_task(&room("lobby"))).await.unwrap().id();
    assert_eq!(store.add_task(&export_task(&room("lobby"))).await.unwrap().id(), first);
    let other: NewTask = export_task(&room("attic"));
    assert_ne!(store.add_task(&other).await.unwrap().id(), first);
    assert_eq!(store.task(first).await.unwrap().unwrap().payload, r#"{"room":"lobby"}"#);
}
