//! What a request brings to show who asks: a bearer token, or the cookie of a session; and which pages may bring a cookie.
//!
//! A browser sends a cookie whichever page asks, so a cookie counts only where no other page can be behind the request. No token
//! is ever read from an address: addresses end up in logs.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use proto::{Code, Refusal, TOKEN_BYTES_MAX};

use crate::config::GatewayConfig;
use crate::http::problem::Problem;
use crate::node::Node;

/// What the cookie of a session is called.
pub(crate) const COOKIE: &str = "tertulia_session";

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// `Authorization: Bearer …`: only who holds the token can send it.
    Bearer(&'a str),
    /// Sent by the browser, for a page that may.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// The token itself.
    pub(crate) fn token(self) -> &'a str {
        match self {
            Self::Bearer(token) | Self::Cookie(token) => token,
        }
    }
}

/// What a request is about to do, as far as a page that is not ours could gain by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It only reads: a page that may not read the answer gains nothing.
    Reading,
    /// It opens a WebSocket. Every browser says there which page does.
    Upgrading,
    /// It changes something, or opens a line that could.
    Changing,
}

impl Doing {
    /// By the method; a poll is [`Doing::Changing`] whatever its method.
    pub(crate) fn by(method: &Method) -> Self {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) { Self::Reading } else { Self::Changing }
    }
}

/// Whose page a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// It does not say: no browser, or a browser that reads for a page of the same origin.
    Unsaid,
    /// Our own, or one that `--allowed-origins` names.
    Trusted,
    /// Any other, let in by `*` only: it must bring a token, since a cookie might not be its own doing.
    Stranger,
    /// One that may not connect.
    Foreign,
}

impl Page {
    /// By `Origin`, which a page cannot forge.
    pub(crate) fn of(headers: &HeaderMap, config: &GatewayConfig) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (origin, more) = (origins.next(), origins.next());
        let Some(origin) = origin else { return Self::Unsaid };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let allowed = &config.allowed_origins;
        match origin.to_str() {
            Ok(origin) if more.is_none() && (is_own(origin, host) || is_named(origin, allowed)) => Self::Trusted,
            _ if allowed.iter().any(|one| one == "*") => Self::Stranger,
            _ => Self::Foreign,
        }
    }
}

/// What a request brings, if anything. A bearer token goes before a cookie.
///
/// # Errors
/// [`Code::Unauthorized`] for an `Authorization` that is no bearer token, [`Code::Forbidden`] for a cookie that another page may have
/// caused to be sent.
pub(crate) fn of<'a>(
    headers: &'a HeaderMap,
    config: &GatewayConfig,
    doing: Doing,
) -> Result<Option<Credential<'a>>, Refusal> {
    if let Some(token) = bearer(headers)? {
        return Ok(Some(Credential::Bearer(token)));
    }
    let Some(token) = cookie(headers) else { return Ok(None) };
    match (Page::of(headers, config), doing) {
        (Page::Trusted, _) | (Page::Unsaid, Doing::Reading | Doing::Upgrading) => Ok(Some(Credential::Cookie(token))),
        _ => Err(Refusal::new(Code::Forbidden, "a cookie counts only where `Origin` names our own page")),
    }
}

/// Lets pages pass that may connect; whoever is not a browser says nothing.
pub(crate) fn check_origin(node: &Node, headers: &HeaderMap) -> Result<(), Problem> {
    if Page::of(headers, &node.config) != Page::Foreign {
        return Ok(());
    }
    node.metrics.turned_away.with_label_values(&["origin"]).inc();
    Err(Problem::new(StatusCode::FORBIDDEN, "pages of this origin may not connect"))
}

/// The header that gives a browser its cookie, or (with an empty token) takes it.
pub(crate) fn set_cookie(token: &str, seconds: u64, by_tls: bool) -> Option<HeaderValue> {
    let secure = if by_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::try_from(cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether the client came by TLS, as a proxy of ours says.
pub(crate) fn is_by_tls(peer: IpAddr, headers: &HeaderMap, config: &GatewayConfig) -> bool {
    let last = headers.get_all("x-forwarded-proto").iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    config.trusted_proxies.contains(&peer) && last.is_some_and(|word| word.trim().eq_ignore_ascii_case("https"))
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    let token = || {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let token = token.trim_matches(' ');
        let good = scheme.eq_ignore_ascii_case("bearer") && more.is_none();
        (good && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && !token.contains(' ')).then_some(token)
    };
    token().map(Some).ok_or_else(|| Refusal::new(Code::Unauthorized, "Authorization must be one Bearer token"))
}

/// The cookie's value. One that is there twice is none: a page of a neighbouring domain may have put another beside it.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token);
    let token = found.next().filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)?;
    found.all(|other| other == token).then_some(token)
}

/// Whether a page came from the host that it asks.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    origin.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
    })
}

