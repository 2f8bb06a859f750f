//! What others have put into a repository: directories of their own, links, pipes, devices, files without end.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ostree_rs::base::{self, Ctx};
use ostree_rs::format::{ObjectName, ObjectSize, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::repo::fsck::{FsckOptions, OnCorruption};
use ostree_rs::store::{Error, Hints, ObjectRead, Refs, Txn, load_commit};
use ostree_rs::transfer;
use ostree_rs::tree::{CommitOptions, write_commit as write_commit_of};

use super::{create, files, open, refspec, write_commit};
use crate::oracle::need_root;

const BOOT: &str = "8e4fcbcb-1111-4222-8333-123456789abc";
const NOBODY: u32 = 65534;

/// A repository with a commit of `main`, into whose `tmp` everybody may write.
fn repository(path: &Path, mode: RepoMode) -> Repo {
    let mut repo = create(path, mode);
    fs::set_permissions(path.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
    repo.set_boot_id(BOOT);
    let txn = repo.begin(&Ctx::default()).unwrap();
    let commit = write_commit(&txn, &files());
    txn.set_ref(&refspec("main"), Some(commit)).unwrap();
    txn.commit(&Ctx::default()).unwrap();
    repo
}

/// Commits something that is not there yet.
fn commit_more(repo: &Repo) {
    let txn = repo.begin(&Ctx::default()).unwrap();
    assert!(!txn.is_resumed(), "took over what is not ours");
    write_commit(&txn, &files()[..2]);
    txn.set_cached("hint", b"hint".to_vec());
    txn.commit(&Ctx::default()).unwrap();
}

#[test]
fn staging_directories_of_others_are_not_taken_over() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = repository(tmp.path(), RepoMode::Archive);
    let at = |name: &str| tmp.path().join(format!("tmp/staging-{BOOT}-{name}"));
    let planted = |name: &str| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("journal"), "planted").unwrap();
        at(name)
    };
    let mut all = vec![planted("aaaaaa"), planted("bbbbbb"), planted("cccccc")];
    fs::set_permissions(&all[0], Permissions::from_mode(0o777)).unwrap();
    symlink("/dev/zero", at("bbbbbb-lock")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("cccccc-lock"), 0o666.into()).unwrap();
    symlink(&all[0], at("eeeeee")).unwrap();
    if need_root() {
        all.push(planted("ffffff"));
        chown(&all[3], Some(NOBODY), Some(NOBODY)).unwrap();
        all.push(planted("gggggg"));
        fs::write(at("gggggg-lock"), "").unwrap();
        chown(at("gggggg-lock"), Some(NOBODY), None).unwrap();
    }
    commit_more(&repo);
    for dir in all {
        assert_eq!(fs::read_to_string(dir.join("journal")).unwrap(), "planted");
    }
}

#[test]
fn a_cache_that_leads_elsewhere_is_none() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = repository(&tmp.path().join("repo"), RepoMode::Archive);
    let cache = tmp.path().join("repo/tmp/cache");
    let elsewhere = tmp.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let check = || {
        commit_more(&open(&tmp.path().join("repo")));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        let txn = repo.begin(&Ctx::default()).unwrap();
        assert_eq!(txn.cached("hint"), None);
    };
    fs::remove_dir(&cache).unwrap();
    symlink(&elsewhere, &cache).unwrap();
    check();
    fs::remove_file(&cache).unwrap();
    if need_root() {
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("hint"), "planted").unwrap();
        chown(&cache, Some(NOBODY), None).unwrap();
        check();
        fs::remove_dir_all(&cache).unwrap();
    }
    // A hint that is a link is none.
    fs::create_dir(&cache).unwrap();
    fs::write(elsewhere.join("x"), "planted").unwrap();
    symlink(elsewhere.join("x"), cache.join("hint")).unwrap();
    assert_eq!(repo.begin(&Ctx::default()).unwrap().cached("hint"), None);
}

/// The files of objects, by extension.
fn object_files(repo: &Path) -> Vec<PathBuf> {
    let dirs = fs::read_dir(repo.join("objects")).unwrap().map(|dir| dir.unwrap().path());
    dirs.flat_map(|dir| fs::read_dir(dir).unwrap()).map(|file| file.unwrap().path()).collect()
}

/// Every kind of thing that is no regular file, in the place of every object: nothing waits for it, and nothing
/// takes it over.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let tmp = tempfile::tempdir().unwrap();
    for mode in [RepoMode::Archive, RepoMode::BareUser, RepoMode::BareUserOnly] {
        let path = tmp.path().join(mode.as_str());
        let repo = repository(&path, mode);
        let commit = repo.resolve(&refspec("main")).unwrap().unwrap();
        for (n, file) in object_files(&path).into_iter().enumerate() {
            let aside = tmp.path().join("aside");
            fs::rename(&file, &aside).unwrap();
            let pipe = |path: &Path| rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o666.into()).unwrap();
            let socket = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap());
            let device = |path: &Path| symlink("/dev/zero", path).unwrap();
            for put in [&pipe as &dyn Fn(&Path), &socket, &device] {
                // The name of an object is longer than that of a socket may be.
                let short = tmp.path().join("odd");
                put(&short);
                fs::rename(&short, &file).unwrap();
                let options = FsckOptions { corrupt: OnCorruption::Report, ..FsckOptions::default() };
                let report = open(&path).fsck(&options, &mut |_| {}, &Ctx::default());
                // Where links are kept as links, a link may be an object, but not this one.
                assert!(report.is_err() || report.unwrap().findings.len() == 1, "{}", file.display());
                if fs::symlink_metadata(&file).unwrap().is_symlink() {
                    fs::remove_file(&file).unwrap();
                    continue;
                }
                let target = create(&tmp.path().join(format!("{mode}{n}")), mode);
                let txn = target.begin(&Ctx::default()).unwrap();
                transfer::copy(
                    &repo,
                    &txn,
                    &[commit],
                    &transfer::TransferOptions::default(),
                    &Ctx::default(),
                )
                .unwrap_err();
                fs::remove_file(&file).unwrap();
            }
            fs::rename(&aside, &file).unwrap();
        }
    }
}

