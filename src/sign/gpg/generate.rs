//! New keys, for tests and demonstrations: nobody backs them up.

use std::time::SystemTime;

use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::KeyFlags;

use super::{Error, Result, SecretKeys};

impl SecretKeys {
    /// A new Ed25519 key without a passphrase that can sign, belongs to `user` (`Name <mail@address>`), was made
    /// at `now` and never expires.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the system gives no random numbers.
    pub fn generate(user: &str, now: SystemTime) -> Result<Self> {
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
        Self::from_bytes(&cert.as_tsk().to_vec().map_err(failed)?)
    }
}