fn is_named(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|one| one != "*" && one.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::try_from(*value).unwrap())).collect()
    }

    fn config(allowed: &[&str]) -> GatewayConfig {
        GatewayConfig { allowed_origins: allowed.iter().map(|&one| one.into()).collect(), ..GatewayConfig::default() }
    }

    #[test]
    fn pages_of_the_same_host_and_those_on_the_list_may_connect() {
        let page = |origin: &str, list: &[&str]| {
            Page::of(&headers(&[("host", "chat.example:8080"), ("origin", origin)]), &config(list))
        };
        let list = ["https://app.example"];
        for good in ["http://chat.example:8080", "https://chat.example:8080", "https://app.example"] {
            assert_eq!(page(good, &list), Page::Trusted, "{good}");
            assert_eq!(page(good, &["*", list[0]]), Page::Trusted, "{good}");
        }
        for bad in [
            "null",
            "",
            "*",
            "https://chat.example",
            "https://chat.example:8080.evil.example",
            "ftp://chat.example:8080",
            "https://app.example.evil.example",
        ] {
            assert_eq!(page(bad, &list), Page::Foreign, "{bad}");
            assert_eq!(page(bad, &["*"]), Page::Stranger, "{bad}");
        }
        let twice = headers(&[("host", "a"), ("origin", "http://a"), ("origin", "http://a")]);
        assert_eq!(Page::of(&twice, &config(&[])), Page::Foreign);
    }

    /// Guards against a page that makes a visitor's browser act in the visitor's name.
    #[test]
    fn a_cookie_counts_only_where_no_other_page_can_be_behind_it() {
        let cookie = ("cookie", "a=b; tertulia_session=ts_x; c");
        let own = ("origin", "http://chat.example");
        let of = |lines: &[_], list: &[&str], doing| {
            let lines = [&[("host", "chat.example"), cookie][..], lines].concat();
            super::of(&headers(&lines), &config(list), doing)
                .map(|found| found.map(|one| one.token().to_owned()))
                .map_err(|refusal| refusal.code)
        };
        let counts = Ok(Some("ts_x".to_owned()));
        assert_eq!(of(&[own], &[], Doing::Changing), counts);
        assert_eq!(of(&[], &[], Doing::Reading), counts);
        assert_eq!(of(&[], &[], Doing::Upgrading), counts);
        assert_eq!(of(&[], &[], Doing::Changing), Err(Code::Forbidden));
        for origin in ["null", "http://evil.example", "http://chat.example.evil.example", "http://sub.chat.example"] {
            for list in [&[][..], &["*"]] {
                for doing in [Doing::Reading, Doing::Upgrading, Doing::Changing] {
                    assert_eq!(of(&[("origin", origin)], list, doing), Err(Code::Forbidden), "{origin}");
                }
            }
            // What nobody can make a browser send needs no such care.
            let bearer = [("origin", origin), ("authorization", "Bearer tk_y")];
            assert_eq!(of(&bearer, &["*"], Doing::Changing), Ok(Some("tk_y".to_owned())));
        }
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_none() {
        for (value, found) in [
            ("tertulia_session=a", Some("a")),
            ("x=1;tertulia_session=a;tertulia_session=a", Some("a")),
            ("tertulia_session=a; tertulia_session=b", None),
            ("tertulia_session=", None),
            ("tertulia_session", None),
            ("xtertulia_session=a", None),
        ] {
            assert_eq!(cookie(&headers(&[("cookie", value)])), found, "{value}");
        }
        assert_eq!(cookie(&headers(&[("cookie", "tertulia_session=a"), ("cookie", "tertulia_session=b")])), None);
    }

    #[test]
    fn an_authorization_is_one_bearer_token_or_refused() {
        let of = |lines: &[_]| bearer(&headers(lines)).map(|found| found.map(str::to_owned)).map_err(|no| no.code);
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("authorization", "bearer g1.a.b")]), Ok(Some("g1.a.b".into())));
        let long = format!("Bearer {}", "x".repeat(4097));
        for bad in ["Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "g1.a.b", &long] {
            assert_eq!(of(&[("authorization", bad)]), Err(Code::Unauthorized), "{bad}");
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(of(&twice), Err(Code::Unauthorized));
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed_about_tls() {
        let mut config = config(&[]);
        config.trusted_proxies = "10.0.0.1".parse().unwrap();
        let (ours, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let said = |word| headers(&[("x-forwarded-proto", word)]);
        assert!(is_by_tls(ours, &said("https"), &config));
        assert!(is_by_tls(ours, &said("http, HTTPS"), &config));
        assert!(!is_by_tls(ours, &said("https, http"), &config));
        assert!(!is_by_tls(other, &said("https"), &config));
        assert!(!is_by_tls(ours, &HeaderMap::new(), &config));
    }
}
