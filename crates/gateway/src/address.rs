//! Whose address counts: the client's own, however it came to us.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

use crate::Networks;

/// The client's address: the last one that a proxy of ours added, or the peer's own. An IPv4 address that came over IPv6
/// (`::ffff:a.b.c.d`) is the IPv4 address.
pub(crate) fn of_client(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    if !trusted.contains(&peer) {
        return peer;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev();
    for hop in values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(',')) {
        // What stands before a word that is no address was not written by a proxy of ours either.
        let Some(address) = parse(hop.trim()) else { return peer };
        if !trusted.contains(&address) {
            return address;
        }
    }
    peer
}

/// An address, with or without a port behind it.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// What counts as one client: an IPv4 address, or a whole IPv6 /64, because whoever has one address of it has them all.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(lines: &[&'static str]) -> HeaderMap {
        let lines = lines.iter().map(|line| ("x-forwarded-for".parse().unwrap(), HeaderValue::from_static(line)));
        HeaderMap::from_iter(lines)
    }

    #[test]
    fn a_forwarded_address_is_believed_only_from_a_proxy_of_ours() {
        let (client, proxy) = (ip("9.9.9.9"), ip("127.0.0.1"));
        let headers = forwarded(&["1.2.3.4, 9.9.9.9"]);
        for ours in ["127.0.0.1", "127.0.0.0/8"] {
            let ours = ours.parse().unwrap();
            assert_eq!(of_client(proxy, &headers, &ours), client);
            assert_eq!(of_client(client, &headers, &ours), client);
        }
        assert_eq!(of_client(proxy, &headers, &Networks::default()), proxy);
    }

    #[test]
    fn the_last_address_that_is_not_ours_counts_in_whatever_form_it_comes() {
        let (inner, ours) = (ip("10.0.0.2"), "10.0.0.1,10.0.0.2".parse().unwrap());
        for (lines, client) in [
            (&["1.2.3.4, 9.9.9.9, 10.0.0.1"][..], "9.9.9.9"),
            (&["1.2.3.4", "9.9.9.9,10.0.0.1"], "9.9.9.9"),
            (&["::ffff:9.9.9.9, ::ffff:10.0.0.1"], "9.9.9.9"),
            (&["9.9.9.9:4711"], "9.9.9.9"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            // Before what no proxy of ours writes anybody may have written anything.
            (&["1.2.3.4, unknown"], "10.0.0.2"),
            (&["1.2.3.4,"], "10.0.0.2"),
            (&["10.0.0.1"], "10.0.0.2"),
            (&[], "10.0.0.2"),
        ] {
            assert_eq!(of_client(inner, &forwarded(lines), &ours), ip(client), "{lines:?}");
        }
    }

    #[test]
    fn a_network_of_one_client_counts_as_one() {
        assert_eq!(counted(ip("2001:db8:1:2:3:4:5:6")), counted(ip("2001:db8:1:2::1")));
        assert_ne!(counted(ip("2001:db8:1:2::1")), counted(ip("2001:db8:1:3::1")));
        assert_eq!(counted(ip("::ffff:9.9.9.9")), ip("9.9.9.9"));
        assert_ne!(counted(ip("::ffff:9.9.9.9")), counted(ip("::ffff:9.9.9.8")));
    }
}
