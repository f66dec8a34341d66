//! Tokens of embedding applications: good ones are recognized, and all that attackers try with them is not.

// Helpers fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod application;
mod forged;
mod publisher;
mod sets;

use std::time::{Duration, SystemTime};

use people::{Identity, JwtConfig, LEEWAY, Standing, Voucher, Vouchers};
use proto::{Code, Refusal};
use serde_json::{Value, json};

use crate::application::{Application, ana, made, seconds};

const SECRET: &str = "a secret of thirty-two characters";

/// Those who vouch by this configuration.
fn vouchers(config: JwtConfig) -> Vouchers {
    Vouchers::new(config, &publisher::client()).unwrap().unwrap()
}

fn by_secret() -> JwtConfig {
    JwtConfig { secret: Some(SECRET.into()), ..JwtConfig::default() }
}

fn by_keys(pem: impl Into<Vec<u8>>) -> JwtConfig {
    JwtConfig { keys: Some(pem.into()), ..JwtConfig::default() }
}

async fn refused(vouchers: &Vouchers, token: &str) -> String {
    let refusal = vouchers.recognize(token).await.expect_err(token);
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::Unauthorized, None), "{token}");
    refusal.detail
}

/// With the claims of Ana changed so: null takes one away.
async fn with_claims(config: JwtConfig, changes: &Value) -> Result<Identity, Refusal> {
    let mut claims = ana();
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    vouchers(config).recognize(&Application::with_secret(SECRET).token(&claims)).await
}

#[tokio::test]
async fn each_algorithm_is_recognized_with_its_key() {
    let applications = [
        (by_secret(), Application::with_secret(SECRET)),
        by_its_pem(Application::rs256()),
        by_its_pem(Application::es256()),
        by_its_pem(Application::eddsa()),
    ];
    for (config, application) in applications {
        let found = vouchers(config)
            .recognize(&application.token(&ana()))
            .await
            .unwrap_or_else(|refusal| panic!("{}: {refusal}", application.algorithm()));
        assert_eq!((found.user.name.as_str(), found.standing), ("Ana", Standing::Vouched));
    }
}

fn by_its_pem(application: Application) -> (JwtConfig, Application) {
    (by_keys(application.pem.clone()), application)
}

#[tokio::test]
async fn one_file_may_hold_several_keys_and_a_secret_stands_beside_it() {
    let (one, two, three) = (Application::rs256(), Application::es256(), Application::es256());
    let config = JwtConfig { secret: Some(SECRET.into()), ..by_keys([&*one.pem, &*two.pem, &*three.pem].concat()) };
    let vouchers = vouchers(config);
    for application in [&one, &two, &three, &Application::with_secret(SECRET)] {
        assert!(vouchers.recognize(&application.token(&ana())).await.is_ok());
    }
    refused(&vouchers, &Application::es256().token(&ana())).await;
}

#[tokio::test]
async fn the_same_subject_of_the_same_issuer_is_the_same_person_on_every_node() {
    let id = async |changes: Value| with_claims(by_secret(), &changes).await.unwrap().user.id;
    let ana = id(json!({"iss": "https://a.example"})).await;
    let later = json!({"iss": "https://a.example", "exp": seconds(7200), "name": "Ana B."});
    assert_eq!(id(later).await, ana);
    for other in [json!({"iss": "https://b.example"}), json!({}), json!({"iss": "https://a.example", "sub": "ana-18"})]
    {
        assert_ne!(id(other).await, ana);
    }
    // The ids of two versions of the program agree.
    assert_eq!(ana.to_string(), "bc262522-7ae1-537e-bca5-50731405e0be");
}

#[tokio::test]
async fn people_are_called_what_can_be_shown_of_their_names() {
    for (claims, name) in [
        (json!({"name": "Ana", "preferred_username": "ana"}), "Ana"),
        (json!({"name": null, "preferred_username": "ana"}), "ana"),
        (json!({"name": null}), "ana-17"),
        (json!({"name": "  ", "preferred_username": "ana"}), "ana"),
        (json!({"name": "An\u{202e}a", "preferred_username": "a".repeat(65)}), "ana-17"),
    ] {
        assert_eq!(with_claims(by_secret(), &claims).await.unwrap().user.name.as_str(), name);
    }
    for unfit in [json!({"name": null, "sub": "a\nb"}), json!({"sub": ""}), json!({"sub": "a".repeat(256)})] {
        assert_eq!(with_claims(by_secret(), &unfit).await.unwrap_err().code, Code::Unauthorized);
    }
}

