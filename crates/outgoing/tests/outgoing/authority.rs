//! An authority of a test's own, and the certificates that it gives.

use std::path::Path;
use std::sync::Arc;

use outgoing::CertificateDer;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;
use testkit::errand;
use tokio_rustls::TlsAcceptor;

/// Its files are gone with it.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    pub(crate) fn make() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        authority.openssl(&["req", "-x509", "-subj", "/CN=An authority", "-out", "ca.pem", "-keyout", "ca.key"]);
        authority
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        outgoing::certificates(&std::fs::read(self.folder.path().join("ca.pem")).unwrap()).unwrap().remove(0)
    }

    /// What a server of this name needs.
    pub(crate) fn vouching_for(&self, name: &str) -> TlsAcceptor {
        let names = format!("subjectAltName=DNS:{name}");
        let signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key"];
        let asked =
            ["req", "-x509", "-subj", "/CN=A server", "-out", "server.pem", "-keyout", "server.key", "-addext", &names];
        let no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
        self.openssl(&[&asked[..], &no_authority, &signed_by].concat());
        let file = |name: &str| self.folder.path().join(name);
        let chain = vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
    }

    fn openssl(&self, args: &[&str]) {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let folder: &Path = self.folder.path();
        let mut command = vec!["-C".into(), folder.to_string_lossy().into_owned(), "openssl".into()];
        command.extend(args.iter().chain(&key).map(|arg| (*arg).to_owned()));
        errand::run("env", &command, &[]).well();
    }
}
