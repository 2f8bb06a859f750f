//! Refs, as C ostree sees them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ostree_rs::base::Ctx;
use ostree_rs::format::{Checksum, CommitId, RefSpec, RepoMode};
use ostree_rs::store::{Error, Refs, Txn, resolve_rev};
use rustix::fs::{CWD, mkfifoat};

use super::{create, files, refspec, write_commit};
use crate::oracle::{need, run};

fn id(text: &str) -> CommitId {
    CommitId::new(Checksum::of(text.as_bytes()))
}

fn ostree(repo: &Path, args: &[&str]) -> String {
    let arg = format!("--repo={}", repo.display());
    String::from_utf8(run("ostree", &[&[arg.as_str()], args].concat())).unwrap()
}

fn names(refs: impl IntoIterator<Item = RefSpec>) -> Vec<String> {
    refs.into_iter().map(|r| r.to_string()).collect()
}

#[test]
fn c_reads_what_we_write() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    for name in ["a/b/c", "a/bc", "z", "origin:a/b", "origin:only/there"] {
        repo.set_ref(&refspec(name), Some(id(name))).unwrap();
    }
    repo.set_alias(&refspec("some/alias"), &"a/bc".parse().unwrap()).unwrap();
    let theirs = ostree(tmp.path(), &["refs"]);
    let mut theirs: Vec<_> = theirs.lines().map(str::to_owned).collect();
    let mut ours = names(repo.list().unwrap().into_keys());
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
    for name in &ours {
        let theirs = ostree(tmp.path(), &["rev-parse", name]);
        assert_eq!(repo.resolve(&refspec(name)).unwrap().unwrap().to_string(), theirs.trim_end(), "{name}");
    }
    // A local name that only a remote has.
    for name in ["only/there", "origin/a/b"] {
        let theirs = ostree(tmp.path(), &["rev-parse", name]);
        assert_eq!(repo.resolve(&refspec(name)).unwrap().unwrap().to_string(), theirs.trim_end(), "{name}");
        assert_eq!(repo.resolve_exact(&refspec(name)).unwrap(), None);
    }
    assert_eq!(ostree(tmp.path(), &["refs", "--alias"]), "some/alias -> a/bc\n");
    let aliases = repo.aliases().unwrap();
    assert_eq!(aliases[&"some/alias".parse().unwrap()].as_str(), "a/bc");
    assert_eq!(names(repo.list_below(&refspec("a/b")).unwrap().into_keys()), ["a/b/c"]);
    assert_eq!(names(repo.list_below(&refspec("a/bc")).unwrap().into_keys()), ["a/bc"]);
    assert_eq!(names(repo.list_below(&refspec("origin:a")).unwrap().into_keys()), ["origin:a/b"]);
    assert_eq!(
        names(repo.list_of(Some(&"origin".parse().unwrap())).unwrap().into_keys()),
        ["origin:a/b", "origin:only/there"]
    );
}

#[test]
fn names_in_each_others_way() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    repo.set_ref(&refspec("a/b"), Some(id("1"))).unwrap();
    let error = repo.set_ref(&refspec("a"), Some(id("2"))).unwrap_err();
    assert_eq!(error.to_string(), "Conflict: a/b exists under a when attempting write");
    assert!(matches!(repo.set_ref(&refspec("a/b/c"), Some(id("2"))), Err(Error::Usage(_))));
    assert_eq!(repo.resolve(&refspec("a")).unwrap(), None);
    assert_eq!(repo.resolve(&refspec("a/b/c")).unwrap(), None);
    let digits = id("1").to_string();
    assert!(matches!(repo.set_ref(&refspec(&digits), Some(id("2"))), Err(Error::Usage(_))));

    repo.set_ref(&refspec("a/b"), None).unwrap();
    repo.set_ref(&refspec("a/b"), None).unwrap();
    repo.set_ref(&refspec("nothing/there"), None).unwrap();
    repo.set_ref(&refspec("a"), Some(id("2"))).unwrap();
    assert_eq!(names(repo.list().unwrap().into_keys()), ["a"]);

    // In one transaction, whatever the order.
    let txn = repo.begin(&Ctx::default()).unwrap();
    txn.set_ref(&refspec("a"), None).unwrap();
    txn.set_ref(&refspec("a/b"), Some(id("3"))).unwrap();
    txn.set_collection_ref(&"org.example.Other".parse().unwrap(), &"m".parse().unwrap(), Some(id("4")))
        .unwrap();
    assert_eq!(names(txn.list().unwrap().into_keys()), ["a/b"]);
    assert_eq!(names(repo.list().unwrap().into_keys()), ["a"]);
    txn.commit(&Ctx::default()).unwrap();
    assert_eq!(names(repo.list().unwrap().into_keys()), ["a/b"]);
    assert_eq!(repo.collection_refs().unwrap().len(), 1);

    fs::write(tmp.path().join("refs/heads/.rsync_info"), "").unwrap();
    assert_eq!(repo.list().unwrap().len(), 1);
    fs::write(tmp.path().join("refs/heads/broken"), "no checksum\n").unwrap();
    assert!(matches!(repo.resolve(&refspec("broken")), Err(Error::Invalid { .. })));
}

