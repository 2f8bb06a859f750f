//! TLS connections: whom to trust, and the certificates that a server may ask for.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};

use super::error::{Error, Result};
use super::identity::{Identity, OneOf, PemFile};

/// Authorities that are trusted, and the certificate that the server may ask for.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Authorities that are trusted for every server.
    pub authorities: Authorities,
    /// More certificate authorities.
    pub roots: Vec<PemFile>,
    /// Certificates and keys of which the server may ask for one; a server that a redirect led to gets none.
    pub identities: Vec<Identity>,
    /// Whether the server's certificate matters.
    pub verify: TlsVerify,
}

/// Certificate authorities that are trusted for every server.
#[derive(Debug, Clone, Default)]
pub enum Authorities {
    /// Mozilla's, which are part of this program.
    #[default]
    Mozilla,
    /// Given authorities, such as those that a system trusts; an empty list means that [`TlsOptions::roots`] are all
    /// there are.
    These(Arc<[CertificateDer<'static>]>),
}

/// Whether the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVerify {
    /// The certificate must be valid for the host.
    #[default]
    Yes,
    /// The certificate does not matter: the connection is private to nobody.
    No,
}

fn bad(what: &str, why: impl fmt::Display) -> Error {
    Error::Config { what: what.into(), why: why.to_string() }
}

impl TlsOptions {
    /// The configuration for rustls.
    pub(crate) fn client_config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| bad("TLS", e))?;
        let roots = Arc::new(self.root_store()?);
        let builder = match self.verify {
            TlsVerify::Yes => {
                let webpki =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                let webpki = webpki.map_err(|e| bad("certificate authorities", e))?;
                let verifier = Verification { webpki, given: self.given()? };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            TlsVerify::No => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NoVerification(Arc::clone(&provider)))),
        };
        Ok(match self.identities.as_slice() {
            [] => builder.with_no_client_auth(),
            some => builder.with_client_cert_resolver(Arc::new(OneOf::new(some, &provider)?)),
        })
    }

    /// Every authority that is trusted. What a system trusts and cannot be read is left out.
    fn root_store(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        match &self.authorities {
            Authorities::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Authorities::These(certificates) => {
                store.add_parsable_certificates(certificates.iter().cloned());
            }
        }
        for certificate in self.given()? {
            store.add(certificate).map_err(|e| bad("certificate authority", e))?;
        }
        Ok(store)
    }

    /// The certificates of the authorities that were given.
    fn given(&self) -> Result<Vec<CertificateDer<'static>>> {
        Ok(self.roots.iter().map(PemFile::authorities).collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Accepts what webpki accepts, and the server's own certificate if we were given that to trust, whether it calls itself
/// an authority, as what `openssl req -x509` makes does, or an authority signed it that nobody gave us; so does Go. It has
/// to be valid now, which webpki checks first, and for the host.
#[derive(Debug)]
struct Verification {
    webpki: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

/// What webpki says of a certificate, where rustls has no word for it.
pub(super) fn of_webpki(error: &rustls::Error) -> Option<&webpki::Error> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => cause.downcast_ref(),
        _ => None,
    }
}

/// Whether the only fault of a certificate, up to here, is that it is an authority's, or that of one that is not known.
fn is_not_vouched_for(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
        || matches!(of_webpki(error), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for Verification {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.webpki.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(error) if is_not_vouched_for(&error) && self.given.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
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
