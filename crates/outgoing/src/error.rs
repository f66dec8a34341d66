//! Why a call brought no answer.

use std::io;

/// Each variant says whether to try again; none tells a stranger what our networks look like, except by [`std::fmt::Debug`].
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// It will never do.
    #[error("not an address that can be called: {0}")]
    Address(&'static str),
    /// It leads where strangers may not send us. The operator may allow that network.
    #[error("the address leads to a network that is not called from here")]
    Refused,
    /// Plain HTTP, where only HTTPS will do.
    #[error("the address must begin with https://")]
    NotHttps,
    /// The name leads nowhere, now.
    #[error("the host's name could not be looked up")]
    Lookup(#[source] io::Error),
    /// Nobody is there, now.
    #[error("the host could not be reached")]
    Connect(#[source] io::Error),
    /// Somebody is there who cannot prove to be who was called.
    #[error("the host's certificate or TLS is not good: {0}")]
    Tls(#[source] io::Error),
    /// What came is no whole answer.
    #[error("the host did not answer in HTTP: {0}")]
    Broken(#[from] hyper::Error),
    /// The answer ended before it was whole.
    #[error("the answer was cut off")]
    Cut,
    /// More came than was asked for.
    #[error("the answer is too large")]
    TooLarge,
    /// It took too long, in all.
    #[error("the host did not answer in time")]
    Late,
    /// A header that cannot be sent.
    #[error("the call could not be written")]
    Unwritable(#[from] http::Error),
}

impl OutgoingError {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Address(_) | Self::Refused | Self::NotHttps | Self::TooLarge | Self::Unwritable(_) => false,
            Self::Lookup(_) | Self::Connect(_) | Self::Tls(_) | Self::Broken(_) | Self::Cut | Self::Late => true,
        }
    }
}
