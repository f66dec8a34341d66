//! Calls over HTTP to addresses that strangers chose: webhooks, and where an embedding application keeps its keys.
//!
//! A name is looked up once, what it leads to is held against a list of networks that are not for strangers to reach, and the
//! connection goes to exactly what was looked at. Redirects, proxies of the environment and cookies do not exist here; time and
//! size are bounded.
//! Absent on purpose: what is called, and why.
//!
//! Start at [`Client::call`].

mod client;
mod destination;
mod error;
mod exchange;
mod line;
mod lookup;
mod ranges;

pub use client::{Answer, Call, Client, OutgoingConfig};
pub use destination::Destination;
pub use error::OutgoingError;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
pub use line::certificates;
pub use lookup::{Lookup, SystemLookup};
pub use rustls_pki_types::CertificateDer;
