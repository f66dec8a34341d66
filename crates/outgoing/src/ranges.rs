//! Which addresses strangers may send us to: those of the public Internet.
//!
//! After IANA's registries of special-purpose addresses. IPv6 is open only where global addresses are given out, and an IPv4 address
//! inside an IPv6 one counts as itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first address of a network, and how many bits its addresses share.
type V4 = (Ipv4Addr, u32);
type V6 = (Ipv6Addr, u32);

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u32) -> V4 {
    (Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(a: u16, b: u16, bits: u32) -> V6 {
    (Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), bits)
}

/// IPv4 that is nobody's public address, and one that is but answers only the inside of a cloud.
const CLOSED_V4: [V4; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(168, 63, 129, 16, 32),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// Where global IPv6 addresses are given out.
const OPEN_V6: V6 = v6(0x2000, 0, 3);

/// What is closed in there: protocols' own (Teredo, benchmarks and more), documentation twice, 6to4.
const CLOSED_V6: [V6; 4] = [v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x3fff, 0, 20), v6(0x2002, 0, 16)];

/// IPv4 behind a translator: the last four bytes are the address that will be reached.
const TRANSLATED: V6 = v6(0x64, 0xff9b, 96);

/// Whether an address is one of the public Internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) if in_v6(v6, &TRANSLATED) => is_public_v4(last_bytes(v6)),
        IpAddr::V6(v6) => in_v6(v6, &OPEN_V6) && !CLOSED_V6.iter().any(|network| in_v6(v6, network)) && !is_tunnel(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    !CLOSED_V4.iter().any(|(first, bits)| (v4.to_bits() ^ first.to_bits()) >> (32 - bits) == 0)
}

fn in_v6(v6: Ipv6Addr, (first, bits): &V6) -> bool {
    (v6.to_bits() ^ first.to_bits()) >> (128 - bits) == 0
}

/// ISATAP: an IPv4 address, of whatever network, behind these four bytes.
fn is_tunnel(v6: Ipv6Addr) -> bool {
    matches!(v6.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _])
}

fn last_bytes(v6: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = v6.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_internet_is_open() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_ours_nobodys_or_a_clouds_own_is_closed() {
        for address in [
            // this host, unspecified
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "::",
            "::1",
            // private, shared by carriers, link-local
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.0.1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            // clouds' metadata
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
            // protocols, documentation, benchmarks, multicast, reserved, broadcast
            "192.0.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.255",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "2001:db8::1",
            "3fff::1",
            "2001:2::1",
            "100::1",
            "ff02::1",
            "5f00::1",
            "4000::1",
            // an IPv4 address inside an IPv6 one
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::7f00:1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:a9fe:a9fe::1",
            "2001:0:7f00:1::",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:7f00:1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
