//! Every byte of a small repository, tar stream and image, changed one at a time: refused with an error that
//! names what is damaged, leaving nothing behind, or read as if nothing had happened.
//!
//! All of it takes long, so a run looks at every n-th byte; `OSTREE_RS_FLIPS=1` looks at each.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::container::pull;
use crate::oracle::need_root;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Vouching};
use ostree_rs::format::{CommitId, ObjectName, ObjectType, RefSpec, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Modifier, MutableTree, Txn};
use ostree_rs::tar::{ExportOptions, ImportOptions, export_commit, import_commit};
use ostree_rs::transfer;
use ostree_rs::tree::{CommitOptions, DirOptions, add_dir, write_commit};
use tempfile::TempDir;

/// Every `n`th byte is changed, unless all are asked for.
fn stride(n: usize) -> usize {
    if std::env::var_os("OSTREE_RS_FLIPS").is_some() { 1 } else { n }
}

fn open_dir(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

fn ctx() -> Ctx {
    Ctx { jobs: std::num::NonZeroUsize::MIN, ..Ctx::default() }
}

/// A repository that does not wait for the disk.
fn new_repo(path: &Path, mode: RepoMode) -> Repo {
    fs::create_dir(path).unwrap();
    let mut repo = Repo::create(open_dir(path), mode, None).unwrap();
    let no_sync = |keys: &mut ostree_rs::format::keyfile::KeyFile| {
        keys.set_string("core", "fsync", "false").unwrap();
        keys.set_string("core", "min-free-space-percent", "0").unwrap();
        Ok(())
    };
    repo.update_config(no_sync).unwrap();
    repo
}

/// A repository with one small commit.
fn small_repo(path: &Path, mode: RepoMode) -> (Repo, CommitId) {
    let tree = TempDir::new().unwrap();
    fs::create_dir_all(tree.path().join("usr/bin")).unwrap();
    fs::write(tree.path().join("usr/bin/tool"), b"#!/bin/sh\necho tool\n").unwrap();
    fs::set_permissions(tree.path().join("usr/bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.path().join("usr/empty"), b"").unwrap();
    symlink("bin/tool", tree.path().join("usr/link")).unwrap();

    let (repo, ctx) = (new_repo(path, mode), ctx());
    let txn = repo.begin(&ctx).unwrap();
    let mut root = MutableTree::new();
    let mut modifier =
        Modifier { permissions: ostree_rs::store::Permissions::Canonical, ..Modifier::default() };
    let source = fs::File::open(tree.path()).unwrap().into();
    add_dir(&txn, &mut root, source, &mut modifier, &DirOptions::default(), &ctx).unwrap();
    let root = root.write(&txn).unwrap();
    let options = CommitOptions { subject: "Small".into(), timestamp: 1, ..CommitOptions::default() };
    let id = write_commit(&txn, root, &options).unwrap();
    txn.set_ref(&stable(), Some(id)).unwrap();
    txn.commit(&ctx).unwrap();
    (repo, id)
}

fn stable() -> RefSpec {
    "os/stable".parse().unwrap()
}

/// Every file of a repository but its config and lock, with its content and `user.ostreemeta`.
fn snapshot(repo: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(base: &Path, dir: &Path, out: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                walk(base, &path, out);
                continue;
            }
            let mut content = match kind.is_symlink() {
                true => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                false => fs::read(&path).unwrap(),
            };
            if let Ok(meta) = ostree_meta(&path) {
                content.extend(meta);
            }
            out.insert(path.strip_prefix(base).unwrap().to_owned(), content);
        }
    }
    let mut out = BTreeMap::new();
    walk(repo, repo, &mut out);
    out.retain(|path, _| path != Path::new("config") && !path.to_string_lossy().contains("lock"));
    out
}

fn ostree_meta(path: &Path) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = [0; 4096];
    let n = rustix::fs::lgetxattr(path, "user.ostreemeta", &mut buffer)?;
    Ok(buffer[..n].to_vec())
}