#[test]
fn refs_of_collections() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    fs::create_dir(tmp.path().join("repo")).unwrap();
    let path = tmp.path().join("repo");
    let own = "org.example.Own".parse().unwrap();
    let mut repo = ostree_rs::repo::Repo::create(super::dir(&path), RepoMode::Archive, Some(&own)).unwrap();
    repo.update_config(|file| {
        file.set_string("remote \"origin\"", "url", "file:///nowhere").unwrap();
        file.set_string("remote \"origin\"", "collection-id", "org.example.Origin").unwrap();
        Ok(())
    })
    .unwrap();
    let other = "org.example.Other".parse().unwrap();
    repo.set_collection_ref(&own, &"main".parse().unwrap(), Some(id("1"))).unwrap();
    repo.set_collection_ref(&other, &"x/y".parse().unwrap(), Some(id("2"))).unwrap();
    repo.set_ref(&refspec("origin:r"), Some(id("3"))).unwrap();
    assert_eq!(repo.resolve(&refspec("main")).unwrap(), Some(id("1")));
    let mut theirs: Vec<_> = ostree(&path, &["refs", "-c"]).lines().map(str::to_owned).collect();
    theirs.sort();
    let ours: Vec<_> =
        repo.collection_refs().unwrap().into_keys().map(|(id, name)| format!("({id}, {name})")).collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 3);
    repo.set_collection_ref(&other, &"x/y".parse().unwrap(), None).unwrap();
    assert_eq!(repo.collection_refs().unwrap().len(), 2);
    let config = Command::new("ostree")
        .arg(format!("--repo={}", path.display()))
        .args(["remote", "list"])
        .output()
        .unwrap();
    assert_eq!(config.stdout, b"origin\n");
}

/// A power cut may leave the file of a ref empty: it is seen, written anew, and deleted, and nothing is deleted
/// because of it.
#[test]
fn damaged_refs() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    repo.set_ref(&refspec("whole"), Some(id("whole"))).unwrap();
    let write =
        |name: &str, content: &str| fs::write(tmp.path().join("refs/heads").join(name), content).unwrap();
    write("empty", "");
    write("garbage", "no checksum");
    let files = repo.ref_files().unwrap();
    let expected = [("empty", None), ("garbage", None), ("whole", Some(id("whole")))];
    assert_eq!(files, expected.map(|(name, id)| (refspec(name), id)).into());
    assert_eq!(repo.resolve(&refspec("empty")).unwrap(), None);
    assert!(matches!(repo.resolve(&refspec("garbage")), Err(Error::Invalid { .. })));
    assert!(matches!(repo.list(), Err(Error::Invalid { .. })), "prune would take it for no ref at all");
    repo.set_ref(&refspec("empty"), Some(id("new"))).unwrap();
    repo.set_ref(&refspec("garbage"), None).unwrap();
    let expected = [("empty", id("new")), ("whole", id("whole"))];
    assert_eq!(repo.list().unwrap(), expected.map(|(name, id)| (refspec(name), id)).into());
}

/// An alias whose ref is gone, or refs on a disk that is not mounted: whoever deletes what no ref needs must not take
/// them for no refs, and C ostree does not.
#[test]
fn links_to_nowhere() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    let arg = format!("--repo={}", tmp.path().display());
    for target in ["gone", "."] {
        symlink(target, tmp.path().join("refs/heads/alias")).unwrap();
        for program in ["ostree", crate::cli::OURS] {
            let out = Command::new(program).args(["prune", "--refs-only", &arg]).output().unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(
                !out.status.success() && (program == "ostree" || said.contains("refs/heads/alias")),
                "{said}"
            );
        }
        assert_eq!(repo.resolve(&refspec("alias")).unwrap(), None);
        assert_eq!(repo.ref_files().unwrap(), [(refspec("alias"), None)].into());
        repo.set_ref(&refspec("alias"), None).unwrap();
        assert!(repo.list().unwrap().is_empty());
    }
    // Nor a repository that has lost the directory of its refs for one without refs.
    for dir in ["refs/heads", "refs/remotes"] {
        let dir = tmp.path().join(dir);
        fs::remove_dir(&dir).unwrap();
        for is_link in [false, true] {
            if is_link {
                symlink("gone", &dir).unwrap();
            }
            for program in ["ostree", crate::cli::OURS] {
                let out = Command::new(program).args(["prune", "--refs-only", &arg]).output().unwrap();
                let said = String::from_utf8_lossy(&out.stderr);
                assert!(!out.status.success() && said.contains("Listing refs: opendir"), "{said}");
            }
        }
        fs::remove_file(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
    }
    symlink("gone", tmp.path().join("refs/heads/alias")).unwrap();
    repo.set_ref(&refspec("alias"), Some(id("new"))).unwrap();
    assert_eq!(repo.list().unwrap(), [(refspec("alias"), id("new"))].into());
    mkfifoat(CWD, tmp.path().join("refs/heads/pipe"), 0o666.into()).unwrap();
    assert!(repo.list().unwrap_err().to_string().contains("refs/heads/pipe"));
}

/// A name that somebody gave goes before what it could abbreviate.
#[test]
fn refs_go_before_abbreviated_checksums() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    let txn = repo.begin(&Ctx::default()).unwrap();
    let (first, second) = (write_commit(&txn, &files()), write_commit(&txn, &files()[..1]));
    txn.commit(&Ctx::default()).unwrap();
    let rev = |text: &str| resolve_rev(&repo, &text.parse().unwrap()).unwrap();
    let digits = &first.to_string()[..10];
    assert_eq!(rev(digits), first);
    repo.set_ref(&refspec(digits), Some(second)).unwrap();
    assert_eq!(rev(digits), second);
    assert_eq!((rev(&first.to_string()), rev(&first.to_string()[..11])), (first, first));
}
