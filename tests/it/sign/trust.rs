//! What a remote's configuration asks for.

use std::fs;

use ostree_rs::base::WithCauses;
use ostree_rs::format::commitmeta::{self, SignatureKind};
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{Checksum, CommitId};
use ostree_rs::host::{Environment, Machine, RemoteTrust, sign_bytes};
use ostree_rs::sign::gpg::{NewKey, SecretKeys};
use ostree_rs::sign::{BareSigner, KeyKind};
use ostree_rs::store::CommitBytes;

use super::bare::Openssl;
use super::{DATA, Home};
use crate::oracle;

fn machine() -> Machine {
    Machine::new([("OSTREE_GPG_HOME", "/nowhere")].into_iter().collect::<Environment>())
}

/// The trust in a remote with this configuration, of a repository of its own.
fn trust_in(machine: &Machine, home: &Home, config: &str) -> Result<RemoteTrust, String> {
    let repo = home.path("repo");
    if !repo.exists() {
        oracle::run("ostree", &["init", "--mode=bare-user", "--repo", repo.to_str().unwrap()]);
    }
    let text = format!("[core]\nrepo_version=1\nmode=bare-user\n[remote \"o\"]\nurl=file:///x\n{config}\n");
    fs::write(repo.join("config"), text).unwrap();
    let repo = machine.open_repo(&repo).unwrap();
    machine.remote_trust(&repo, &"o".parse().unwrap()).map_err(|error| WithCauses(&error).to_string())
}

fn judge(trust: &RemoteTrust, detached: Option<&Dict>) -> Result<(), String> {
    let bytes = detached.map(Dict::to_bytes);
    let id = CommitId::new(Checksum::of(DATA));
    let commit = CommitBytes { id, bytes: DATA, detached: bytes.as_deref() };
    trust.commits().map_or(Ok(()), |voucher| voucher.vouch(&commit)).map_err(|why| why.to_string())
}

fn signed(kind: SignatureKind, signature: Vec<u8>) -> Dict {
    let mut dict = Dict::new();
    commitmeta::add_signature(&mut dict, kind, signature).unwrap();
    dict
}

#[test]
fn gpg_and_bare_keys_are_both_needed_if_both_are_asked_for() {
    if !oracle::need("openssl") {
        return;
    }
    let (home, key, machine) = (Home::new(), Openssl::ed25519(), machine());
    home.generate("A <a@example.org>", "rsa2048", "0");
    let gpg = home.sign("A");
    fs::write(home.path("a.gpg"), home.gpg(&["--export"])).unwrap();
    let path = format!("gpgkeypath={}", home.path("a.gpg").display());
    let inline = format!("verification-ed25519-key={}", key.public());
    let signer = BareSigner::from_text(KeyKind::Ed25519, &key.secret()).unwrap();
    let (by_gpg, by_key) =
        (signed(SignatureKind::Gpg, gpg.clone()), signed(SignatureKind::Ed25519, signer.sign(DATA).unwrap()));
    let mut by_both = by_key.clone();
    commitmeta::add_signature(&mut by_both, SignatureKind::Gpg, gpg).unwrap();

    let both = trust_in(&machine, &home, &format!("{path}\nsign-verify=ed25519\n{inline}")).unwrap();
    assert_eq!(judge(&both, Some(&by_both)), Ok(()));
    let error = judge(&both, Some(&by_gpg)).unwrap_err();
    assert_eq!(error, "Can't verify commit: No signatures found");
    let error = judge(&both, Some(&by_key)).unwrap_err();
    assert!(error.contains("GPG verification enabled, but no signatures found (use gpg-verify=false"));

    let off = "gpg-verify=false";
    let bare = trust_in(&machine, &home, &format!("{off}\nsign-verify=true\n{inline}")).unwrap();
    assert_eq!(judge(&bare, Some(&by_key)), Ok(()));
    assert_eq!(judge(&bare, None).unwrap_err(), "Can't verify commit without detached metadata");
    assert!(!bare.verifies_summary());
    let none = trust_in(&machine, &home, off).unwrap();
    assert!(none.commits().is_none());

    let only_gpg = trust_in(&machine, &home, &path).unwrap();
    assert_eq!(judge(&only_gpg, Some(&by_gpg)), Ok(()));
    let unknown = trust_in(&machine, &home, "").unwrap();
    let error = judge(&unknown, Some(&by_gpg)).unwrap_err();
    assert!(error.contains("Can't check signature: public key not found"), "{error}");
}

