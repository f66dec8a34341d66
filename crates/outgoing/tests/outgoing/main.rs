//! Calls to real servers on this machine, and to addresses that must not be called.

// Helpers fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod authority;
mod server;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use outgoing::{Answer, Call, Client, Destination, HeaderMap, Lookup, Method, OutgoingConfig, OutgoingError};
use parking_lot::Mutex;
use proto::Networks;

use crate::authority::Authority;
use crate::server::Server;

/// What a name leads to, one answer after the other.
struct Names {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn leading_to(answers: &[&[&str]]) -> Arc<Self> {
        let addresses = |list: &&[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(addresses).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }
}

#[async_trait]
impl Lookup for Names {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().push(name.to_owned());
        self.answers.lock().pop().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn config(allowed: &str) -> OutgoingConfig {
    OutgoingConfig { allowed: allowed.parse().unwrap(), within: Duration::from_secs(20), ..OutgoingConfig::default() }
}

fn client(allowed: &str) -> Client {
    Client::new(config(allowed)).unwrap()
}

fn post(url: &str) -> Call {
    Call {
        to: Destination::parse(url).unwrap(),
        method: Method::POST,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"hello"),
        https: false,
        body_max: Some(1024),
    }
}

async fn call(client: &Client, url: &str) -> Result<Answer, OutgoingError> {
    client.call(post(url)).await
}

#[tokio::test]
async fn a_call_says_what_it_was_given_and_brings_the_answer() {
    let server = Server::saying("HTTP/1.1 202 Accepted\r\nX-More: yes\r\nContent-Length: 4\r\n\r\ndone").await;
    let mut call = post(&server.url("/a/b?c=d"));
    call.headers.insert("tertulia-event", "message".parse().unwrap());
    let answer = client("127.0.0.1").call(call).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (202, &b"done"[..]));
    assert_eq!(answer.headers["x-more"], "yes");
    let heard = server.heard();
    assert!(heard.starts_with("POST /a/b?c=d HTTP/1.1\r\n") && heard.ends_with("\r\n\r\nhello"), "{heard}");
    for line in [&format!("host: {}\r\n", server.address), "content-length: 5\r\n", "tertulia-event: message\r\n"] {
        assert!(heard.to_lowercase().contains(line), "{line} in {heard}");
    }
}

#[tokio::test]
async fn nothing_of_ours_can_be_called_unless_it_is_allowed() {
    let server = Server::saying("HTTP/1.1 200 OK\r\n\r\n").await;
    let port = server.address.port();
    let nothing_allowed = client("");
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
    ] {
        for scheme in ["http", "https"] {
            let refused = call(&nothing_allowed, &format!("{scheme}://{host}:{port}/")).await;
            assert!(matches!(refused, Err(OutgoingError::Refused)), "{scheme}://{host}: {refused:?}");
        }
    }
    assert_eq!(server.connections(), 0);
    let elsewhere = call(&client("10.0.0.0/8"), &server.url("/")).await;
    assert!(matches!(elsewhere, Err(OutgoingError::Refused)));
    assert!(nothing_allowed.check(&Destination::parse("http://127.1/").unwrap()).is_err());
    assert!(nothing_allowed.check(&Destination::parse("http://example.org/").unwrap()).is_ok());
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_only_what_was_looked_at_is_called() {
    let good = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    // The second answer leads to another server, on the same port: nobody may ever come there.
    let bad = Server::at(("127.0.0.2", good.address.port())).await;
    let names = Names::leading_to(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = Client::with_lookup(config("127.0.0.1"), names.clone()).unwrap();
    let url = format!("http://rebinds.example:{}/", good.address.port());
    assert!(call(&client, &url).await.is_ok());
    assert_eq!(*names.asked.lock(), ["rebinds.example"]);
    assert!(good.heard().to_lowercase().contains("host: rebinds.example:"));
    let second = call(&client, &url).await;
    assert!(matches!(second, Err(OutgoingError::Refused)), "{second:?}");
    assert_eq!((good.connections(), bad.connections()), (1, 0));
}

#[tokio::test]
async fn of_a_names_addresses_only_the_good_ones_are_tried() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let inside = Server::at(("127.0.0.2", server.address.port())).await;
    let names = Names::leading_to(&[&["127.0.0.2", "10.0.0.1", "::ffff:169.254.169.254", "::ffff:127.0.0.1"], &[]]);
    let client = Client::with_lookup(config("127.0.0.1"), names).unwrap();
    let url = format!("http://mixed.example:{}/", server.address.port());
    assert!(call(&client, &url).await.is_ok());
    assert_eq!((server.connections(), inside.connections()), (1, 0));
    assert!(matches!(call(&client, &url).await, Err(OutgoingError::Lookup(_))));
    let gone = call(&client, &url).await.unwrap_err();
    assert!(matches!(gone, OutgoingError::Lookup(_)) && gone.is_passing());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inside = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret").await;
    for target in ["http://169.254.169.254/latest/meta-data/", &inside.url("/")] {
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let answer = format!("HTTP/1.1 {status}\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            let server = Server::saying(&answer).await;
            let answer = call(&client("127.0.0.1"), &server.url("/")).await.unwrap();
            assert!(answer.status.is_redirection() && answer.body.is_empty());
            assert_eq!(server.connections(), 1);
        }
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_body_without_end_is_read_no_further_than_was_asked() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"] {
        let server = Server::without_end(head, "a".repeat(1000)).await;
        let large = call(&client("127.0.0.1"), &server.url("/")).await;
        assert!(matches!(large, Err(OutgoingError::TooLarge)), "{large:?}");
        // Whoever wants the head alone has it.
        let head_only = Call { body_max: None, ..post(&server.url("/")) };
        assert_eq!(client("127.0.0.1").call(head_only).await.unwrap().status.as_u16(), 200);
        server.was_left().await;
    }
    let server = Server::without_end("HTTP/1.1 200 OK\r\n", format!("X-Long: {}\r\n", "a".repeat(1000))).await;
    let endless_head = call(&client("127.0.0.1"), &server.url("/")).await;
    assert!(matches!(endless_head, Err(OutgoingError::Broken(_))), "{endless_head:?}");
}

