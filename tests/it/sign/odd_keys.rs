//! Keys in forms that gpg reads and does not write: whether their signatures count, beside gpg.

use std::fs;
use std::time::SystemTime;

use ostree_rs::sign::gpg::{Keyring, Status, Unusable};

use super::{Home, one};
use crate::{corpus, oracle};

#[test]
fn keys_that_others_vouch_for_or_revoke() {
    if !oracle::need("gpg") {
        return;
    }
    for (name, status, word) in [
        ("signed-back", Status::Good, "GOODSIG"),
        ("signed-back-no-flags", Status::Good, "GOODSIG"),
        ("not-signed-back", Status::Unusable(Unusable::Key), "ERRSIG"),
        ("signed-back-md5", Status::Unusable(Unusable::Key), "ERRSIG"),
        ("revoked-by-revoker", Status::KeyRevoked, "REVKEYSIG"),
        ("revoker-unknown", Status::Good, "GOODSIG"),
        ("revoked-by-stranger", Status::Good, "GOODSIG"),
        ("user-revoked", Status::Good, "GOODSIG"),
    ] {
        let home = Home::new();
        let read = |suffix: &str| fs::read(corpus::path(&format!("gpg/{name}.{suffix}"))).unwrap();
        let (ring, signature) = (read("gpg"), read("sig"));
        // As libostree has it: a copy of the file is gpg's keyring.
        fs::write(home.path("pubring.gpg"), &ring).unwrap();
        let said = home.status(&signature);
        assert!(said.contains(&format!(" {word} ")), "{name}: {said}");
        let verdict = one(&Keyring::from_bytes(&ring).unwrap(), &signature, SystemTime::now());
        assert_eq!(verdict.status, status, "{name}");
    }
}
