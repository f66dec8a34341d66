//! Accounts, sessions and API keys.

use serde_json::json;
use testkit::node::Node;

use crate::asking::{PASSWORD, Somebody, ask, guest, node_with_admin, options, signed_in, signed_up};

#[tokio::test]
async fn somebody_signs_up_in_and_out() {
    let node = Node::start(options()).await;
    let ana = signed_up(&node, "Ana").await;
    let me = ana.asks("GET /accounts/me", None).await.is(200);
    assert_eq!((&me["name"], &me["kind"], &me["admin"]), (&"Ana".into(), &"person".into(), &false.into()));
    let body = json!({ "name": "ANA", "password": PASSWORD }).to_string();
    ask(&node, "POST /accounts", &[], Some(&body)).await.refused(409, "name_taken");
    ask(&node, "POST /guests", &[], Some(r#"{"name":"ana"}"#)).await.refused(409, "name_taken");
    for (name, password) in [("Ana", "another password"), ("Nobody", PASSWORD)] {
        let body = json!({ "name": name, "password": password }).to_string();
        let problem = ask(&node, "POST /sessions", &[], Some(&body)).await.refused(401, "unauthorized");
        assert_eq!(problem["detail"], "there is no account with this name and password");
    }
    let again = signed_in(&node, "ana").await;
    assert_eq!(again.id, ana.id);
    let sessions = again.asks("GET /sessions", None).await.is(200);
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.iter().map(|one| one["current"] == true).collect::<Vec<_>>(), [true, false]);
    let first = sessions[1]["id"].as_str().unwrap();
    again.asks(&format!("DELETE /sessions/{first}"), None).await.is(204);
    ana.asks("GET /accounts/me", None).await.refused(401, "unauthorized");
    again.asks("DELETE /sessions/current", None).await.is(204);
    again.asks("GET /accounts/me", None).await.refused(401, "unauthorized");
}

/// Guards against a session that ends here and goes on where somebody is connected by it.
#[tokio::test]
async fn signing_out_everywhere_ends_what_is_connected() {
    let node = Node::start(options()).await;
    let ana = signed_up(&node, "Ana").await;
    let mut there = node.client().await;
    there.say(json!({ "type": "hello", "token": ana.token })).await;
    there.expect("welcome").await;
    let other = signed_in(&node, "Ana").await;
    other.asks("DELETE /sessions?keep=current", None).await.is(204);
    assert_eq!(there.expect("bye").await["reason"], "unauthorized");
    other.asks("GET /accounts/me", None).await.is(200);
    let change = json!({ "before": PASSWORD, "after": "battery horse" });
    let wrong = json!({ "before": "another password", "after": "battery horse" });
    other.asks("PUT /accounts/me/password", Some(wrong)).await.refused(401, "unauthorized");
    other.asks("PUT /accounts/me/password", Some(change)).await.is(204);
    other.asks("DELETE /sessions", None).await.is(204);
    other.asks("GET /accounts/me", None).await.refused(401, "unauthorized");
}

/// Guards against a page elsewhere that acts as whoever visits it, by the visitor's own cookie.
#[tokio::test]
async fn a_cookie_counts_only_from_our_own_page() {
    let node = Node::start(options().with("TERTULIA_ALLOWED_ORIGINS", "*")).await;
    signed_up(&node, "Ana").await;
    let own = format!("Origin: http://{}", node.address());
    let body = json!({ "name": "Ana", "password": PASSWORD, "cookie": true }).to_string();
    ask(&node, "POST /sessions", &["Origin: https://evil.example"], Some(&body)).await.refused(403, "forbidden");
    let answer = ask(&node, "POST /sessions", &[&own], Some(&body)).await;
    let set = answer.header("set-cookie").unwrap().to_owned();
    for part in ["; path=/", "; httponly", "; samesite=strict"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("secure"), "it did not come by TLS: {set}");
    assert!(answer.is(201).get("token").is_none(), "what is in the cookie is for no script");

    // The answer's head was read in small letters, so the cookie is taken from another.
    let raw = format!(
        "POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (_, head, _) = testkit::node::raw_http(node.address(), raw.as_bytes()).await.unwrap();
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).unwrap();
    let cookie = format!("Cookie: {cookie}");
    ask(&node, "GET /accounts/me", &[&cookie], None).await.is(200);
    ask(&node, "PUT /rooms/r/messages/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d", &[&cookie, &own], Some(r#"{"text":"a"}"#))
        .await
        .is(201);
    for origin in ["Origin: https://evil.example", "Origin: null", "X-Nothing: 1"] {
        for (what, body) in [
            ("PUT /rooms/r/messages/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3e", Some(r#"{"text":"b"}"#)),
            ("DELETE /rooms/r/messages/1", None),
            ("DELETE /sessions", None),
            ("DELETE /sessions/current", None),
            ("POST /keys", Some(r#"{"label":"x"}"#)),
        ] {
            ask(&node, what, &[&cookie, origin], body).await.refused(403, "forbidden");
        }
    }
    let out = ask(&node, "DELETE /sessions/current", &[&cookie, &own], None).await;
    assert!(out.header("set-cookie").unwrap().contains("tertulia_session=; path=/; max-age=0"), "{out:?}");
    out.is(204);
    ask(&node, "GET /accounts/me", &[&cookie], None).await.refused(401, "unauthorized");
    // A browser whose session is over can still sign out, and in.
    ask(&node, "DELETE /sessions/current", &[&cookie, &own], None).await.is(204);
    ask(&node, "POST /sessions", &[&cookie, &own], Some(&body)).await.is(201);
    assert!(!node.log().contains("ts_"), "{}", node.log());
}

#[tokio::test]
async fn an_api_key_is_its_account_until_it_is_ended() {
    let node = node_with_admin(options()).await;
    let root = signed_in(&node, "Root").await;
    let bot = root.asks("POST /bots", Some(json!({ "name": "Echo" }))).await.is(201);
    let keys = format!("/accounts/{}/keys", bot["id"].as_str().unwrap());
    let made = root.asks(&format!("POST {keys}"), Some(json!({ "label": "kitchen" }))).await.is(201);
    let token = made["token"].as_str().unwrap().to_owned();
    let echo = Somebody { node: &node, token, id: String::new() };
    assert_eq!(echo.asks("GET /accounts/me", None).await.is(200)["kind"], "bot");
    let put = "PUT /rooms/r/messages/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d";
    echo.asks(put, Some(json!({ "text": "beep" }))).await.is(201);
    let listed = root.asks(&format!("GET {keys}"), None).await.is(200);
    assert_eq!(listed["keys"][0]["label"], "kitchen");
    assert!(!listed.to_string().contains(&echo.token));
    let key = made["key"]["id"].as_str().unwrap();
    root.asks(&format!("DELETE {keys}/{key}"), None).await.is(204);
    echo.asks("GET /accounts/me", None).await.refused(401, "unauthorized");
    // One's own.
    let ana = signed_up(&node, "Ana").await;
    let made = ana.asks("POST /keys", Some(json!({ "label": "mine" }))).await.is(201);
    let key = made["key"]["id"].as_str().unwrap();
    root.asks(&format!("POST /accounts/{}/keys", ana.id), Some(json!({ "label": "x" })))
        .await
        .refused(403, "forbidden");
    ana.asks(&format!("DELETE /keys/{key}"), None).await.is(204);
    ana.asks("DELETE /keys/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d", None).await.refused(404, "not_found");
}

#[tokio::test]
async fn only_admins_look_after_accounts() {
    let node = node_with_admin(options()).await;
    let (root, ana, ben) = (signed_in(&node, "Root").await, signed_up(&node, "Ana").await, guest(&node, "Ben").await);
    for somebody in [&ana, &ben] {
        somebody.asks("GET /accounts", None).await.refused(403, "forbidden");
        somebody.asks("POST /bots", Some(json!({ "name": "Bot" }))).await.refused(403, "forbidden");
        let alter = format!("PATCH /accounts/{}", root.id);
        somebody.asks(&alter, Some(json!({ "admin": false }))).await.refused(403, "forbidden");
    }
    ben.asks("GET /accounts/me", None).await.refused(403, "forbidden");
    ben.asks("GET /sessions", None).await.refused(403, "forbidden");
    let page = root.asks("GET /accounts?limit=1", None).await.is(200);
    assert_eq!((&page["accounts"][0]["name"], &page["more"]), (&"Ana".into(), &true.into()));
    let next = page["next"].as_str().unwrap();
    assert_eq!(root.asks(&format!("GET {next}"), None).await.is(200)["accounts"][0]["name"], "Root");
    let anas = format!("/accounts/{}", ana.id);
    assert_eq!(root.asks(&format!("PATCH {anas}"), Some(json!({ "disabled": true }))).await.is(200)["disabled"], true);
    ana.asks("GET /accounts/me", None).await.refused(401, "unauthorized");
    assert_eq!(root.asks(&format!("GET {anas}"), None).await.is(200)["disabled"], true);
    root.asks(&format!("PATCH {anas}"), Some(json!({ "disabled": false, "admin": true }))).await.is(200);
    signed_in(&node, "Ana").await.asks("GET /accounts", None).await.is(200);
    for change in [json!({ "disabled": true }), json!({ "admin": false })] {
        root.asks(&format!("PATCH /accounts/{}", root.id), Some(change)).await.refused(403, "forbidden");
    }
    let nobody = "/accounts/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d";
    root.asks(&format!("PATCH {nobody}"), Some(json!({ "disabled": true }))).await.refused(404, "not_found");
}
