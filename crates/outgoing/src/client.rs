//! A call from its address to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use proto::Networks;
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::destination::Destination;
use crate::exchange::exchange;
use crate::line::{self, Line};
use crate::{Lookup, OutgoingError, SystemLookup, ranges};

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// What an operator may decide about calls.
#[derive(Clone, Debug)]
pub struct OutgoingConfig {
    /// Networks that may be called though they are not public, also by plain HTTP where HTTPS is demanded elsewhere.
    pub allowed: Networks,
    /// Authorities that are trusted besides those that browsers trust.
    pub roots: Vec<CertificateDer<'static>>,
    /// How long one address may take to take a connection.
    pub connect_within: Duration,
    /// How long all may take: the lookup, the connection, the answer to its last byte.
    pub within: Duration,
}

impl Default for OutgoingConfig {
    fn default() -> Self {
        Self {
            allowed: Networks::default(),
            roots: Vec::new(),
            connect_within: Duration::from_secs(3),
            within: Duration::from_secs(10),
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where it goes.
    pub to: Destination,
    /// `GET`, `POST` …
    pub method: Method,
    /// What it says besides `Host`, `User-Agent` and `Connection`.
    pub headers: HeaderMap,
    /// What it brings.
    pub body: Bytes,
    /// Whether plain HTTP will do only in a network that the operator allows.
    pub https: bool,
    /// Most bytes of the answer's body; `None`: only its head is of interest.
    pub body_max: Option<usize>,
}

/// What came back, whatever its status: a redirect is an answer like any other.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, if it was wanted.
    pub body: Bytes,
}

/// Calls. Cheap to clone; keeps no connections and no memory of calls.
#[derive(Clone)]
pub struct Client {
    config: Arc<OutgoingConfig>,
    lookup: Arc<dyn Lookup>,
    tls: TlsConnector,
}

impl Client {
    /// Looks names up as the system does.
    ///
    /// # Errors
    /// When an authority of the configuration has no usable certificate.
    pub fn new(config: OutgoingConfig) -> Result<Self, rustls::Error> {
        Self::with_lookup(config, Arc::new(SystemLookup::default()))
    }

    /// Looks names up in another way.
    ///
    /// # Errors
    /// When an authority of the configuration has no usable certificate.
    pub fn with_lookup(config: OutgoingConfig, lookup: Arc<dyn Lookup>) -> Result<Self, rustls::Error> {
        let tls = line::connector(&config.roots)?;
        Ok(Self { config: Arc::new(config), lookup, tls })
    }

    /// Whether a destination could be called, as far as that can be known without looking its name up.
    ///
    /// # Errors
    /// [`OutgoingError::Refused`], for an address that is not called from here.
    pub fn check(&self, to: &Destination) -> Result<(), OutgoingError> {
        match to.literal() {
            Some(address) if !self.may_call(address) => Err(OutgoingError::Refused),
            _ => Ok(()),
        }
    }

    /// Calls, once. Whether to try again is for the caller to decide.
    ///
    /// # Errors
    /// When there is no whole answer in time, or the address is not one to call.
    pub async fn call(&self, call: Call) -> Result<Answer, OutgoingError> {
        let called = async {
            let addresses = self.addresses(&call).await?;
            let line = self.line(&call.to, &addresses).await?;
            let request = request(&call)?;
            exchange(line, request, call.body_max).await
        };
        // On the heap: a TLS handshake is long, and whoever waits for it should not be.
        let answer = timeout(self.config.within, Box::pin(called)).await.unwrap_or(Err(OutgoingError::Late));
        if let Err(error) = &answer {
            tracing::debug!(to = ?call.to, ?error, "a call failed");
        }
        answer
    }

    /// The addresses that may be called, looked up this once.
    async fn addresses(&self, call: &Call) -> Result<Vec<IpAddr>, OutgoingError> {
        let mut addresses = match call.to.literal() {
            Some(address) => vec![address],
            None => self.lookup.addresses(call.to.host()).await.map_err(OutgoingError::Lookup)?,
        };
        if addresses.is_empty() {
            return Err(OutgoingError::Lookup(std::io::ErrorKind::NotFound.into()));
        }
        for address in &mut addresses {
            *address = address.to_canonical();
        }
        addresses.retain(|address| self.may_call(*address));
        if addresses.is_empty() {
            return Err(OutgoingError::Refused);
        }
        if call.https && !call.to.is_https() {
            addresses.retain(|address| self.config.allowed.contains(address));
            if addresses.is_empty() {
                return Err(OutgoingError::NotHttps);
            }
        }
        addresses.truncate(ADDRESSES);
        Ok(addresses)
    }

    fn may_call(&self, address: IpAddr) -> bool {
        ranges::is_public(address) || self.config.allowed.contains(&address)
    }

    async fn line(&self, to: &Destination, addresses: &[IpAddr]) -> Result<Box<dyn Line>, OutgoingError> {
        let stream = line::connect(addresses, to.port(), self.config.connect_within).await?;
        if to.is_https() { line::secure(&self.tls, stream, to.server_name()?).await } else { Ok(Box::new(stream)) }
    }
}

fn request(call: &Call) -> Result<Request<Full<Bytes>>, OutgoingError> {
    let mut request = Request::builder()
        .method(&call.method)
        .uri(call.to.target())
        .header(HOST, call.to.authority())
        .header(USER_AGENT, HeaderValue::from_static("Tertulia"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Full::new(call.body.clone()))?;
    request.headers_mut().extend(call.headers.clone());
    Ok(request)
}
