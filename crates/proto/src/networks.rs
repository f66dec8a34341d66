//! Addresses and networks as an operator lists them: balancers whose word is believed, places that may be called.

use std::net::IpAddr;
use std::str::FromStr;

/// Single addresses and whole networks: `10.0.0.7, 10.128.0.0/14, fd00::/8`. None, unless some are given.
///
/// An IPv4 address that came over IPv6 (`::ffff:10.0.0.7`) is the IPv4 address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// Why a list of networks cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8")]
pub struct NotANetwork(String);

impl Networks {
    /// Whether an address is one of them.
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address.to_canonical()))
    }
}

impl FromStr for Networks {
    type Err = NotANetwork;

    fn from_str(list: &str) -> Result<Self, NotANetwork> {
        list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// The bits behind the prefix are nothing.
    first: IpAddr,
    prefix_bits: u32,
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && cut(address, self.prefix_bits) == self.first
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let not_one = || NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.parse::<IpAddr>().map_err(|_| not_one())?;
        let address = if prefix.is_none() { address.to_canonical() } else { address };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.map_or(Ok(most), str::parse).ok().filter(|bits| *bits <= most).ok_or_else(not_one)?;
        Ok(Self { first: cut(address, prefix_bits), prefix_bits })
    }
}

/// The address with nothing behind its first `bits`.
fn cut(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !u32::MAX.checked_shr(bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::MAX.checked_shr(bits).unwrap_or(0)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, address: &str) -> bool {
        list.parse::<Networks>().unwrap().contains(&address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_begins_with_its_bits_and_nothing_else() {
        for (list, inside, outside) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.128.77.1/14", "10.131.255.255", "10.132.0.0"),
            ("192.0.2.5/32", "192.0.2.5", "192.0.2.4"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::1/128", "2001:db8::1", "2001:db8::2"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            assert!(holds(list, inside), "{inside} in {list}");
            assert!(!holds(list, outside), "{outside} in {list}");
        }
    }

    #[test]
    fn a_list_may_hold_both_kinds_or_nothing() {
        assert!(holds("127.0.0.1, 10.0.0.0/8,", "10.1.1.1") && holds("127.0.0.1,::1", "::1"));
        assert_eq!("".parse(), Ok(Networks::default()));
        assert!(!holds("", "127.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_that_came_over_ipv6_is_the_ipv4_address() {
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.7") && holds("::ffff:10.0.0.7", "10.0.0.7"));
    }

    #[test]
    fn what_is_no_network_is_said() {
        for bad in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0", "proxy", "10.0.0.1 10.0.0.2", "/8"] {
            assert_eq!(bad.parse::<Networks>(), Err(NotANetwork(bad.into())));
        }
    }
}
