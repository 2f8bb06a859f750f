//! Bare keys: against openssl's command line, and against a commit that libostree signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostree_rs::format::commitmeta;
use ostree_rs::format::variant::Dict;
use ostree_rs::sign::{BareSigner, Error, KeyKind, PublicKeys, Unverified};
use tempfile::TempDir;

use super::DATA;
use crate::{corpus, oracle};

/// The public key of the commit in the corpus.
pub(super) const LIBOSTREE_KEY: &str = "45yzbkuEok0lLabxzdAHWUDSMZgYfxU40sN+LMfYHVA=";

/// A key of openssl's making.
pub(crate) struct Openssl(TempDir);

impl Openssl {
    pub(crate) fn generate(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("data"), DATA).unwrap();
        let key = Self(dir);
        key.run(&[&["genpkey", "-out", "secret.pem"], args].concat());
        key.run(&["pkey", "-in", "secret.pem", "-pubout", "-out", "public.pem"]);
        key
    }

    pub(crate) fn ed25519() -> Self {
        Self::generate(&["-algorithm", "ed25519"])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, args: &[&str]) -> Vec<u8> {
        let out = Command::new("openssl").args(args).current_dir(self.0.path()).output().unwrap();
        assert!(out.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    /// The public key of an Ed25519 key, as libostree writes it.
    pub(crate) fn public(&self) -> String {
        let der = self.run(&["pkey", "-in", "secret.pem", "-pubout", "-outform", "DER"]);
        STANDARD.encode(&der[der.len() - 32..])
    }

    /// The seed and the public key of an Ed25519 key, as libostree writes them.
    pub(crate) fn secret(&self) -> String {
        let der = self.run(&["pkey", "-in", "secret.pem", "-outform", "DER"]);
        let mut key = der[der.len() - 32..].to_vec();
        key.extend(STANDARD.decode(self.public()).unwrap());
        STANDARD.encode(key)
    }

    /// Signs with the digest that openssl takes by itself.
    fn sign(&self) -> Vec<u8> {
        fs::write(self.path("data"), DATA).unwrap();
        self.run(&["pkeyutl", "-sign", "-rawin", "-inkey", "secret.pem", "-in", "data", "-out", "sig"]);
        fs::read(self.path("sig")).unwrap()
    }

    /// Whether openssl finds this a good signature of that data.
    pub(crate) fn verifies_data(&self, data: &[u8], signature: &[u8]) -> bool {
        fs::write(self.path("data"), data).unwrap();
        fs::write(self.path("ours"), signature).unwrap();
        let args = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "data"];
        let mut command = Command::new("openssl");
        command.args(args).args(["-sigfile", "ours"]).current_dir(self.0.path());
        command.output().unwrap().status.success()
    }
}

fn trusting(kind: KeyKind, texts: &[&str]) -> PublicKeys {
    let mut keys = PublicKeys::new(kind);
    texts.iter().for_each(|text| keys.trust(text).unwrap());
    keys
}

#[test]
fn ed25519_agrees_with_openssl() {
    if !oracle::need("openssl") {
        return;
    }
    let (key, other) = (Openssl::ed25519(), Openssl::ed25519());
    let signer = BareSigner::from_text(KeyKind::Ed25519, &key.secret()).unwrap();
    let signature = signer.sign(DATA).unwrap();
    assert_eq!(signature, key.sign());
    assert!(key.verifies_data(DATA, &signature));

    let keys = trusting(KeyKind::Ed25519, &[&other.public(), &key.public()]);
    let verified = keys.verify(DATA, &[&signature]).unwrap().to_string();
    let hex = hex::encode(STANDARD.decode(key.public()).unwrap());
    assert_eq!(verified, format!("ed25519: Signature verified successfully with key '{hex}'"));

    let error = trusting(KeyKind::Ed25519, &[&other.public()]).verify(DATA, &[&signature]).unwrap_err();
    let hex = hex::encode(STANDARD.decode(other.public()).unwrap());
    assert_eq!(error.to_string(), format!("ed25519: Signature couldn't be verified with: key '{hex}'"));
    assert!(keys.verify(b"other data", &[&signature]).is_err());
    assert_eq!(keys.verify(DATA, &[&signature[1..]]), Err(Unverified::Length { got: 63 }));
    assert_eq!(keys.verify(DATA, &[]), Err(Unverified::NotSigned(KeyKind::Ed25519)));
    let none = PublicKeys::new(KeyKind::Ed25519).verify(DATA, &[&signature]);
    assert_eq!(none, Err(Unverified::NoKeys(KeyKind::Ed25519)));
}

