//! OpenPGP: against gpg, against C ostree, and against the signatures that libostree's own tests hold.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use chrono::Utc;
use ostree_rs::format::variant::Dict;
use ostree_rs::sign::gpg::{
    CannotSign, Error, Keyring, NewKey, SecretKeys, SignatureVerdict, Status, Unusable, UserName, lookup,
    require_valid, verify,
};
use tempfile::TempDir;

use crate::{corpus, oracle};

mod bare;
mod damage;
mod odd_keys;
mod secret;
mod trust;
mod words;

pub(crate) use bare::Openssl;

const DATA: &[u8] = b"some signed bytes\n";

/// A GnuPG home directory of its own.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
        fs::write(dir.path().join("data"), DATA).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn dir(&self) -> Dir {
        Dir::open_ambient_dir(self.0.path(), ambient_authority()).unwrap()
    }

    fn try_gpg(&self, args: &[&str]) -> Output {
        Command::new("gpg")
            .args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(args)
            .env("GNUPGHOME", self.0.path())
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let out = self.try_gpg(args);
        assert!(out.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    fn generate(&self, user: &str, algorithm: &str, expires: &str) {
        self.gpg(&["--quick-generate-key", user, algorithm, "sign", expires]);
    }

    fn sign(&self, user: &str) -> Vec<u8> {
        self.gpg(&["--detach-sign", "-u", user, "-o", "-", "data"])
    }

    fn fingerprint(&self, user: &str) -> String {
        let list = String::from_utf8(self.gpg(&["--with-colons", "--list-keys", user])).unwrap();
        let line = list.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Imports the revocation that gpg prepares for each key, behind a colon against accidents.
    fn revoke(&self, user: &str) {
        let path = self.path(&format!("openpgp-revocs.d/{}.rev", self.fingerprint(user)));
        let text = fs::read_to_string(&path).unwrap().replace(":-----BEGIN", "-----BEGIN");
        fs::write(&path, text).unwrap();
        self.gpg(&["--import", path.to_str().unwrap()]);
    }

    /// The status lines gpg gives for `signature`.
    fn status(&self, signature: &[u8]) -> String {
        fs::write(self.path("sig"), signature).unwrap();
        String::from_utf8(self.try_gpg(&["--status-fd", "1", "--verify", "sig", "data"]).stdout).unwrap()
    }

    fn keyring(&self) -> Keyring {
        Keyring::from_bytes(&self.gpg(&["--export"])).unwrap()
    }
}

fn one(keyring: &Keyring, signature: &[u8], now: SystemTime) -> SignatureVerdict {
    let mut verdicts = verify(keyring, DATA, [signature], now);
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

#[test]
fn what_libostree_expects_of_its_test_signatures() {
    let Some(dir) = oracle::installed("gpg-verify-data") else { return };
    let keyring = Keyring::from_bytes(&fs::read(dir.join("pubring.gpg")).unwrap()).unwrap();
    let data = fs::read(dir.join("lgpl2")).unwrap();
    let all = fs::read(dir.join("lgpl2.sig")).unwrap();
    let verdicts = verify(&keyring, &data, [all.as_slice()], SystemTime::now());
    let statuses: Vec<Status> = verdicts.iter().map(|v| v.status).collect();
    let expected =
        [Status::Good, Status::KeyExpired, Status::KeyRevoked, Status::KeyMissing, Status::SignatureExpired];
    assert_eq!(statuses, expected);
    assert_eq!(verdicts[1].key_expires, Some(at(1_426_782_201)));
    assert_eq!(verdicts[0].key_expires, None);
    assert!(verdicts[0].describe("", &Utc).contains("\"J. Random User <testcase@redhat.com>\""));
    let revoked = "68dcc2db4bec5811c2573590bd9d2a44b7f541a6";
    for id in [revoked, &revoked[24..]] {
        assert_eq!(lookup(&keyring, &verdicts, id), Ok(Some(2)));
    }
    let nobody = "CAFEBABECAFEBABECAFEBABECAFEBABECAFEBABE";
    assert_eq!(lookup(&keyring, &verdicts, nobody), Err(Error::NotFound(nobody.into())));
    for (at, expected) in expected.iter().enumerate() {
        let single = fs::read(dir.join(format!("lgpl2.sig{at}"))).unwrap();
        let verdicts = verify(&keyring, &data, [single.as_slice()], SystemTime::now());
        assert_eq!(verdicts[0].status, *expected);
        assert_eq!(
            require_valid(verdicts).map_err(|e| e.status()).err().flatten(),
            match expected {
                Status::Good => None,
                other => Some(*other),
            }
        );
    }
    let moved = verify(&keyring, &data[1..], [all.as_slice()], SystemTime::now());
    assert_eq!(moved.len(), 5);
    assert!(moved.iter().all(|v| matches!(v.status, Status::Bad | Status::KeyMissing)));
    let before_expiry = verify(&keyring, &data, [all.as_slice()], at(1_426_782_200));
    assert_eq!(before_expiry[1].status, Status::Good);
}

#[test]
fn what_c_ostree_signed_is_valid() {
    let repo = corpus::unpack("repos/archive.tar.zst");
    let signer = Keyring::from_bytes(&fs::read(corpus::path("repos/signer.asc")).unwrap()).unwrap();
    let other = Keyring::from_bytes(&fs::read(corpus::path("repos/other.asc")).unwrap()).unwrap();
    let objects = corpus::loose_objects(repo.path());
    let mut signed = 0;
    for (dir, name, bytes) in &objects {
        let Some(stem) = name.strip_suffix(".commitmeta") else { continue };
        let commit = format!("{stem}.commit");
        let (.., data) = objects.iter().find(|(d, n, _)| d == dir && *n == commit).unwrap();
        let meta = Dict::parse(bytes).unwrap();
        let signatures = meta.get_bytes_array("ostree.gpgsigs").unwrap();
        let verdicts = verify(&signer, data, signatures.iter().copied(), SystemTime::now());
        assert_eq!(verdicts[0].status, Status::Good);
        let verdicts = verify(&other, data, signatures, SystemTime::now());
        assert_eq!(verdicts[0].status, Status::KeyMissing);
        let error = require_valid(verdicts).unwrap_err();
        assert!(error.to_string().ends_with("Can't check signature: public key not found"), "{error}");
        signed += 1;
    }
    assert_eq!(signed, 2);
}

#[test]
fn an_expired_signature_and_an_expired_subkey() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    let then = "--faked-system-time=20200101T000000!";
    home.gpg(&[then, "--quick-generate-key", "old@example.org", "ed25519", "cert", "never"]);
    let fingerprint = home.fingerprint("old@example.org");
    home.gpg(&[then, "--quick-add-key", &fingerprint, "ed25519", "sign", "30d"]);
    let signature = home.gpg(&[then, "--default-sig-expire", "2d", "--detach-sign", "-o", "-", "data"]);
    let unlimited = home.gpg(&[then, "--detach-sign", "-o", "-", "data"]);
    let keyring = home.keyring();
    let new_year = 1_577_836_800;
    for (signature, days, status, word) in [
        (&signature, 1, Status::Good, "GOODSIG"),
        (&signature, 2, Status::SignatureExpired, "EXPSIG"),
        (&signature, 40, Status::SignatureExpired, "EXPSIG"),
        (&unlimited, 29, Status::Good, "GOODSIG"),
        (&unlimited, 31, Status::KeyExpired, "EXPKEYSIG"),
    ] {
        let now = at(new_year + days * 86400);
        assert_eq!(one(&keyring, signature, now).status, status, "day {days}");
        fs::write(home.path("sig"), signature).unwrap();
        let date =
            chrono::DateTime::<Utc>::from(now).format("--faked-system-time=%Y%m%dT%H%M%S!").to_string();
        let out = home.try_gpg(&[&date, "--status-fd", "1", "--verify", "sig", "data"]);
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(said.contains(&format!(" {word} ")), "day {days}: {said}");
    }
    let early = one(&keyring, &unlimited, at(new_year - 86400));
    assert_eq!(early.status, Status::Unusable(Unusable::Time));
    let keys = SecretKeys::from_homedir(&home.dir()).unwrap();
    assert!(keys.signer(&fingerprint, at(new_year + 86400)).is_ok());
    let late = keys.signer(&fingerprint, SystemTime::now()).map(|_| ());
    let key = keyring.find(&fingerprint).unwrap().fingerprint();
    assert_eq!(late, Err(Error::CannotSign { key, why: CannotSign::Expired }));
}

#[test]
fn md5_and_text_signatures_do_not_count() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    home.generate("old@example.org", "rsa2048", "never");
    let keyring = home.keyring();
    let weak = ["--allow-weak-digest-algos", "--digest-algo", "MD5", "--detach-sign", "-o", "-", "data"];
    assert_eq!(
        one(&keyring, &home.gpg(&weak), SystemTime::now()).status,
        Status::Unusable(Unusable::Unsupported)
    );
    let sha1 = ["--digest-algo", "SHA1", "--detach-sign", "-o", "-", "data"];
    assert_eq!(one(&keyring, &home.gpg(&sha1), SystemTime::now()).status, Status::Good);
    let text = ["--textmode", "--detach-sign", "-o", "-", "data"];
    assert_eq!(one(&keyring, &home.gpg(&text), SystemTime::now()).status, Status::Unusable(Unusable::Kind));
}

#[test]
fn every_form_of_a_keyring_holds_the_same_keys() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    home.generate("One <one@example.org>", "ed25519", "never");
    home.generate("Two <two@example.org>", "ed25519", "never");
    let names = |ring: &Keyring| -> Vec<String> { ring.certs().map(|c| c.fingerprint().to_hex()).collect() };
    let binary = home.gpg(&["--export"]);
    let ring = Keyring::from_bytes(&binary).unwrap();
    let expected = names(&ring);
    assert_eq!(expected.len(), 2);
    let blocks = [home.gpg(&["--armor", "--export", "one"]), home.gpg(&["--armor", "--export", "two"])];
    let text = [b"Hello\n".to_vec(), blocks.concat(), b"\nend\n".to_vec()].concat();
    assert_eq!(names(&Keyring::from_bytes(&text).unwrap()), expected);
    assert_eq!(names(&Keyring::from_homedir(&home.dir()).unwrap()), expected);
    assert_eq!(names(&Keyring::from_bytes(&[binary.clone(), binary.clone()].concat()).unwrap()), expected);
    assert_eq!(names(&Keyring::from_bytes(&home.gpg(&["--export-secret-keys"])).unwrap()), expected);

    // A pubring.gpg as GnuPG writes it has trust packets behind every user id and signature.
    let old = Home::new();
    fs::write(old.path("pubring.gpg"), b"").unwrap();
    fs::write(old.path("in"), &binary).unwrap();
    old.gpg(&["--import", "in"]);
    let with_trust = fs::read(old.path("pubring.gpg")).unwrap();
    let ring2 = Keyring::from_bytes(&with_trust).unwrap();
    assert_eq!(names(&ring2), expected);
    assert_eq!(ring2.certs().next().unwrap().info(&ring2, SystemTime::now()).users[0].name.name, "One");

    // And gpg reads what we write.
    fs::write(home.path("ours.gpg"), ring.to_bytes().unwrap()).unwrap();
    let listed =
        home.gpg(&["--with-colons", "--no-default-keyring", "--keyring", "./ours.gpg", "--list-keys"]);
    let listed = String::from_utf8(listed).unwrap();
    assert!(expected.iter().all(|fingerprint| listed.contains(fingerprint.as_str())), "{listed}");

    assert_eq!(names(&ring.select(&["two@example.org"]).unwrap()), expected[1..]);
    assert_eq!(ring.find("example.org").unwrap_err(), Error::Ambiguous("example.org".into()));
    assert!(Keyring::from_bytes(b"").unwrap().is_empty());
    assert!(matches!(Keyring::from_bytes(b"no key at all"), Err(Error::Malformed { .. })));
    let mut merged = Keyring::default();
    assert_eq!((merged.extend(ring.clone()), merged.extend(ring)), (2, 0));
}
