//! HTTPS: who the server is.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::error::{Error, Result};

/// The certificate that a server shows, and its key, which belong together.
#[derive(Clone)]
pub struct TlsIdentity(Arc<ServerConfig>);

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

impl TlsIdentity {
    /// Reads a certificate, with the chain to its authority, and its private key, both in PEM form.
    ///
    /// # Errors
    /// [`Error::Tls`] if they cannot be read, or do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let certificates = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|e| bad("certificate", e))?;
        if certificates.is_empty() {
            return Err(bad("certificate", "no certificate in PEM form"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| bad("key", e))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| bad("protocol", e))?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|e| bad("certificate and key", e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// What speaks TLS on a new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

fn bad(what: &str, why: impl fmt::Display) -> Error {
    Error::Tls(format!("{what}: {why}"))
}