/// A file that is much too large is told by its size.
#[test]
fn a_sparse_file_is_not_read() {
    const TERABYTE: u64 = 1 << 40;
    let tmp = tempfile::tempdir().unwrap();
    let repo = repository(tmp.path(), RepoMode::Archive);
    let commit = repo.resolve(&refspec("main")).unwrap().unwrap();
    for name in [format!("objects/{}", object_path(&commit)), "refs/heads/main".into(), "config".into()] {
        let file = fs::File::options().write(true).open(tmp.path().join(&name)).unwrap();
        let Ok(()) = file.set_len(TERABYTE) else { return };
        let error = match name.as_str() {
            "config" => Repo::open(super::dir(tmp.path())).unwrap_err(),
            "refs/heads/main" => repo.resolve(&refspec("main")).unwrap_err(),
            _ => repo.read_meta(&commit.into()).unwrap_err(),
        };
        let Error::Io { source, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge, "{name}: {error}");
    }
}

fn object_path(commit: &ostree_rs::format::CommitId) -> String {
    ostree_rs::format::ObjectName::from(*commit).loose_path(RepoMode::Archive).to_string()
}

/// What cannot be begun for want of descriptors leaves nothing.
#[test]
fn without_descriptors_nothing_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = tmp.path().join("repo");
    fs::create_dir(tmp.path().join("tree")).unwrap();
    fs::write(tmp.path().join("tree/a"), "1").unwrap();
    drop(create(&repo, RepoMode::Archive));
    let script = "ulimit -n $1; exec \"$0\" --repo=repo commit -q -b x --tree=dir=tree";
    let mut last = None;
    for limit in 4..24 {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_ostree-rs"), &limit.to_string()]);
        let out = command.current_dir(tmp.path()).env_remove("OSTREE_REPO").output().unwrap();
        let left: Vec<_> = fs::read_dir(repo.join("tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "cache"), "{limit}: {left:?}");
        last = out.status.code();
        assert!(matches!(last, Some(0 | 1)), "{limit}: {}", String::from_utf8_lossy(&out.stderr));
    }
    assert_eq!(last, Some(0));
    assert!(fs::metadata(repo.join("refs/heads/x")).unwrap().size() > 0);
}

/// Where others may write, they can put a directory of theirs, or a link, in the place of one that was just made.
#[test]
fn a_directory_that_was_swapped() {
    let tmp = tempfile::tempdir().unwrap();
    let parent = fs::File::open(tmp.path()).unwrap();
    fs::create_dir(tmp.path().join("own")).unwrap();
    base::fs::open_made_dir(&parent, "own").unwrap();
    symlink("own", tmp.path().join("link")).unwrap();
    base::fs::open_made_dir(&parent, "link").unwrap_err();
    if need_root() {
        chown(tmp.path().join("own"), Some(NOBODY), None).unwrap();
        let error = base::fs::open_made_dir(&parent, "own").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
}

/// A file that is larger than the commit says is not read to be refused.
#[test]
fn a_commit_says_how_large_its_files_are() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("repo");
    let repo = create(&path, RepoMode::BareUser);
    let txn = repo.begin(&Ctx::default()).unwrap();
    let plain = write_commit(&txn, &files());
    let root = load_commit(&txn, &plain).unwrap().root;
    let (_, header, content) = &files()[1];
    let large = header.id_with(content);
    let sizes = vec![ObjectSize { object: large.into(), archived_bytes: 1, unpacked_bytes: 2_800_000 }];
    let commit = write_commit_of(&txn, root, &CommitOptions { sizes, ..CommitOptions::default() }).unwrap();
    txn.commit(&Ctx::default()).unwrap();
    repo.delete_object(&plain.into()).unwrap();
    let file = path.join("objects").join(ObjectName::from(large).loose_path(RepoMode::BareUser).as_str());
    let Ok(()) = fs::File::options().write(true).open(file).unwrap().set_len(1 << 42) else { return };
    let options = FsckOptions { corrupt: OnCorruption::Report, ..FsckOptions::default() };
    let report = open(&path).fsck(&options, &mut |_| {}, &Ctx::default()).unwrap();
    assert_eq!(report.findings.len(), 1);
    let target = create(&tmp.path().join("target"), RepoMode::Archive);
    let txn = target.begin(&Ctx::default()).unwrap();
    let copied =
        transfer::copy(&repo, &txn, &[commit], &transfer::TransferOptions::default(), &Ctx::default());
    assert!(matches!(copied, Err(Error::Corrupt { .. })), "{copied:?}");
}
