//! Public keys as cosign writes them, in PEM form, and signatures by them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::container::image::{Error, Result};
use crate::sign::spki::{P384Digest, SpkiKey};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// A public key.
#[derive(Debug)]
pub struct PublicKey(SpkiKey);

impl PublicKey {
    /// Reads a key in PEM form: ECDSA with P-256 or P-384, Ed25519, RSA.
    ///
    /// # Errors
    /// [`Error::Image`] if it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let bad = |why: &str| Error::Image(format!("not a public key in PEM form: {why}"));
        let text = std::str::from_utf8(pem).map_err(|_| bad("it is not text"))?;
        let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let (body, _) = body.ok_or_else(|| bad("no BEGIN PUBLIC KEY"))?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| bad("its base64 is damaged"))?;
        SpkiKey::from_der(&der).map(Self).map_err(|_| bad("its kind is not known"))
    }

    /// Whether the key made this signature of this message. With P-384 podman and older versions of cosign sign the
    /// SHA-256, newer ones the digest that is as long as the curve.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        [P384Digest::Sha256, P384Digest::Sha384].iter().any(|p384| self.0.verify(message, signature, *p384))
    }
}
