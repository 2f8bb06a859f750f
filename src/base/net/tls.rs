//! Whom to trust on a TLS connection, and who we are.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme};

use super::error::{Error, Result};

/// Whom to trust, and who we are.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// More certificate authorities, each file in PEM form, apart from those of the system.
    pub roots: Vec<Vec<u8>>,
    /// Trust only [`TlsOptions::roots`], none of the system's.
    pub only_these_roots: bool,
    /// Certificate and key that the server may ask for; one that a redirect led to gets none.
    pub identity: Option<Identity>,
    /// Whether the server's certificate matters.
    pub verify: TlsVerify,
}

/// A client certificate.
#[derive(Clone)]
pub struct Identity {
    /// The certificate and the chain to its authority, in PEM form.
    pub certificates: Vec<u8>,
    /// Its private key, in PEM form.
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// What rustls shows. A certificate that it cannot read, such as one of X.509 version 1, is for the server
    /// to judge; only one that belongs to another key is refused here.
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey> {
        let certificates = CertificateDer::pem_slice_iter(&self.certificates).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|e| bad("client certificate", e))?;
        if certificates.is_empty() {
            return Err(bad("client certificate", "no certificate in PEM form"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| bad("client key", e))?;
        let key = provider.key_provider.load_private_key(key).map_err(|e| bad("client key", e))?;
        let certified = CertifiedKey::new(certificates, key);
        match certified.keys_match() {
            Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(bad("client certificate", error))
            }
            _ => Ok(certified),
        }
    }
}

/// Whether the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVerify {
    /// It must be valid for the host.
    #[default]
    Yes,
    /// Any certificate will do: the connection is private to nobody.
    No,
}

fn bad(what: &str, why: impl fmt::Display) -> Error {
    Error::Config { what: what.into(), why: why.to_string() }
}

impl TlsOptions {
    /// What rustls needs to know.
    pub(crate) fn client_config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| bad("TLS", e))?;
        let roots = Arc::new(self.root_store()?);
        let builder = match self.verify {
            TlsVerify::Yes => {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                builder.with_webpki_verifier(verifier.map_err(|e| bad("certificate authorities", e))?)
            }
            TlsVerify::No => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NoVerification(Arc::clone(&provider)))),
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => {
                let certified = Arc::new(identity.certified(&provider)?);
                Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
            }
        }
    }

    /// The system's authorities, or Mozilla's where the system has none, and those that were given.
    fn root_store(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        if !self.only_these_roots {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        for pem in &self.roots {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| bad("certificate authority", e))?;
                store.add(certificate).map_err(|e| bad("certificate authority", e))?;
            }
        }
        Ok(store)
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
