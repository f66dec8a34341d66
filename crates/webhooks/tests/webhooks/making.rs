//! Webhooks are made with addresses that can be called, and incoming ones are known by their secret alone.

use proto::{Code, UserId, WebhookId};
use uuid::Uuid;
use webhooks::{Direction, Events, HOOKS_MAX, Webhook};

use crate::house::{House, new_hook, room};

#[tokio::test]
async fn an_address_that_will_not_be_called_is_refused_at_once() {
    let house = House::new("").await;
    for url in [
        "ftp://a.example/",
        "http://127.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://u:p@a.example/",
        "x",
    ] {
        let refusal = house.hooks().add(new_hook(Direction::Out, Some(url))).await.expect_err(url);
        assert_eq!(refusal.code, Code::InvalidField, "{url}");
    }
    assert!(house.hooks().add(new_hook(Direction::Out, None)).await.is_err());
    assert!(house.hooks().add(new_hook(Direction::In, Some("https://a.example/"))).await.is_err());
    let (hook, _) = house.hooks().add(new_hook(Direction::Out, Some("https://a.example/x"))).await.unwrap();
    let changed = Webhook { url: Some("https://10.0.0.1/".into()), ..hook.clone() };
    assert_eq!(house.hooks().change(changed).await.unwrap_err().code, Code::InvalidField);
    let changed = Webhook { events: Events::EDIT, name: "Other".into(), ..hook };
    assert_eq!(house.hooks().change(changed).await.unwrap().name, "Other");
}

#[tokio::test]
async fn a_room_has_so_many_webhooks_and_no_more() {
    let house = House::new("").await;
    for _ in 0..HOOKS_MAX {
        house.hooks().add(new_hook(Direction::In, None)).await.unwrap();
    }
    assert_eq!(house.hooks().add(new_hook(Direction::In, None)).await.unwrap_err().code, Code::Forbidden);
    assert_eq!(house.hooks().list(Some(&room()), None, 100).await.unwrap().len(), HOOKS_MAX);
}

#[tokio::test]
async fn who_comes_by_an_incoming_webhook_knows_its_secret() {
    let house = House::new("").await;
    let (hook, secret) = house.hooks().add(new_hook(Direction::In, None)).await.unwrap();
    let (out, signing) = house.hooks().add(new_hook(Direction::Out, Some("https://a.example/"))).await.unwrap();
    let speaker = house.hooks().speaker(hook.id, &secret.0).await.unwrap();
    assert_eq!((speaker.user.id, speaker.user.name.as_str(), speaker.room), (UserId(hook.id.0), "Herald", room()));
    let kept = house.store.webhook(hook.id).await.unwrap().unwrap().secret;
    assert!(!kept.contains(&secret.0) && !format!("{secret:?}").contains(&secret.0));
    let nobody = WebhookId(Uuid::from_u128(7));
    for (id, secret) in [(hook.id, ""), (hook.id, "x"), (hook.id, &*kept), (nobody, &*secret.0), (out.id, &*signing.0)]
    {
        assert_eq!(house.hooks().speaker(id, secret).await.unwrap_err().code, Code::NotFound);
    }
    let disabled = Webhook { disabled_at: Some(hook.created_at), ..hook.clone() };
    house.hooks().change(disabled).await.unwrap();
    assert_eq!(house.hooks().speaker(hook.id, &secret.0).await.unwrap_err().code, Code::NotFound);
    house.hooks().change(Webhook { disabled_at: None, ..hook.clone() }).await.unwrap();
    assert!(house.hooks().speaker(hook.id, &secret.0).await.is_ok());
}
