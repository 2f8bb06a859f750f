//! C ostree pulls from a server, whatever the mode of the repository behind it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Serving;
use crate::oracle::{need, run};

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A directory with a tree: small, empty and large files, links.
fn work() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let at = |path: &str| tmp.path().join(path);
    fs::create_dir_all(at("tree/usr/bin")).unwrap();
    fs::write(at("tree/usr/bin/tool"), b"#!/bin/sh\n").unwrap();
    fs::write(at("tree/usr/empty"), b"").unwrap();
    let noise = (0..900_000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    fs::write(at("tree/usr/noise"), noise.collect::<Vec<_>>()).unwrap();
    fs::write(at("tree/usr/zeros"), vec![0; 3_000_000]).unwrap();
    fs::write(at("tree/usr/just-small"), vec![b'x'; 65_536]).unwrap();
    fs::write(at("tree/usr/just-large"), vec![b'x'; 65_537]).unwrap();
    symlink("bin/tool", at("tree/usr/link")).unwrap();
    tmp
}

fn repo(dir: &Path, mode: &str, more: &[&str]) -> PathBuf {
    let repo = dir.join(mode);
    let arg = format!("--repo={}", repo.display());
    run(OURS, &[&arg, "init", &format!("--mode={mode}")]);
    let tree = format!("--tree=dir={}", dir.join("tree").display());
    let owner = ["--owner-uid=0", "--owner-gid=0", "--canonical-permissions"];
    let owner = if mode == "bare-split-xattrs" { &[][..] } else { &owner[..] };
    let commit = [&arg, "commit", "-b", "os/stable", &tree, "--timestamp=@1700000000", "-s", "First"];
    run(OURS, &[&commit[..], owner, more].concat());
    repo
}

/// The commit that a ref names.
fn commit(program: &str, repo: &Path, name: &str) -> String {
    let out = run(program, &[&format!("--repo={}", repo.display()), "rev-parse", name]);
    String::from_utf8(out).unwrap().trim().to_owned()
}

/// A new repository of C ostree with the server as its remote.
fn client(dir: &Path, name: &str, mode: &str, serving: &Serving, options: &[&str]) -> (PathBuf, String) {
    let repo = dir.join(name);
    let arg = format!("--repo={}", repo.display());
    run("ostree", &[&arg, "init", &format!("--mode={mode}")]);
    run("ostree", &[&[&*arg, "remote", "add"], options, &["origin", &serving.repo_url()]].concat());
    (repo, arg)
}

#[test]
fn every_mode() {
    if !need("ostree") {
        return;
    }
    let work = work();
    for mode in ["bare", "bare-user", "bare-user-only", "bare-split-xattrs", "archive"] {
        let repo = repo(work.path(), mode, &[]);
        let expected = commit(OURS, &repo, "os/stable");
        let serving = Serving::start(&repo);
        let name = |what: &str| format!("{mode}-{what}");

        let (pulled, arg) = client(work.path(), &name("pull"), "bare-user", &serving, &["--no-gpg-verify"]);
        run("ostree", &[&arg, "pull", "origin", "os/stable"]);
        assert_eq!(commit("ostree", &pulled, "origin:os/stable"), expected, "{mode}");
        run("ostree", &[&arg, "fsck"]);
        let refs = run("ostree", &[&arg, "remote", "refs", "origin"]);
        assert_eq!(String::from_utf8(refs).unwrap(), "origin:os/stable\n", "{mode}");
        let summary = String::from_utf8(run("ostree", &[&arg, "remote", "summary", "origin"])).unwrap();
        assert!(summary.contains(&expected) && summary.contains("os/stable"), "{mode}: {summary}");

        let (mirror, arg) = client(work.path(), &name("mirror"), "archive", &serving, &["--no-gpg-verify"]);
        run("ostree", &[&arg, "pull", "--mirror", "origin"]);
        assert_eq!(commit("ostree", &mirror, "os/stable"), expected, "{mode}");
        run("ostree", &[&arg, "fsck"]);
        assert!(serving.interrupt().success(), "{mode}");
    }
}

