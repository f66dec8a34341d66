//! A connection to one of the addresses that were looked at, with TLS where it was asked for.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::OutgoingError;

/// Either kind of connection.
pub(crate) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// Trusts who browsers trust, and whoever the operator adds. HTTP/1.1 is all we speak.
pub(crate) fn connector(roots: &[CertificateDer<'static>]) -> Result<TlsConnector, rustls::Error> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in roots {
        store.add(root.clone())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Whom we called before is nobody's business.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates of a file in PEM.
///
/// # Errors
/// When it holds none, or something that only looks like one.
pub fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| io::Error::other(format!("the certificates are not in PEM: {error}")))?;
    if all.is_empty() {
        Err(io::Error::other("there is no certificate (-----BEGIN CERTIFICATE-----)"))
    } else {
        Ok(all)
    }
}

/// Connects to the first of these addresses that takes the connection.
pub(crate) async fn connect(addresses: &[IpAddr], port: u16, within: Duration) -> Result<TcpStream, OutgoingError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(within, TcpStream::connect((*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(OutgoingError::Connect(last))
}

/// Speaks TLS over it, with whoever has the certificate of this name.
pub(crate) async fn secure(
    connector: &TlsConnector,
    stream: TcpStream,
    name: ServerName<'static>,
) -> Result<Box<dyn Line>, OutgoingError> {
    let stream = connector.connect(name, stream).await.map_err(OutgoingError::Tls)?;
    Ok(Box::new(stream))
}
