//! Key sets at a URL: fetched when they must be, and no more often.

use std::time::Duration;

use people::{JwtConfig, KeySetPace, Voucher, Vouchers};
use proto::Code;
use serde_json::json;
use testkit::patience;

use crate::application::{Application, ana};
use crate::publisher::{Publisher, client};
use crate::refused;

/// Never by itself.
const SLOW: KeySetPace = KeySetPace { refresh: Duration::from_secs(3600), pause: Duration::from_secs(3600) };
/// Whenever somebody asks.
const QUICK: KeySetPace = KeySetPace { refresh: Duration::from_secs(3600), pause: Duration::ZERO };

fn vouchers(publisher: &Publisher, pace: KeySetPace) -> Vouchers {
    let config = JwtConfig { jwks_url: Some(publisher.url.clone()), pace, ..JwtConfig::default() };
    Vouchers::new(config, &client()).unwrap().unwrap()
}

fn token(application: &Application, kid: &str) -> String {
    application.token_with(&json!({"alg": application.algorithm(), "kid": kid}), &ana())
}

#[tokio::test]
async fn keys_of_every_kind_are_found_among_others_that_nobody_knows() {
    let applications = [("r", Application::rs256()), ("e", Application::es256()), ("d", Application::eddsa())];
    let mut keys: Vec<_> = applications.iter().map(|(kid, application)| application.jwk(kid)).collect();
    let encrypting = Application::rs256();
    let mut jwk = encrypting.jwk("enc");
    jwk["use"] = "enc".into();
    keys.push(jwk);
    let mut jwk = Application::rs256().jwk("pss");
    jwk["alg"] = "PS256".into();
    keys.push(jwk);
    let secret = Application::with_secret("a secret that everybody can read in the set");
    keys.push(secret.jwk("oct"));
    keys.extend([
        json!({"kty": "EC", "crv": "secp256k1", "x": "", "y": ""}),
        json!({"kty": "new"}),
        json!(7),
        json!({}),
    ]);
    let publisher = Publisher::of(&keys).await;
    let vouchers = vouchers(&publisher, SLOW);
    for (kid, application) in &applications {
        assert!(vouchers.recognize(&token(application, kid)).await.is_ok(), "{kid}");
        assert!(vouchers.recognize(&application.token(&ana())).await.is_ok(), "{kid}");
    }
    refused(&vouchers, &token(&encrypting, "enc")).await;
    refused(&vouchers, &token(&secret, "oct")).await;
    refused(&vouchers, &secret.token(&ana())).await;
    assert_eq!(publisher.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (Application::es256(), Application::eddsa());
    let publisher = Publisher::of(&[old.jwk("old")]).await;
    let vouchers = vouchers(&publisher, QUICK);
    assert!(vouchers.recognize(&token(&old, "old")).await.is_ok());
    publisher.publish(&[new.jwk("new")]);
    // Nobody has asked yet.
    assert!(vouchers.recognize(&token(&old, "old")).await.is_ok());
    assert_eq!(publisher.fetches(), 1);
    assert!(vouchers.recognize(&token(&new, "new")).await.is_ok());
    refused(&vouchers, &token(&old, "old")).await;
}

#[tokio::test]
async fn however_many_unknown_keys_are_named_the_set_is_fetched_once_in_a_pause() {
    let application = Application::es256();
    let publisher = Publisher::of(&[application.jwk("a")]).await;
    let vouchers = vouchers(&publisher, SLOW);
    let storm = (0..200).map(|number| {
        let (vouchers, token) = (vouchers.clone(), token(&application, &format!("unknown-{number}")));
        tokio::spawn(async move { refused(&vouchers, &token).await })
    });
    for one in storm.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert!(vouchers.recognize(&token(&application, "a")).await.is_ok());
    assert_eq!(publisher.fetches(), 1);
}

#[tokio::test]
async fn the_last_good_set_is_kept_while_the_url_is_away() {
    let (old, new) = (Application::es256(), Application::es256());
    let publisher = Publisher::of(&[old.jwk("old")]).await;
    let vouchers = vouchers(&publisher, QUICK);
    assert!(vouchers.recognize(&token(&old, "old")).await.is_ok());
    for (status, body) in [
        ("503 Service Unavailable", ""),
        ("302 Found\r\nLocation: http://169.254.169.254/", ""),
        ("404 Not Found", "{\"keys\":[]}"),
        ("200 OK", "{\"keys\":[]}"),
        ("200 OK", "<html>"),
    ] {
        publisher.say(status, body);
        // Whoever has another key is told to come back, not that it will never do.
        let refusal = vouchers.recognize(&token(&new, "new")).await.expect_err(status);
        assert!(refusal.code == Code::Unavailable && refusal.retry_after_ms.is_some(), "{refusal}");
        assert!(vouchers.recognize(&token(&old, "old")).await.is_ok(), "{status}");
    }
    publisher.publish(&[new.jwk("new")]);
    let back = async || vouchers.recognize(&token(&new, "new")).await.ok();
    patience(Duration::from_secs(10), back).await.expect("it is back");
}

#[tokio::test]
async fn a_set_is_fetched_again_though_nobody_asks_and_no_more_when_nobody_could() {
    let (old, new) = (Application::es256(), Application::es256());
    let publisher = Publisher::of(&[old.jwk("old")]).await;
    let often = KeySetPace { refresh: Duration::from_millis(20), pause: Duration::ZERO };
    let vouchers = vouchers(&publisher, often);
    assert!(vouchers.recognize(&token(&old, "old")).await.is_ok());
    publisher.publish(&[new.jwk("new")]);
    let gone = async || vouchers.recognize(&token(&old, "old")).await.err();
    patience(Duration::from_secs(10), gone).await.expect("a key that is no longer published is not ours");
    drop(vouchers);
    let ended = async || {
        let before = publisher.fetches();
        tokio::time::sleep(Duration::from_millis(100)).await;
        (publisher.fetches() == before).then_some(())
    };
    patience(Duration::from_secs(10), ended).await.expect("the fetching ends with the last who needs it");
}