/// Runs `work` on a fresh repository: what it gives must be `good`, or an error that `names` the damage and
/// leaves nothing behind.
fn refused_or_same(
    work: impl FnOnce(&Repo) -> Result<(), String>,
    mode: RepoMode,
    good: &BTreeMap<PathBuf, Vec<u8>>,
    names: impl FnOnce(&str) -> bool,
    what: &str,
) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("repo");
    let repo = new_repo(&path, mode);
    match work(&repo) {
        Ok(()) => assert!(snapshot(&path) == *good, "{what}: accepted, with another result"),
        Err(message) => {
            assert!(names(&message), "{what}: does not name it: {message}");
            let left = snapshot(&path);
            assert!(left.is_empty(), "{what}: left {:?}", left.keys());
        }
    }
}

/// What a pull from `source` gives.
fn copy_all(source: &Repo, commit: &CommitId, target: &Repo) -> Result<(), String> {
    let ctx = ctx();
    let options =
        transfer::TransferOptions { trust: transfer::Trust::Nothing, ..transfer::TransferOptions::default() };
    let txn = target.begin(&ctx).map_err(|e| e.to_string())?;
    transfer::copy(source, &txn, &[*commit], &options, &ctx).map_err(|e| e.to_string())?;
    txn.set_ref(&stable(), Some(*commit)).map_err(|e| e.to_string())?;
    txn.commit(&ctx).map(drop).map_err(|e| e.to_string())
}

