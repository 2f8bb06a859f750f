//! The bodies of the fuzz targets: keys and signatures by anybody are refused or read, and come to an end.

use std::time::UNIX_EPOCH;

use ostree_format::fuzz::FuzzTarget;

use super::{Keyring, SecretKeys, SignedMessage, require_valid, verify};

/// The fuzz targets of this module, by name.
pub const TARGETS: [FuzzTarget; 2] = [("gpg_keys", keys), ("gpg_signature", signature)];

/// A keyring; what was read of it is written so that it is read as the same keys.
pub fn keys(data: &[u8]) {
    let _ = SecretKeys::from_bytes(data);
    let Ok(keyring) = Keyring::from_bytes(data) else { return };
    for cert in keyring.certs() {
        let _ = cert.info(&keyring, UNIX_EPOCH);
        let _ = keyring.find(&cert.fingerprint().to_string());
    }
    if let Ok(again) = keyring.to_bytes().and_then(|bytes| Keyring::from_bytes(&bytes)) {
        assert_eq!(again.certs().len(), keyring.certs().len());
    }
}

/// A signature without the key, and a signed message: neither ever counts.
pub fn signature(data: &[u8]) {
    let _ = SignedMessage::parse(data);
    let verdicts = verify(&Keyring::default(), b"data", [data], UNIX_EPOCH);
    assert!(require_valid(verdicts).is_err());
}
