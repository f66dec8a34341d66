//! What must not be shown.

const MASK: &str = "***";

/// A secret setting, fit to be shown: of an address all but its passwords, of anything else nothing.
pub(crate) fn mask(key: &str, value: &str) -> String {
    if key.ends_with("-url") { address(value) } else { MASK.into() }
}

/// An address without its passwords: that before the `@`, and any in the query. In doubt too much is hidden.
pub(crate) fn address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, _)| url.split_at(scheme.len() + 3));
    let (before, place) =
        rest.rsplit_once('@').map_or(("", rest), |(_, place)| rest.split_at(rest.len() - place.len()));
    let user = match before.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@"),
        None => before.to_owned(),
    };
    format!("{scheme}{user}{}", query(place))
}

fn query(place: &str) -> String {
    let Some((place, query)) = place.split_once('?') else { return place.to_owned() };
    let masked: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{place}?{}", masked.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_its_passwords() {
        for (given, shown) in [
            ("postgres://ana:secret@db:5432/chat", "postgres://ana:***@db:5432/chat"),
            ("postgres://ana:se@c:r/e?t@db/chat?sslmode=require", "postgres://ana:***@db/chat?sslmode=require"),
            ("postgres://db/chat?user=ana&password=secret", "postgres://db/chat?user=ana&password=***"),
            ("redis-sentinel://:secret@a:1?sentinelPassword=x", "redis-sentinel://:***@a:1?sentinelPassword=***"),
            ("postgres://ana@db/chat", "postgres://ana@db/chat"),
            ("redis://cache:6379", "redis://cache:6379"),
            ("sqlite:data/tertulia.db", "sqlite:data/tertulia.db"),
            ("ana:secret@db", "ana:***@db"),
        ] {
            assert_eq!(address(given), shown);
        }
        assert_eq!(mask("secret", "anything"), "***");
    }
}