#[tokio::test]
async fn a_token_holds_until_it_expires_and_a_little_longer() {
    let exp = seconds(100);
    let found = with_claims(by_secret(), &json!({ "exp": exp })).await.unwrap();
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(exp.try_into().unwrap());
    assert_eq!(found.check_at, Some(expires + LEEWAY));
    for good in [
        json!({"exp": seconds(-10)}),
        json!({"nbf": seconds(10)}),
        json!({"nbf": seconds(-10)}),
        json!({"exp": 4e9 + 0.5}),
    ] {
        assert!(with_claims(by_secret(), &good).await.is_ok(), "{good}");
    }
    for (bad, why) in [
        (json!({"exp": seconds(-60)}), "has expired"),
        (json!({"exp": 0}), "has expired"),
        (json!({"exp": null}), "`exp`"),
        (json!({"exp": "tomorrow"}), "`exp`"),
        (json!({"exp": -1}), ""),
        (json!({"exp": u64::MAX}), "is no time"),
        (json!({"exp": 1e300}), ""),
        (json!({"exp": [seconds(100)]}), "`exp`"),
        (json!({"nbf": seconds(60)}), "not valid yet"),
        (json!({"nbf": "yesterday"}), "claims"),
        (json!({"sub": null}), "`sub`"),
        (json!({"sub": 17}), "`sub`"),
    ] {
        let refusal = with_claims(by_secret(), &bad).await.expect_err(&bad.to_string());
        assert!(refusal.code == Code::Unauthorized && refusal.detail.contains(why), "{bad}: {refusal}");
    }
}

#[tokio::test]
async fn whom_it_is_from_and_for_must_be_as_configured() {
    let config = || JwtConfig {
        issuers: vec!["https://a.example".into(), "https://b.example".into()],
        audiences: vec!["chat".into()],
        ..by_secret()
    };
    for good in [
        json!({"iss": "https://a.example", "aud": "chat"}),
        json!({"iss": "https://b.example", "aud": ["shop", "chat"]}),
    ] {
        assert!(with_claims(config(), &good).await.is_ok(), "{good}");
    }
    for bad in [
        json!({}),
        json!({"iss": "https://a.example"}),
        json!({"aud": "chat"}),
        json!({"iss": "https://a.example", "aud": "shop"}),
        json!({"iss": "https://a.example", "aud": []}),
        json!({"iss": "https://a.example", "aud": {"chat": true}}),
        json!({"iss": "https://a.example", "aud": "Chat"}),
        json!({"iss": "https://c.example", "aud": "chat"}),
        json!({"iss": "https://a.example/", "aud": "chat"}),
        json!({"iss": ["https://a.example"], "aud": "chat"}),
    ] {
        assert_eq!(with_claims(config(), &bad).await.expect_err(&bad.to_string()).code, Code::Unauthorized);
    }
    // What is for somebody in particular is not for a chat that has no name.
    assert!(with_claims(by_secret(), &json!({"aud": "chat"})).await.is_err());
}

#[tokio::test]
async fn unfit_keys_are_told_at_the_start() {
    let weak = made(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]).1;
    let other_curve = made(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]).1;
    let good = Application::eddsa().pem;
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n";
    let config = |keys: &str| by_keys(keys);
    let short = JwtConfig { secret: Some("short".into()), ..JwtConfig::default() };
    let url = |url: &str| JwtConfig { jwks_url: Some(url.into()), ..JwtConfig::default() };
    for (config, why) in [
        (short, "at least 32 bytes"),
        (config(&weak), "2048"),
        (config(&other_curve), "neither RSA nor P-256"),
        (config(private), "only public keys"),
        (config(&format!("{good}{private}")), "only public keys"),
        (config(""), "no key there"),
        (config("keys"), "no key there"),
        (config(&good.replace("END", "EN")), "neither PEM"),
        (config(&good.repeat(33)), "more than 32"),
        (config("{}"), "not a key set"),
        (config("{\"keys\": []}"), "no key there"),
        (config(&json!({"keys": [Application::with_secret(SECRET).jwk("a")]}).to_string()), "no key there"),
        (url("ftp://a.example/"), "neither http nor https"),
        (url("https://10.0.0.1/"), "not called from here"),
    ] {
        let error = Vouchers::new(config, &publisher::client()).err().expect(why);
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(Vouchers::new(JwtConfig::default(), &publisher::client()).unwrap().is_none());
}
