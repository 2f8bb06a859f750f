//! What is damaged in a source of this machine: passed on or refused, as by the C program.

use std::fs;
use std::path::{Path, PathBuf};

use ostree_rs::format::{ObjectName, RepoMode};

use super::{OURS, start};
use crate::oracle::{need, need_root, run};

const MODES: [RepoMode; 4] = [RepoMode::Bare, RepoMode::BareUser, RepoMode::BareUserOnly, RepoMode::Archive];

/// A repository `source` of this mode with one commit, in which files hold what is another one's; their names.
fn damaged(dir: &Path, mode: RepoMode) -> Vec<ObjectName> {
    fs::create_dir_all(dir.join("tree")).unwrap();
    let large = |byte| vec![byte; 1 << 20];
    let files = [("a", b"some".to_vec()), ("b", b"none".to_vec()), ("c", large(7)), ("d", large(8))];
    for (name, content) in files {
        fs::write(dir.join("tree").join(name), content).unwrap();
    }
    let ostree = |args: &[&str]| {
        let out = start("ostree", dir, &[&["--repo=source"], args].concat());
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    ostree(&["init", &format!("--mode={mode}")]);
    ostree(&["commit", "-b", "main", "--canonical-permissions", "--no-xattrs", "--tree=dir=tree"]);
    let list = ostree(&["ls", "-R", "-C", "main"]);
    let files = list.lines().filter(|line| line.starts_with('-'));
    let names = files.map(|line| line.split_whitespace().nth(4).unwrap());
    let names: Vec<ObjectName> = names.map(|checksum| format!("{checksum}.file").parse().unwrap()).collect();
    let path = |name: &ObjectName| dir.join("source/objects").join(name.loose_path(mode));
    let [a, b, c, d] = names[..] else { panic!("{list}") };
    for (damaged, other) in [(a, b), (c, d)] {
        fs::write(path(&damaged), fs::read(path(&other)).unwrap()).unwrap();
    }
    vec![a, c]
}

/// Damaged files pass where the C program believes the source, with the same bytes, and are
/// refused where it does not.
#[test]
fn damage_is_passed_on_by_pull_local_or_refused_as_by_c() {
    if !need("ostree") || !need_root() {
        return;
    }
    for from in MODES {
        let tmp = tempfile::tempdir().unwrap();
        let names = damaged(tmp.path(), from);
        for (to, args) in MODES.iter().flat_map(|to| [(to, &[][..]), (to, &["--untrusted"][..])]) {
            let pulled = [("ostree", "theirs"), (OURS, "ours")].map(|(program, repo)| {
                let _ = fs::remove_dir_all(tmp.path().join(repo));
                let arg = in_repo(tmp.path(), repo);
                run("ostree", &["init", &format!("--mode={to}"), &arg]);
                let line = [&["pull-local", &arg, "source", "main"], args].concat();
                (start(program, tmp.path(), &line), tmp.path().join(repo))
            });
            let what = format!("{from} to {to} {args:?}");
            let [(theirs, their_repo), (ours, our_repo)] = pulled;
            let error = String::from_utf8_lossy(&ours.stderr).into_owned();
            assert_eq!(ours.status.code(), theirs.status.code(), "{what}: {error}");
            let object = |repo: &Path, name: &ObjectName| -> Option<Vec<u8>> {
                fs::read(repo.join("objects").join(name.loose_path(*to))).ok()
            };
            match ours.status.success() {
                true => {
                    for name in &names {
                        let is_packed = *to == RepoMode::Archive && from != *to;
                        let (theirs, ours) = (object(&their_repo, name), object(&our_repo, name));
                        assert!(ours.is_some() && (ours == theirs || is_packed), "{what}: {name}");
                    }
                    let fsck = start("ostree", tmp.path(), &["fsck", &in_repo(tmp.path(), "ours")]);
                    assert!(!fsck.status.success(), "{what}: the damage is not there");
                }
                false => {
                    assert!(
                        names.iter().any(|name| error.contains(&name.checksum.to_string())),
                        "{what}: {error}"
                    );
                }
            }
        }
    }
}

/// Where the summary has to be signed, refs are what it says, whatever the source says by then.
#[test]
fn refs_are_those_of_the_signed_summary() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let run = |program: &str, args: &[&str]| start(program, tmp.path(), args);
    let ok = |program: &str, args: &[&str]| {
        let out = run(program, args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    };
    let commit = |name: &str, content: &str| {
        fs::create_dir_all(tmp.path().join("tree")).unwrap();
        fs::write(tmp.path().join("tree/file"), content).unwrap();
        ok("ostree", &["--repo=source", "commit", "-b", name, "--tree=dir=tree", "--canonical-permissions"])
    };
    ok(OURS, &["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Example OS <os@example.org>"]);
    ok("ostree", &["--repo=source", "init", "--mode=archive"]);
    let signed = commit("main", "signed");
    ok(OURS, &["--repo=source", "summary", "-u", "--gpg-sign=os@example.org", "--gpg-homedir=secret.asc"]);
    let (newer, _) = (commit("main", "newer"), commit("other", "newer"));
    for (refs, main) in [(&["main"][..], Some(&signed)), (&["other"], None), (&[], None), (&[&newer], None)] {
        let pulled = ["ostree", OURS].map(|program| {
            let _ = fs::remove_dir_all(tmp.path().join("repo"));
            ok("ostree", &["--repo=repo", "init", "--mode=archive"]);
            ok(
                "ostree",
                &["--repo=repo", "remote", "add", "--gpg-import=key.asc", "r", "http://example.org"],
            );
            let pull = ["--repo=repo", "pull-local", "--remote=r", "--gpg-verify-summary", "source"];
            let out = run(program, &[&pull, refs].concat());
            let main = run("ostree", &["--repo=repo", "rev-parse", "r:main"]);
            (
                out.status.code(),
                String::from_utf8(main.stdout).unwrap(),
                String::from_utf8(out.stderr).unwrap(),
            )
        });
        let [theirs, ours] = pulled;
        assert_eq!(ours, theirs, "{refs:?}");
        assert_eq!(main.map_or("", |main| main), ours.1.trim_end(), "{refs:?}");
    }
}

fn in_repo(dir: &Path, name: &str) -> String {
    let path: PathBuf = dir.join(name);
    format!("--repo={}", path.display())
}