#[test]
fn spki_agrees_with_openssl() {
    if !oracle::need("openssl") {
        return;
    }
    let ec = |curve: &'static str| ["-algorithm", "EC", "-pkeyopt", curve];
    let kinds: [&[&str]; 6] = [
        &["-algorithm", "ed25519"],
        &["-algorithm", "ed448"],
        &ec("ec_paramgen_curve:P-256"),
        &ec("ec_paramgen_curve:P-384"),
        &ec("ec_paramgen_curve:P-521"),
        &["-algorithm", "RSA"],
    ];
    for args in kinds {
        let key = Openssl::generate(args);
        let mut keys = PublicKeys::new(KeyKind::Spki);
        assert_eq!(keys.trust_file(&key.text("public.pem")), Ok(1), "{args:?}");
        keys.verify(DATA, &[&key.sign()]).unwrap();
        assert!(keys.verify(b"other data", &[&key.sign()]).is_err());

        let signers = BareSigner::read_file(KeyKind::Spki, &key.text("secret.pem")).unwrap();
        assert_eq!(signers.len(), 1, "{args:?}");
        // Often enough for numbers that start with zeros or a bit that looks like a sign.
        for data in (0..20).map(|n| [DATA, &[n]].concat()) {
            let signature = signers[0].sign(&data).unwrap();
            assert!(key.verifies_data(&data, &signature), "{args:?}");
            keys.verify(&data, &[b"no signature", &signature]).unwrap();
            assert!(keys.verify(DATA, &[&signature]).is_err());
        }
    }
}

#[test]
fn what_libostree_signed_is_verified() {
    let name = "libostree/c446da06d994d2e993fa508bd40eae1e392bdc101d02ac3783e0cf7633866b3c";
    let read = |suffix: &str| fs::read(corpus::path(&format!("{name}.{suffix}"))).unwrap();
    let (commit, detached) = (read("commit"), Dict::parse(&read("commitmeta")).unwrap());
    let signatures = commitmeta::signatures(&detached, KeyKind::Ed25519.signature_kind()).unwrap();
    let keys = trusting(KeyKind::Ed25519, &[LIBOSTREE_KEY]);
    keys.verify(&commit, &signatures).unwrap();
    assert!(keys.verify(&commit[1..], &signatures).is_err());
}

#[test]
fn a_revoked_key_counts_nowhere() {
    if !oracle::need("openssl") {
        return;
    }
    let (key, other) = (Openssl::ed25519(), Openssl::ed25519());
    let mut keys = PublicKeys::new(KeyKind::Ed25519);
    assert_eq!(keys.trust_file(&format!("{}\n{}\n", key.public(), other.public())), Ok(2));
    keys.verify(DATA, &[&key.sign()]).unwrap();
    assert_eq!(keys.revoke_file(&key.public()), Ok(1));
    assert!(keys.verify(DATA, &[&key.sign()]).is_err());
    keys.verify(DATA, &[&key.sign(), &other.sign()]).unwrap();
    // What was meant to revoke a key and does not is an error: the key would go on being trusted.
    for bad in [format!("{} # stolen\n", other.public()), format!("{}\nother\n", other.public())] {
        assert!(matches!(keys.revoke_file(&bad), Err(Error::Length { .. })), "{bad}");
    }
    assert_eq!(keys.revoke_file("# none\n\n"), Ok(0));
    keys.verify(DATA, &[&other.sign()]).unwrap();
    let mut spki = PublicKeys::new(KeyKind::Spki);
    assert_eq!(spki.revoke_file(&key.text("public.pem")), Ok(1));
    assert_eq!(spki.revoke_file("# none\n"), Ok(0));
    assert!(matches!(spki.revoke_file(&key.public()), Err(Error::File(_))));
}

#[test]
fn damaged_keys_are_refused_with_their_length() {
    let public = PublicKeys::new(KeyKind::Ed25519).trust("AAAA").unwrap_err().to_string();
    assert_eq!(public, "Invalid ed25519 public key: Ill-formed input: expected 32 bytes, got 3 bytes");
    let secret = BareSigner::from_text(KeyKind::Ed25519, "AAAA").unwrap_err().to_string();
    assert_eq!(secret, "Invalid ed25519 secret key: Ill-formed input: expected 64 bytes, got 3 bytes");
    let halves = BareSigner::from_text(KeyKind::Ed25519, &STANDARD.encode([7; 64]));
    assert!(matches!(halves, Err(Error::Malformed { .. })));
    let file = PublicKeys::new(KeyKind::Ed25519).trust_file("AAAA\n");
    assert!(matches!(file, Err(Error::Length { got: 3, .. })));
    let path = Path::new("no such kind").to_str().unwrap().parse::<KeyKind>();
    assert_eq!(path.unwrap_err().to_string(), "Requested signature type is not implemented");
}