/// Who has the key takes the commit, and who has another one does not.
#[test]
fn signatures_travel() {
    if !need("ostree") {
        return;
    }
    let work = work();
    let at = |name: &str| work.path().join(name).display().to_string();
    for who in ["good", "other"] {
        let (secret, public) = (format!("--secret={}", at(who)), format!("--public={}.asc", at(who)));
        run(OURS, &["gpg-new-key", &secret, &public, &format!("{who} <{who}@example.org>")]);
    }
    let homedir = format!("--gpg-homedir={}", at("good"));
    let repo = repo(work.path(), "bare-user", &["--gpg-sign=good@example.org", &homedir]);
    let serving = Serving::start(&repo);
    for (who, is_good) in [("good", true), ("other", false)] {
        let import = format!("--gpg-import={}.asc", at(who));
        let (_, arg) = client(work.path(), &format!("{who}-repo"), "archive", &serving, &[&import]);
        let out = std::process::Command::new("ostree").args([&arg, "pull", "origin", "os/stable"]).output();
        let out = out.unwrap();
        assert_eq!(out.status.success(), is_good, "{who}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

/// A summary that was signed in an archive is passed on with its signature, and deltas are.
#[test]
fn what_an_archive_has_besides() {
    if !need("ostree") {
        return;
    }
    let work = work();
    let at = |name: &str| work.path().join(name).display().to_string();
    let (secret, public) = (format!("--secret={}", at("key")), format!("--public={}", at("key.asc")));
    run(OURS, &["gpg-new-key", &secret, &public, "me <me@example.org>"]);
    let homedir = format!("--gpg-homedir={}", at("key"));
    let signed = ["--gpg-sign=me@example.org", &homedir];
    let repo = repo(work.path(), "archive", &signed);
    let arg = format!("--repo={}", repo.display());
    run("ostree", &[&arg, "static-delta", "generate", "--empty", "os/stable"]);
    run(OURS, &[&[&*arg, "summary", "-u"], &signed[..]].concat());
    let serving = Serving::start(&repo);
    let expected = commit(OURS, &repo, "os/stable");
    let options =
        ["--set=gpg-verify-summary=true", &format!("--gpg-import={}", at("key.asc"))].map(str::to_owned);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (pulled, arg) = client(work.path(), "by-delta", "bare-user", &serving, &options);
    run("ostree", &[&arg, "pull", "--require-static-deltas", "origin", "os/stable"]);
    assert_eq!(commit("ostree", &pulled, "origin:os/stable"), expected);
    run("ostree", &[&arg, "fsck"]);
}

/// The server signs what it makes: C ostree asks for the signature, and again after a ref has changed.
#[test]
fn a_summary_signed_by_the_server() {
    if !need("ostree") {
        return;
    }
    let tmp = work();
    let [secret, public] = ["secret.asc", "key.asc"].map(|name| tmp.path().join(name).display().to_string());
    let halves = [format!("--secret={secret}"), format!("--public={public}")];
    run(OURS, &["gpg-new-key", &halves[0], &halves[1], "Example <os@example.org>"]);
    let homedir = format!("--gpg-homedir={secret}");
    let signing = ["--gpg-sign=os@example.org", &homedir];
    let repo = repo(tmp.path(), "bare-user", &signing);
    let serving = Serving::start_with(&repo, &signing);
    let import = format!("--gpg-import={public}");
    let (new, arg) =
        client(tmp.path(), "new", "bare-user", &serving, &["--set=gpg-verify-summary=true", &import]);
    run("ostree", &[&arg, "pull", "origin", "os/stable"]);
    assert_eq!(commit("ostree", &new, "origin:os/stable"), commit(OURS, &repo, "os/stable"));
    let get = || serving.get("/repo/summary.sig").body;
    let (first, again) = (get(), get());
    assert_eq!(first, again, "both requests of a client get what fits");

    let tree = format!("--tree=dir={}", tmp.path().join("tree").display());
    let next = ["commit", "-b", "os/stable", &tree, "-s", "Second"];
    run(OURS, &[&[&*format!("--repo={}", repo.display())][..], &next, &signing].concat());
    run("ostree", &[&arg, "pull", "origin", "os/stable"]);
    assert_eq!(commit("ostree", &new, "origin:os/stable"), commit(OURS, &repo, "os/stable"));
    assert_ne!(get(), first);
}
