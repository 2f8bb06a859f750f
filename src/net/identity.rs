//! Client certificates, and which of several a server gets.

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, SignatureScheme};

use super::error::{Error, Result};

/// A file in PEM form.
#[derive(Clone)]
pub struct PemFile {
    /// The name for messages.
    pub name: String,
    /// The content.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PemFile({:?})", self.name)
    }
}

impl PemFile {
    /// The certificates in the file, each such that it can be trusted as an authority.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none, or one of them is damaged.
    pub fn authorities(&self) -> Result<Vec<CertificateDer<'static>>> {
        let certificates = self.certificates()?;
        for certificate in &certificates {
            RootCertStore::empty().add(certificate.clone()).map_err(|e| self.bad(e))?;
        }
        Ok(certificates)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let all = CertificateDer::pem_slice_iter(&self.bytes);
        let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|e| self.bad(reason(&e)))?;
        if all.is_empty() {
            return Err(self.bad("no certificate in PEM form"));
        }
        Ok(all)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| {
            let is_encrypted = self.bytes.windows(ENCRYPTED.len()).any(|bytes| bytes == ENCRYPTED);
            self.bad(match error {
                _ if is_encrypted => "the key in it is encrypted: decrypt it first, with openssl pkey".into(),
                pem::Error::NoItemsFound => "no private key in PEM form".into(),
                error => reason(&error),
            })
        })
    }

    fn bad(&self, why: impl fmt::Display) -> Error {
        Error::Config { what: self.name.clone(), why: why.to_string() }
    }
}

/// What stands in a PEM file of a key that needs a passphrase, in the older form of them, too.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM block without its END line".into(),
        pem::Error::IllegalSectionStart { .. } => "a damaged BEGIN line of a PEM block".into(),
        pem::Error::Base64Decode(_) => "the base64 of a PEM block is damaged".into(),
        other => other.to_string(),
    }
}

/// A client certificate.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate and the chain to its authority.
    pub certificates: PemFile,
    /// The private key that belongs to the certificate.
    pub key: PemFile,
}

impl Identity {
    /// The certificate as rustls shows it. One that it cannot read, such as one of X.509 version 1, is for the server
    /// to judge; only one that belongs to another key is refused here.
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey> {
        let certificates = self.certificates.certificates()?;
        let key = provider.key_provider.load_private_key(self.key.key()?).map_err(|e| self.key.bad(e))?;
        let certified = CertifiedKey::new(certificates, key);
        match certified.keys_match() {
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let key = &self.key.name;
                Err(self.certificates.bad(format_args!("the certificate belongs to another key than {key}")))
            }
            _ => Ok(certified),
        }
    }
}

/// Identities, of which a server gets the first whose authority it names, or else the first.
#[derive(Debug)]
pub(super) struct OneOf(Vec<Arc<CertifiedKey>>);

impl OneOf {
    pub(super) fn new(identities: &[Identity], provider: &CryptoProvider) -> Result<Self> {
        let each = identities.iter().map(|identity| identity.certified(provider).map(Arc::new));
        each.collect::<Result<_>>().map(Self)
    }
}

impl ResolvesClientCert for OneOf {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let is_wanted = |identity: &&Arc<CertifiedKey>| {
            let mut issuers = identity.cert.iter().filter_map(|certificate| issuer(certificate));
            identity.key.choose_scheme(schemes).is_some() && issuers.any(|name| authorities.contains(&name))
        };
        self.0.iter().find(is_wanted).or_else(|| self.0.first()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The name of the issuer in a certificate, in DER: RFC 5280, section 4.1.
fn issuer(certificate: &[u8]) -> Option<&[u8]> {
    const VERSION: u8 = 0xa0;
    let signed = element(element(certificate)?.content)?.content;
    let serial = if signed.first() == Some(&VERSION) { element(signed)?.behind } else { signed };
    let algorithm = element(serial)?.behind;
    Some(element(element(algorithm)?.behind)?.whole)
}

/// An element of DER, and what stands behind it.
struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
    behind: &'a [u8],
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (start, length) = match *der.get(1)? {
        short @ 0..=0x7f => (2, usize::from(short)),
        long @ 0x81..=0x83 => {
            let start = 2 + usize::from(long & 0x7f);
            (start, der.get(2..start)?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)))
        }
        _ => return None,
    };
    let (whole, behind) = der.split_at_checked(start + length)?;
    Some(Element { whole, content: &whole[start..], behind })
}
