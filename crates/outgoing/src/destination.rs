//! Where a call goes, as somebody wrote it.

use std::fmt;
use std::net::IpAddr;

use rustls_pki_types::{DnsName, ServerName};
use url::{Host, Url};

use crate::OutgoingError;

/// Most bytes in a URL.
const URL_BYTES_MAX: usize = 2048;

/// A URL that can be called. Whether it may be is known only once its host was looked up.
///
/// Hosts are read as browsers read them, so that `0x7f.1`, `2130706433`, `127.1` and `①②⑦.0.0.1` are all the address 127.0.0.1.
/// Shown without its path and query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    url: Url,
}

impl Destination {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`OutgoingError::Address`], with what is wrong.
    pub fn parse(text: &str) -> Result<Self, OutgoingError> {
        let bad = |why| Err(OutgoingError::Address(why));
        if text.len() > URL_BYTES_MAX {
            return bad("longer than 2048 bytes");
        }
        let Ok(mut url) = text.parse::<Url>() else { return bad("not a URL") };
        if !matches!(url.scheme(), "http" | "https") {
            return bad("neither http nor https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return bad("a name or a password in a URL is seen by too many; use a header or the path");
        }
        if url.port() == Some(0) {
            return bad("no port has the number 0");
        }
        // What is neither an address nor a name of the Internet's kind cannot be in a certificate, nor be looked up.
        match url.host() {
            Some(Host::Domain(name)) if DnsName::try_from(name).is_ok() => {}
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => {}
            _ => return bad("no host"),
        }
        url.set_fragment(None);
        Ok(Self { url })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Whether TLS will be spoken.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address, if one was written instead of a name.
    pub(crate) fn literal(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(v4) => Some(v4.into()),
            Host::Ipv6(v6) => Some(IpAddr::V6(v6).to_canonical()),
        }
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// What a certificate must be for.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, OutgoingError> {
        match self.literal() {
            Some(address) => Ok(ServerName::IpAddress(address.into())),
            None => {
                let name = ServerName::try_from(self.host()).map_err(|_| OutgoingError::Address("no host"))?;
                Ok(name.to_owned())
            }
        }
    }

    /// The header `Host`.
    pub(crate) fn authority(&self) -> String {
        self.url.port().map_or_else(|| self.host().to_owned(), |port| format!("{}:{port}", self.host()))
    }

    /// The first line's target.
    pub(crate) fn target(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for (text, address) in [
            ("http://127.0.0.1/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f000001/", "127.0.0.1"),
            ("http://0x7f.0.0x1/", "127.0.0.1"),
            ("http://0177.0.0.01/", "127.0.0.1"),
            ("http://017700000001/", "127.0.0.1"),
            ("http://①②⑦.⓪.⓪.①/", "127.0.0.1"),
            ("http://%31%32%37.0.0.1/", "127.0.0.1"),
            ("http://127。0。0。1/", "127.0.0.1"),
            ("http://0/", "0.0.0.0"),
            ("http:\\\\10.0.0.1\\", "10.0.0.1"),
            ("http:////169.254.169.254/", "169.254.169.254"),
            ("http://[::1]/", "::1"),
            ("http://[0:0:0:0:0:0:0:1]/", "::1"),
            ("http://[::ffff:127.0.0.1]/", "127.0.0.1"),
            ("http://[::ffff:7f00:1]/", "127.0.0.1"),
            ("http://[fd00:ec2::254]/", "fd00:ec2::254"),
        ] {
            let destination = Destination::parse(text).unwrap();
            assert_eq!(destination.literal(), Some(address.parse().unwrap()), "{text}");
        }
        assert_eq!(Destination::parse("https://example.org/").unwrap().literal(), None);
    }

    #[test]
    fn what_cannot_be_called_is_said() {
        for text in [
            "",
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_x",
            "http://",
            "http://user@example.org/",
            "http://:secret@example.org/",
            "http://example.org@127.0.0.1/",
            "http://example.org:0/",
            "http://example.org:65536/",
            "http://[::1%25eth0]/",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://exa mple.org/",
            "http://a..b/",
            "http://under\u{0}score/",
        ] {
            assert!(matches!(Destination::parse(text), Err(OutgoingError::Address(_))), "{text}");
        }
        let long = format!("https://example.org/{}", "a".repeat(URL_BYTES_MAX));
        assert!(Destination::parse(&long).is_err());
    }

    #[test]
    fn a_call_names_its_host_and_keeps_its_path_to_itself() {
        let destination = Destination::parse("https://Example.org:8443/a/secret?b=c#d").unwrap();
        assert_eq!((destination.authority().as_str(), destination.port()), ("example.org:8443", 8443));
        assert_eq!(destination.target(), "/a/secret?b=c");
        assert_eq!(format!("{destination:?}"), "https://example.org:8443");
        assert_eq!(Destination::parse("http://example.org").unwrap().target(), "/");
        assert_eq!(Destination::parse("http://[::1]:80/").unwrap().authority(), "[::1]");
    }
}