#[tokio::test]
async fn who_drips_or_is_silent_is_left() {
    let patience = Duration::from_millis(400);
    let impatient = Client::new(OutgoingConfig { within: patience, ..config("127.0.0.1") }).unwrap();
    for (head, drop) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "a"),
        ("HTTP/1.1 200 OK\r\nX-Slow: ", "a"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", ""),
    ] {
        let server = Server::dripping(head, drop).await;
        let late = call(&impatient, &server.url("/")).await;
        assert!(matches!(late, Err(OutgoingError::Late)), "{head}: {late:?}");
        server.was_left().await;
    }
    // Nor does it wait for a TLS handshake.
    let server = Server::dripping("", "").await;
    let late = call(&impatient, &server.url("/").replace("http:", "https:")).await;
    assert!(matches!(late, Err(OutgoingError::Late)), "{late:?}");
}

#[tokio::test]
async fn what_is_no_whole_answer_is_an_error_to_try_again_after() {
    for said in ["", "HTTP/1.1 200", "SSH-2.0-x\r\n", "<html>", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"] {
        let server = Server::saying(said).await;
        let broken = call(&client("127.0.0.1"), &server.url("/")).await.unwrap_err();
        assert!(
            matches!(broken, OutgoingError::Broken(_) | OutgoingError::Cut) && broken.is_passing(),
            "{said}: {broken:?}"
        );
    }
    let gone = Server::saying("").await.leave();
    let nobody = call(&client("127.0.0.1"), &format!("http://{gone}/")).await.unwrap_err();
    assert!(matches!(nobody, OutgoingError::Connect(_)) && nobody.is_passing(), "{nobody:?}");
}

#[tokio::test]
async fn where_https_is_demanded_plain_http_does_only_in_allowed_networks() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let call = |url: &str| Call { https: true, ..post(url) };
    assert!(client("127.0.0.1").call(call(&server.url("/"))).await.is_ok());
    let names = Names::leading_to(&[&["1.1.1.1"]]);
    let client = Client::with_lookup(config("127.0.0.1"), names).unwrap();
    let plain = client.call(call("http://keys.example/")).await;
    assert!(matches!(plain, Err(OutgoingError::NotHttps)), "{plain:?}");
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_and_from_somebody_trusted() {
    let authority = Authority::make();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let server = Server::with_tls(authority.vouching_for("good.example"), answer).await;
    let url = |host: &str| format!("https://{host}:{}/", server.address.port());
    let calling = async |host: &str, roots: Vec<_>| {
        let names = Names::leading_to(&[&["127.0.0.1"]]);
        let config = OutgoingConfig { roots, ..config("127.0.0.1") };
        call(&Client::with_lookup(config, names).unwrap(), &url(host)).await
    };
    let trusting = || vec![authority.certificate()];
    assert_eq!(calling("good.example", trusting()).await.unwrap().status.as_u16(), 200);
    for (host, roots) in [("good.example", vec![]), ("other.example", trusting()), ("127.0.0.1", trusting())] {
        let refused = calling(host, roots).await;
        assert!(matches!(refused, Err(OutgoingError::Tls(_))), "{host}: {refused:?}");
    }
    assert_eq!(Networks::default(), config("").allowed);
}
