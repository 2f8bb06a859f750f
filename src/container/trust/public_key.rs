//! Public keys as cosign writes them, and signatures by them.
//!
//! ```text
//! -----BEGIN PUBLIC KEY-----
//! SEQUENCE { SEQUENCE { OID algorithm, parameters }, BIT STRING key }       SubjectPublicKeyInfo, RFC 5280
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use crate::container::image::{Error, Result};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The algorithm identifiers that are known, as they stand in the key, and how to verify.
const ALGORITHMS: [(&[u8], &'static dyn VerificationAlgorithm); 4] = [
    // id-ecPublicKey, prime256v1
    (
        &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        &ECDSA_P256_SHA256_ASN1,
    ),
    // id-ecPublicKey, secp384r1
    (&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 34], &ECDSA_P384_SHA384_ASN1),
    // id-Ed25519
    (&[0x06, 3, 0x2b, 0x65, 0x70], &ED25519),
    // rsaEncryption, NULL
    (&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0], &RSA_PKCS1_2048_8192_SHA256),
];

/// A public key.
pub struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads a key in PEM form: ECDSA with P-256 or P-384, Ed25519, RSA.
    ///
    /// # Errors
    /// [`Error::Image`] if it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let bad = |why: &str| Error::Image(format!("public key in the policy: {why}"));
        let text = std::str::from_utf8(pem).map_err(|_| bad("not in PEM form"))?;
        let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let (body, _) = body.ok_or_else(|| bad("no BEGIN PUBLIC KEY"))?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| bad("its base64 is damaged"))?;
        Self::from_der(&der).ok_or_else(|| bad("of a kind that is not known"))
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let (outer, rest) = element(0x30, der)?;
        let (identifier, after) = element(0x30, outer)?;
        let (bits, end) = element(0x03, after)?;
        let (&unused, key) = bits.split_first()?;
        if !rest.is_empty() || !end.is_empty() || unused != 0 {
            return None;
        }
        let (_, algorithm) = ALGORITHMS.iter().find(|(known, _)| *known == identifier)?;
        // ring wants the key alone: for RSA that is the SEQUENCE of modulus and exponent.
        Some(Self { algorithm: *algorithm, key: key.to_vec() })
    }

    /// Whether the key made this signature of this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.key).verify(message, signature).is_ok()
    }
}

/// The content of the DER element `tag` at the start of `der`, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let size = usize::from(first & 0x7f);
            let length = rest.get(..size)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            (length, &rest[size..])
        }
        _ => return None,
    };
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}
