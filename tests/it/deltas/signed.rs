//! Signed deltas: by our keys and by C ostree's, where it was built with them; unsigned ones where a key is named.

use std::fs;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::apply::{check, delta_dir, repo_with};
use super::{Fixture, OURS, fixture, text};
use crate::oracle::{need, run};

/// A secret key and its public half, both in base64.
fn key(seed: u8) -> (String, String) {
    let seed = [seed; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = pair.public_key().as_ref();
    (STANDARD.encode([&seed[..], public].concat()), STANDARD.encode(public))
}

fn ours(args: &[&str]) -> Output {
    Command::new(OURS).env("OSTREE_DUMMY_SIGN_ENABLED", "1").args(args).output().unwrap()
}

impl Fixture {
    fn signed(&self, options: &[&str]) -> String {
        fs::remove_dir_all(self.path().join("deltas")).ok();
        let made = ours(
            &[&[&*self.repo, "static-delta", "generate", "-q", "--from=old", "--to=new"], options].concat(),
        );
        assert!(made.status.success(), "{}", text(made.stderr));
        text(run("ostree", &[&self.repo, "static-delta", "list"])).trim().to_owned()
    }

    fn verify(&self, args: &[&str]) -> (bool, String) {
        let done = ours(&[&[&*self.repo, "static-delta", "verify"], args].concat());
        (done.status.success(), text(done.stdout) + &text(done.stderr))
    }
}

#[test]
fn signatures_are_made_and_verified() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let ((secret, public), (_, stranger)) = (key(1), key(2));
    for inline in [&[][..], &["--inline"]] {
        let name = fixture.signed(&[inline, &["--sign", &secret]].concat());
        assert_eq!(fixture.verify(&[&name, &public]), (true, "Verification OK\n".into()));
        let (is_good, said) = fixture.verify(&[&name, &stranger]);
        assert!(!is_good && said.starts_with("Verification fails\n"), "{said}");
        let file = fixture.tmp.path().join("keys");
        fs::write(&file, format!("{stranger}\n{public}\n")).unwrap();
        assert!(fixture.verify(&[&name, "--keys-file", file.to_str().unwrap()]).0);
        let shown = text(run(OURS, &[&fixture.repo, "static-delta", "show", &name]));
        assert!(shown.contains("Signed: yes\n"), "{shown}");
    }
    let name = fixture.signed(&[]);
    let (is_good, said) = fixture.verify(&[&name, &public]);
    assert!(
        !is_good && said.contains("Verification fails") && said.contains("no signatures in static-delta"),
        "{said}"
    );
}

/// The peer of Debian knows dummy signatures only: keys that are their own signatures.
#[test]
fn the_peer_verifies_ours() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let verify = |program: &str, name: &str, key: &str| {
        let args = [&*fixture.repo, "static-delta", "verify", "--sign-type=dummy", name, key];
        let done = Command::new(program).env("OSTREE_DUMMY_SIGN_ENABLED", "1").args(args).output().unwrap();
        (done.status.code(), text(done.stdout))
    };
    let name = fixture.signed(&["--sign-type=dummy", "--sign=dummysign"]);
    for key in ["dummysign", "badsign"] {
        assert_eq!(verify("ostree", &name, key), verify(OURS, &name, key));
    }
    assert_eq!(verify(OURS, &name, "dummysign"), (Some(0), "Verification OK\n".into()));
    fs::remove_dir_all(fixture.path().join("deltas")).unwrap();
    let made = Command::new("ostree")
        .env("OSTREE_DUMMY_SIGN_ENABLED", "1")
        .args([&fixture.repo, "static-delta", "generate", "--from=old", "--to=new"])
        .args(["--sign-type=dummy", "--sign=dummysign"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(made.stderr));
    assert_eq!(verify(OURS, &name, "dummysign").0, Some(0));
    assert_eq!(verify(OURS, &name, "badsign").0, Some(1));
}

#[test]
fn only_what_the_key_signed_is_applied() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let ((secret, public), (_, stranger)) = (key(3), key(4));
    let apply = |target: &str, name: &str, args: &[&str]| {
        let name = name.parse().unwrap();
        let repo = repo_with(
            &fixture,
            target,
            "bare-user",
            Some(text(run("ostree", &[&fixture.repo, "rev-parse", "old"])).trim()),
        );
        run("ostree", &[&repo, "config", "set", "core.sign-verify-deltas", "true"]);
        let done =
            ours(&[&[&*repo, "static-delta", "apply-offline", &delta_dir(&fixture, &name)], args].concat());
        (repo, done.status.success(), text(done.stderr))
    };
    let name = fixture.signed(&["--sign", &secret]);
    let (repo, is_applied, said) = apply("signed", &name, &[&public]);
    assert!(is_applied, "{said}");
    check(&repo, text(run("ostree", &[&fixture.repo, "rev-parse", "new"])).trim());
    let refused = |(repo, is_applied, said): (String, bool, String), expected: &str| {
        assert!(!is_applied && said.contains(expected), "{said}");
        let new = text(run("ostree", &[&fixture.repo, "rev-parse", "new"]));
        let listed = Command::new("ostree").args([&repo, "ls", new.trim()]).output().unwrap();
        assert!(!listed.status.success());
    };
    refused(apply("stranger", &name, &[&stranger]), "couldn't be verified");
    refused(apply("nobody", &name, &[]), "Key is mandatory to check delta signature");
    let name = fixture.signed(&[]);
    refused(apply("unsigned", &name, &[&public]), "no signatures in static-delta");
}
