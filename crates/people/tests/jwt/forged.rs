//! Tokens that somebody made who has no key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use people::Voucher;
use serde_json::json;

use crate::application::{Application, ana, part};
use crate::{SECRET, by_keys, by_secret, refused, vouchers};

#[tokio::test]
async fn a_token_without_a_signature_is_nobodys() {
    let vouchers = vouchers(by_secret());
    let good = Application::with_secret(SECRET).token(&ana());
    let (signed, _) = good.rsplit_once('.').unwrap();
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = format!("{}.{}", part(&json!({"typ": "JWT", "alg": algorithm})), part(&ana()));
        refused(&vouchers, &format!("{unsigned}.")).await;
        refused(&vouchers, &unsigned).await;
        refused(&vouchers, &format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode("none"))).await;
    }
    for cut in [
        signed.to_owned(),
        format!("{signed}."),
        format!("{signed}.AAAA"),
        format!(".{signed}"),
        format!("{good}.{good}"),
    ] {
        refused(&vouchers, &cut).await;
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for application in [Application::rs256(), Application::es256(), Application::eddsa()] {
        let vouchers = vouchers(by_keys(application.pem.clone()));
        let lines = application.pem.replace('\n', "");
        let base64 =
            lines.trim_start_matches("-----BEGIN PUBLIC KEY-----").trim_end_matches("-----END PUBLIC KEY-----");
        for secret in [application.pem.as_str(), application.pem.trim_end(), base64, ""] {
            refused(&vouchers, &Application::with_secret(secret).token(&ana())).await;
        }
        assert!(vouchers.recognize(&application.token(&ana())).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_cannot_choose_its_algorithm() {
    let application = Application::rs256();
    let vouchers = vouchers(by_keys(application.pem.clone()));
    for algorithm in ["HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256", "RS256 "] {
        refused(&vouchers, &application.token_with(&json!({ "alg": algorithm }), &ana())).await;
    }
    for header in [json!({}), json!({"alg": null}), json!({"alg": ["RS256"]}), json!([]), json!("RS256")] {
        refused(&vouchers, &application.token_with(&header, &ana())).await;
    }
    // Nor may it bring its key along, or say where one is.
    let thief = Application::rs256();
    for header in [
        json!({"alg": "RS256", "jwk": thief.jwk("a")}),
        json!({"alg": "RS256", "jku": "https://thief.example/"}),
        json!({"alg": "RS256", "x5u": "https://thief.example/"}),
        json!({"alg": "RS256", "x5c": ["AAAA"]}),
    ] {
        refused(&vouchers, &thief.token_with(&header, &ana())).await;
    }
}

#[tokio::test]
async fn a_token_that_was_touched_is_worth_nothing() {
    for application in [Application::with_secret(SECRET), Application::es256(), Application::eddsa()] {
        let config = if application.pem.is_empty() { by_secret() } else { by_keys(application.pem.clone()) };
        let vouchers = vouchers(config);
        let good = application.token(&ana());
        for (index, _) in good.char_indices() {
            let mut touched = good.clone().into_bytes();
            touched[index] = if touched[index] == b'A' { b'B' } else { b'A' };
            refused(&vouchers, &String::from_utf8(touched).unwrap()).await;
        }
        let other = application.token(&json!({"sub": "ben", "exp": 4_000_000_000_u64}));
        let [header, claims, _] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let (_, signature) = other.rsplit_once('.').unwrap();
        refused(&vouchers, &format!("{header}.{claims}.{signature}")).await;
    }
}

#[tokio::test]
async fn a_key_id_is_compared_and_nothing_else() {
    let application = Application::es256();
    let named = json!({"keys": [application.jwk("a"), Application::es256().jwk("b")]}).to_string();
    let vouchers = vouchers(by_keys(named));
    let with_kid = |kid: &str| application.token_with(&json!({"alg": "ES256", "kid": kid}), &ana());
    assert!(vouchers.recognize(&with_kid("a")).await.is_ok());
    // It is tried with all where it names none.
    assert!(vouchers.recognize(&application.token(&ana())).await.is_ok());
    for kid in ["b", "c", "", "A", "a ", "../../../dev/null", "a' OR '1'='1", "a\u{0}", "http://thief.example/", "*"] {
        refused(&vouchers, &with_kid(kid)).await;
    }
    for kid in [json!(["a"]), json!({"a": 1}), json!(1)] {
        refused(&vouchers, &application.token_with(&json!({"alg": "ES256", "kid": kid}), &ana())).await;
    }
}

#[tokio::test]
async fn what_must_be_understood_and_is_not_is_refused() {
    let application = Application::with_secret(SECRET);
    let vouchers = vouchers(by_secret());
    for header in [
        json!({"alg": "HS256", "crit": ["exp"], "exp": 1}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "zip": "DEF"}),
        json!({"alg": "HS256", "enc": "A128GCM"}),
    ] {
        refused(&vouchers, &application.token_with(&header, &ana())).await;
    }
}

#[tokio::test]
async fn a_huge_token_is_not_even_read() {
    let application = Application::with_secret(SECRET);
    let vouchers = vouchers(by_secret());
    let mut claims = ana();
    claims["more"] = "a".repeat(4000).into();
    assert!(vouchers.recognize(&application.token(&claims)).await.is_ok());
    claims["more"] = "a".repeat(8000).into();
    assert_eq!(refused(&vouchers, &application.token(&claims)).await, "the token is too long");
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        &"[".repeat(5000),
        &format!("{}.e30.", URL_SAFE_NO_PAD.encode("[".repeat(5000))),
    ] {
        refused(&vouchers, bad).await;
    }
}
