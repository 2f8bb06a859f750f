//! New keys: Ed25519, without a passphrase, able to sign and never expiring.

use std::time::SystemTime;

use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::KeyFlags;

use super::{Error, Result, SecretKeys};

/// A key that was just made, as files of it are written: ASCII armor, which `gpg --import` reads, too.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The fingerprint of the key, in hexadecimal digits.
    pub fingerprint: String,
    /// The secret key with its certificate, for signing.
    pub secret: Vec<u8>,
    /// The certificate alone, for verifying.
    pub public: Vec<u8>,
}

impl NewKey {
    /// Makes a key that belongs to `user` (`Name <mail@address>`) and was made at `now`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the system gives no random numbers.
    pub fn new(user: &str, now: SystemTime) -> Result<Self> {
        let failed = |error: sequoia_openpgp::anyhow::Error| Error::Malformed {
            what: "new key",
            why: error.to_string(),
        };
        let (cert, _) = CertBuilder::new()
            .add_userid(user)
            .set_creation_time(now)
            .set_cipher_suite(CipherSuite::Cv25519)
            .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
            .generate()
            .map_err(failed)?;
        Ok(Self {
            fingerprint: cert.fingerprint().to_hex(),
            secret: cert.as_tsk().armored().to_vec().map_err(failed)?,
            public: cert.armored().to_vec().map_err(failed)?,
        })
    }
}

impl SecretKeys {
    /// Makes a [`NewKey`] for use in this process: nobody backs it up.
    ///
    /// # Errors
    /// As [`NewKey::new`].
    pub fn generate(user: &str, now: SystemTime) -> Result<Self> {
        Self::from_bytes(&NewKey::new(user, now)?.secret)
    }
}
