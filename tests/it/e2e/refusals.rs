//! Images whose commit nobody vouches for: the pull stops, and nothing of it stays.

use std::fs;
use std::path::Path;

use super::{OURS, REF, THEIRS, Work, ready};

/// Every name below `dir` with its length, apart from the lock file.
fn snapshot(dir: &Path) -> Vec<(String, u64)> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if meta.is_dir() {
                out.push((name, 0));
                todo.push(path);
            } else if name != ".lock" {
                out.push((name, meta.len()));
            }
        }
    }
    out.sort();
    out
}

/// Pulls `image` in vain into a new repository and into one with another commit; returns the message.
fn refused(work: &Work, image: &str, options: &[&str]) -> String {
    let mut message = String::new();
    for repo in ["empty", "used"] {
        let before = snapshot(&work.path(repo));
        let to = format!("--repo={repo}");
        let args = [&["container", "pull", &to, "--ref", REF], options, &[image]].concat();
        message = work.refused(OURS, &args);
        assert_eq!(snapshot(&work.path(repo)), before, "{image} {options:?}");
        work.run(THEIRS, &["fsck", &to, "-q"]);
    }
    message
}

fn commit(work: &Work, name: &str, sign: &[&str]) {
    fs::write(work.path("tree/usr/name"), name).unwrap();
    let branch = format!("--branch={name}");
    let args = ["commit", "--repo=bare", "--parent=none", &branch, "--tree=dir=tree"];
    work.run(OURS, &[&args[..], sign].concat());
}

fn build(work: &Work, name: &str) -> String {
    work.run(OURS, &["container", "build", "--repo=bare", "--ref", name, "--oci-dir=images", "--tag", name]);
    format!("oci:images:{name}")
}

#[test]
fn images_that_nobody_vouches_for() {
    if !ready(&["gpg", THEIRS]) {
        return;
    }
    let work = Work::new();
    for repo in ["bare", "empty", "used"] {
        work.init(OURS, repo, "bare");
    }
    for name in ["signer", "other"] {
        work.key(name);
    }
    commit(&work, "signed", &["--gpg-sign=signer", "--gpg-homedir=signer"]);
    commit(&work, "unsigned", &[]);
    let [signed, unsigned] = ["signed", "unsigned"].map(|name| build(&work, name));
    work.run(OURS, &["pull-local", "--repo=used", "bare", "unsigned"]);
    work.run(OURS, &["refs", "--repo=used", "--create", REF, "unsigned"]);

    let message = refused(&work, &signed, &[]);
    assert!(message.contains("--gpg-keyring") && message.contains("ostree-unverified-image"), "{message}");
    let message = refused(&work, &signed, &["--gpg-keyring=other.gpg"]);
    assert!(message.contains("public key not found"), "{message}");
    let message = refused(&work, &unsigned, &["--gpg-keyring=signer.gpg"]);
    assert!(message.contains("no signatures"), "{message}");
    let message = refused(&work, &signed, &["--gpg-keyring=nothing.gpg"]);
    assert!(message.contains("nothing.gpg"), "{message}");
    let message = refused(&work, &format!("ostree-remote-image:nobody:{signed}"), &[]);
    assert!(message.contains("nobody"), "{message}");
    let message = refused(&work, "oci:images:nothing", &["--gpg-keyring=signer.gpg"]);
    assert!(message.contains("no image tagged"), "{message}");

    // With the right key, the same images go in.
    for repo in ["empty", "used"] {
        let to = format!("--repo={repo}");
        work.run(OURS, &["container", "pull", &to, "--ref", REF, "--gpg-keyring=signer.gpg", &signed]);
        let commits = [to.as_str(), "--repo=bare"].map(|repo| {
            work.run(OURS, &["rev-parse", repo, if repo == "--repo=bare" { "signed" } else { REF }])
        });
        assert_eq!(commits[0], commits[1]);
    }
}

/// A key that was good once: made and used at a time that is over, by gpg's clock.
#[test]
fn images_signed_with_an_expired_key() {
    if !ready(&["gpg", THEIRS]) {
        return;
    }
    let work = Work::new();
    for repo in ["bare", "empty", "used"] {
        work.init(OURS, repo, "bare");
    }
    work.key("old");
    fs::write(work.path("old/gpg.conf"), "faked-system-time 20200110T000000\n").unwrap();
    work.gpg("old", &["--quick-generate-key", "expired", "ed25519", "sign", "2020-02-01"]);
    work.gpg("old", &["-o", "expired.gpg", "--export", "expired"]);
    commit(&work, "signed", &[]);
    let list = work.gpg("old", &["--with-colons", "--list-keys", "expired"]);
    let fingerprint = list.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':');
    work.run(THEIRS, &["gpg-sign", "--repo=bare", "--gpg-homedir=old", "signed", fingerprint]);
    let image = build(&work, "signed");
    let message = refused(&work, &image, &["--gpg-keyring=expired.gpg"]);
    assert!(message.contains("expired"), "{message}");
}