fn flip_objects(mode: RepoMode) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("source");
    let (repo, commit) = small_repo(&path, mode);
    let good = {
        let target = dir.path().join("good");
        copy_all(&repo, &commit, &new_repo(&target, mode)).unwrap();
        snapshot(&target)
    };
    let mut flipped = 0;
    for file in good.keys().filter(|path| path.starts_with("objects")) {
        let (path, name) = (path.join(file), object_name(file, mode));
        if path.is_symlink() {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(stride(5)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            fs::write(&path, &changed).unwrap();
            let names = |message: &str| message.contains(&name.checksum.to_string());
            let what = format!("{mode}: {name} byte {at}");
            refused_or_same(|target| copy_all(&repo, &commit, target), mode, &good, names, &what);
            flipped += 1;
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(flipped > 50, "{mode}: {flipped}");
}

fn object_name(file: &Path, mode: RepoMode) -> ObjectName {
    let mut parts = file.iter().skip(1).map(|part| part.to_str().unwrap());
    ObjectName::from_loose_path(parts.next().unwrap(), parts.next().unwrap(), mode).unwrap()
}

#[test]
fn objects_of_an_archive() {
    flip_objects(RepoMode::Archive);
}

#[test]
fn objects_of_a_bare_repository() {
    // Only root can keep the owners that a bare repository keeps.
    if !need_root() {
        return;
    }
    flip_objects(RepoMode::Bare);
    flip_objects(RepoMode::BareSplitXattrs);
}

#[test]
fn objects_of_a_bare_user_repository() {
    flip_objects(RepoMode::BareUser);
}

#[test]
fn objects_of_a_bare_user_only_repository() {
    flip_objects(RepoMode::BareUserOnly);
}

/// The metadata of a file in a bare-user repository is in an xattr.
#[test]
fn ostreemeta_of_a_bare_user_repository() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("source");
    let (repo, commit) = small_repo(&path, RepoMode::BareUser);
    let mut tried = 0;
    for file in snapshot(&path).into_keys().filter(|path| path.starts_with("objects")) {
        let name = object_name(&file, RepoMode::BareUser);
        let Ok(meta) = ostree_meta(&path.join(&file)) else { continue };
        tried += 1;
        assert_eq!(name.kind, ObjectType::File);
        for at in 0..meta.len() {
            let mut changed = meta.clone();
            changed[at] ^= 0x04;
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(path.join(&file), "user.ostreemeta", &changed, flags).unwrap();
            let names = |message: &str| message.contains(&name.checksum.to_string());
            let what = format!("{name}: user.ostreemeta byte {at}");
            let work = |target: &Repo| copy_all(&repo, &commit, target);
            refused_or_same(work, RepoMode::BareUser, &BTreeMap::new(), names, &what);
        }
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(path.join(&file), "user.ostreemeta", &meta, flags).unwrap();
    }
    assert!(tried > 0);
}

#[test]
fn tar_stream() {
    let dir = TempDir::new().unwrap();
    let (repo, commit) = small_repo(&dir.path().join("source"), RepoMode::BareUser);
    let mut stream = Vec::new();
    export_commit(&repo, &commit, &mut stream, &ExportOptions::default(), &ctx()).unwrap();

    let import = |stream: &[u8], target: &Repo| -> Result<(), String> {
        let ctx = ctx();
        let txn = target.begin(&ctx).map_err(|e| e.to_string())?;
        let id = import_commit(&mut &stream[..], &txn, &ImportOptions::default(), &ctx)
            .map_err(|e| e.to_string())?;
        txn.set_ref(&stable(), Some(id)).map_err(|e| e.to_string())?;
        txn.commit(&ctx).map(drop).map_err(|e| e.to_string())
    };
    let path = dir.path().join("good");
    import(&stream, &new_repo(&path, RepoMode::BareUser)).unwrap();
    let good = snapshot(&path);
    for at in (0..stream.len()).step_by(stride(211)) {
        let mut changed = stream.clone();
        changed[at] ^= 0x55;
        let what = format!("tar stream byte {at}");
        // An error names the object by its checksum or path, or the place in the stream.
        let names = |message: &str| {
            message.contains("byte")
                || message.contains("objects/")
                || message.split(|c: char| !c.is_ascii_hexdigit()).any(|word| word.len() == 64)
        };
        refused_or_same(|target| import(&changed, target), RepoMode::BareUser, &good, names, &what);
    }
}

#[test]
fn image() {
    let dir = TempDir::new().unwrap();
    let (repo, commit) = small_repo(&dir.path().join("source"), RepoMode::BareUser);
    let oci = dir.path().join("oci");
    fs::create_dir(&oci).unwrap();
    let layout = OciLayout::create(open_dir(&oci), Some("tag")).unwrap();
    build(&repo, &commit, &layout, &BuildOptions::default(), &ctx()).unwrap();

    let pull_image = |target: &Repo| -> Result<(), String> {
        let ctx = ctx();
        let source = OciLayout::open(open_dir(&oci), Some("tag")).map_err(|e| e.to_string())?;
        let name = Some(stable());
        let options = PullOptions { vouching: Vouching::Nobody, name, ..PullOptions::default() };
        pull(&source, target, &options, &ctx).map(drop).map_err(|e| e.to_string())
    };
    let path = dir.path().join("good");
    pull_image(&new_repo(&path, RepoMode::BareUser)).unwrap();
    let good = snapshot(&path);

    let mut files: Vec<PathBuf> = snapshot(&oci).into_keys().collect();
    files.retain(|file| oci.join(file).is_file());
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let bytes = fs::read(oci.join(&file)).unwrap();
        let step = if bytes.len() > 2000 { 31 } else { 3 };
        for at in (0..bytes.len()).step_by(stride(step)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x15;
            fs::write(oci.join(&file), &changed).unwrap();
            let what = format!("{} byte {at}", file.display());
            let blob = file.file_name().unwrap().to_str().unwrap();
            let names = |message: &str| match file.starts_with("blobs") {
                true => message.contains(blob),
                // The index also names the tag and the manifest's digest.
                false => {
                    ["tag", "sha256", blob, "version", "layout"].iter().any(|word| message.contains(word))
                }
            };
            refused_or_same(pull_image, RepoMode::BareUser, &good, names, &what);
        }
        fs::write(oci.join(&file), &bytes).unwrap();
    }
}