#[test]
fn a_summary_needs_what_its_own_keys_say() {
    let (home, machine) = (Home::new(), machine());
    let secret = NewKey::new("S <s@example.org>", std::time::SystemTime::now()).unwrap();
    let keys = SecretKeys::from_bytes(&secret.secret).unwrap();
    fs::write(home.path("s.asc"), &secret.public).unwrap();
    let config =
        format!("gpg-verify=false\ngpg-verify-summary=true\ngpgkeypath={}", home.path("s.asc").display());
    let trust = trust_in(&machine, &home, &config).unwrap();
    assert!(trust.commits().is_none() && trust.verifies_summary());
    let signatures = signed(SignatureKind::Gpg, sign_bytes(&keys, "s@example.org", DATA).unwrap());
    trust.judge_summary(DATA, Some(&signatures.to_bytes())).unwrap();
    assert!(trust.judge_summary(b"other", Some(&signatures.to_bytes())).is_err());
    let damaged = trust.judge_summary(DATA, Some(b"broken")).unwrap_err().to_string();
    assert!(damaged.contains("no signatures found") && damaged.contains("; summary.sig: "), "{damaged}");
    let missing = trust.judge_summary(DATA, None).unwrap_err().to_string();
    assert!(missing.starts_with("GPG verification enabled, but no summary.sig found"), "{missing}");
}

/// Keys are read whatever their files are called, and what else lies beside them is passed over: C ostree pulls, and so do
/// we.
#[test]
fn a_directory_of_keys() {
    if !oracle::need("ostree") {
        return;
    }
    let home = Home::new();
    home.generate("A <a@example.org>", "rsa2048", "0");
    let keys = home.path("keys");
    fs::create_dir_all(keys.join("below")).unwrap();
    fs::write(keys.join("README"), "the key of A").unwrap();
    fs::write(keys.join("junk.gpg"), [0; 100]).unwrap();
    let path = format!("gpgkeypath={}", keys.display());
    let judged =
        || judge(&trust_in(&machine(), &home, &path)?, Some(&signed(SignatureKind::Gpg, home.sign("A"))));
    let pulls = |program: &str| {
        let (repo, source) = (home.path("pulled"), home.path("source"));
        let (repo, source) = (repo.to_str().unwrap(), source.to_str().unwrap());
        fs::remove_dir_all(repo).ok();
        oracle::run(program, &["init", "--mode=bare-user", "--repo", repo]);
        let set = format!("--set={path}");
        oracle::run(program, &["remote", "add", "--repo", repo, &set, "o", &format!("file://{source}")]);
        let pull =
            std::process::Command::new(program).args(["pull", "--repo", repo, "o", "x"]).output().unwrap();
        pull.status.success()
    };
    let (source, homedir) = (home.path("source"), format!("--gpg-homedir={}", home.path("").display()));
    let source = source.to_str().unwrap();
    fs::create_dir(home.path("tree")).unwrap();
    oracle::run("ostree", &["init", "--mode=archive", "--repo", source]);
    let tree = format!("--tree=dir={}", home.path("tree").display());
    oracle::run(
        "ostree",
        &["commit", "--repo", source, "-b", "x", &tree, "--gpg-sign=a@example.org", &homedir],
    );
    let programs = ["ostree", env!("CARGO_BIN_EXE_ostree-rs")];
    assert!(judged().is_err());
    assert_eq!(programs.map(pulls), [false, false]);
    fs::write(keys.join("key-of-A"), home.gpg(&["--export", "--armor"])).unwrap();
    assert_eq!(judged(), Ok(()));
    assert_eq!(programs.map(pulls), [true, true]);
}

#[test]
fn dummy_signatures_count_only_where_the_environment_says_so() {
    let home = Home::new();
    let config = "gpg-verify=false\nsign-verify=dummy\nverification-dummy-key=word";
    let detached = signed(SignatureKind::Dummy, b"word".to_vec());
    let refused = judge(&trust_in(&machine(), &home, config).unwrap(), Some(&detached)).unwrap_err();
    assert!(refused.contains("dummy signature type is only for ostree testing"), "{refused}");
    let testing = Machine::new([("OSTREE_DUMMY_SIGN_ENABLED", "1")].into_iter().collect::<Environment>());
    let trust = trust_in(&testing, &home, config).unwrap();
    assert_eq!(judge(&trust, Some(&detached)), Ok(()));
    let wrong = signed(SignatureKind::Dummy, b"wrong".to_vec());
    let error = judge(&trust, Some(&wrong)).unwrap_err();
    assert_eq!(error, "Can't verify commit: signature: dummy: incorrect signatures found: 1");
}

#[test]
fn keys_that_are_asked_for_have_to_be_there() {
    let (home, machine) = (Home::new(), machine());
    let none = trust_in(&machine, &home, "gpg-verify=false\nsign-verify=ed25519").unwrap_err();
    assert_eq!(none, "No keys found for required signapi type ed25519");
    let file = "gpg-verify=false\nsign-verify=true\nverification-ed25519-file=/nowhere";
    let error = trust_in(&machine, &home, file).unwrap_err();
    assert!(error.starts_with("Failed loading 'ed25519' keys from '/nowhere"), "{error}");
    let unknown = trust_in(&machine, &home, "gpg-verify=false\nsign-verify=rot13").unwrap_err();
    assert!(unknown.contains("Requested signature type is not implemented"), "{unknown}");
}
