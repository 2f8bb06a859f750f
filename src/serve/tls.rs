//! HTTPS: who the server is.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::error::{Error, Result};

/// The certificate that a server shows, and its key.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate and the chain to its authority, in PEM form.
    pub certificates: Vec<u8>,
    /// The private key of the certificate, in PEM form.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

impl TlsIdentity {
    /// Checks that certificate and key can be used, before anybody is told of the server.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn check(&self) -> Result<()> {
        acceptor(self).map(drop)
    }
}

/// What speaks TLS on a new connection.
pub(super) fn acceptor(identity: &TlsIdentity) -> Result<TlsAcceptor> {
    let bad = |what: &str| {
        let what = what.to_owned();
        move |why: &dyn fmt::Display| Error::Tls(format!("{what}: {why}"))
    };
    let certificates = CertificateDer::pem_slice_iter(&identity.certificates).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|e| bad("certificate")(&e))?;
    if certificates.is_empty() {
        return Err(bad("certificate")(&"no certificate in PEM form"));
    }
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|e| bad("key")(&e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("protocol")(&e))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|e| bad("certificate and key")(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
