//! Changed and cut signatures, keyrings and key files.

use super::*;

#[test]
fn no_byte_of_a_signature_can_be_changed_unseen() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    home.generate("rsa@example.org", "rsa2048", "never");
    home.generate("eddsa@example.org", "ed25519", "never");
    let keyring = home.keyring();
    let now = SystemTime::now();
    for user in ["rsa", "eddsa"] {
        let signature = home.sign(user);
        let good = one(&keyring, &signature, now);
        assert!(good.is_valid());
        for at in 0..signature.len() {
            for bit in 0..8 {
                let mut changed = signature.clone();
                changed[at] ^= 1 << bit;
                for verdict in verify(&keyring, DATA, [changed.as_slice()], now) {
                    assert!(
                        !verdict.is_valid() || verdict == good,
                        "{user}, byte {at}, bit {bit}: {verdict:?}"
                    );
                }
            }
            assert!(!verify(&keyring, DATA, [&signature[..at]], now).iter().any(SignatureVerdict::is_valid));
        }
    }
}

#[test]
fn damaged_keyrings_are_refused_or_read_but_never_panic() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    home.generate("One <one@example.org>", "ed25519", "never");
    let signature = home.sign("one");
    let inputs = [
        home.gpg(&["--export"]),
        home.gpg(&["--armor", "--export-secret-keys"]),
        fs::read(home.path("pubring.kbx")).unwrap(),
    ];
    for input in &inputs {
        for at in 0..input.len() {
            let mut changed = input.clone();
            changed[at] ^= 0x41;
            for bytes in [&input[..at], changed.as_slice()] {
                if let Ok(keys) = SecretKeys::from_bytes(bytes) {
                    let _ = keys.signer("one", SystemTime::now()).map(|_| ());
                    let _ = one(keys.public(), &signature, SystemTime::now());
                }
            }
        }
    }
}

#[test]
fn a_damaged_key_file_makes_no_bad_signature() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    home.generate("One <one@example.org>", "ed25519", "never");
    let keyring = home.keyring();
    let name = fs::read_dir(home.path("private-keys-v1.d")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&name).unwrap();
    let now = SystemTime::now();
    let sign = || {
        let keys = SecretKeys::from_homedir(&home.dir()).unwrap();
        keys.signer("one", now).and_then(|signer| signer.sign(DATA, now))
    };
    assert!(one(&keyring, &sign().unwrap(), now).is_valid());
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 0x05;
        for bytes in [&text[..at], changed.as_slice()] {
            fs::write(&name, bytes).unwrap();
            if let Ok(signature) = sign() {
                assert!(one(&keyring, &signature, now).is_valid(), "byte {at}");
            }
        }
    }
}
