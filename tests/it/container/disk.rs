//! Pulls into a repository on disk: signatures, and nothing left behind by a failure.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::image::Arch;
use ostree_rs::base::{Ctx, ErrorKind, Kind};
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::{Image, ImageSource, Result};
use ostree_rs::container::place::{OciArchive, OciArchiveWriter, OciLayout};
use ostree_rs::container::pull::{PullOptions, Pulled, Vouching};
use ostree_rs::format::commitmeta::{SignatureKind, signatures};
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{RefSpec, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::sign::gpg::{self, Keyring};
use ostree_rs::store::Completeness;
use ostree_rs::store::{CommitBytes, Refusal};

use super::{dir, find_layout, new_layout, pull};
use crate::tar::{bare_store, commit_of, stable};
use crate::{corpus, oracle};

fn keyring(name: &str) -> Keyring {
    Keyring::from_bytes(&fs::read(corpus::path(name)).unwrap()).unwrap()
}

/// Pulls and names the commit, or drops the transaction.
fn pull_verified(repo: &Repo, source: &dyn ImageSource, keyring: &Keyring) -> Result<Pulled> {
    let ctx = Ctx::default();
    let verify = |commit: &CommitBytes<'_>| -> Result<(), Refusal> {
        let detached = commit.detached.map(Dict::parse).transpose()?.unwrap_or_default();
        let signatures = signatures(&detached, SignatureKind::Gpg)?;
        gpg::require_valid(gpg::verify(keyring, commit.bytes, signatures, SystemTime::now()))?;
        Ok(())
    };
    let name = Some("os/pulled".parse::<RefSpec>().unwrap());
    let options = PullOptions { vouching: Vouching::By(&verify), name, ..PullOptions::default() };
    pull(source, repo, &options, &ctx)
}

/// Every path below `root`.
fn listing(root: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let shown = entry.path().strip_prefix(root).unwrap().display().to_string();
            // Appears with the first lock and stays.
            if shown != ".lock" {
                out.insert(shown);
            }
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
        }
    }
    out
}

fn new_repo(path: &Path, mode: RepoMode) -> Repo {
    fs::create_dir_all(path).unwrap();
    Repo::create(dir(path), mode, None).unwrap()
}

#[test]
fn signed_images_by_ostree_ext() {
    let theirs = corpus::unpack("ostree-ext/oci.tar.zst");
    let layout = find_layout(theirs.path());
    let temp = tempfile::tempdir().unwrap();
    for mode in [RepoMode::Archive, RepoMode::BareUser] {
        for tag in ["single", "chunked"] {
            let path = temp.path().join(format!("{mode}-{tag}"));
            let repo = new_repo(&path, mode);
            let before = listing(&path);
            let source = OciLayout::open(dir(&layout), Some(tag)).unwrap();

            let refused = pull_verified(&repo, &source, &keyring("repos/other.asc")).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
            assert_eq!(listing(&path), before);

            let pulled = pull_verified(&repo, &source, &keyring("repos/signer.asc")).unwrap();
            assert_eq!(pulled.commit, stable());
            if oracle::need("ostree") {
                let repo = format!("--repo={}", path.display());
                oracle::run("ostree", &["fsck", "-q", &repo]);
                let id = oracle::run("ostree", &["rev-parse", &repo, "os/pulled"]);
                assert_eq!(String::from_utf8(id).unwrap().trim(), stable().to_string());
            }
        }
    }
}

#[test]
fn our_archive_keeps_the_signature() {
    let temp = tempfile::tempdir().unwrap();
    let name = Path::new("image.tar");
    let writer = OciArchiveWriter::create(&dir(temp.path()), name, Some("x")).unwrap();
    let built = build(&bare_store(), &stable(), &writer, &BuildOptions::default(), &Ctx::default()).unwrap();
    writer.finish().unwrap();
    let source = OciArchive::open(File::open(temp.path().join(name)).unwrap(), None).unwrap();
    let repo = new_repo(&temp.path().join("repo"), RepoMode::Archive);
    let pulled = pull_verified(&repo, &source, &keyring("repos/signer.asc")).unwrap();
    assert_eq!((pulled.commit, pulled.manifest), (stable(), built.manifest));
}

#[test]
fn a_commit_without_signature_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let store = ostree_rs::store::MemStore::new();
    let commit = commit_of(&store, &["usr/bin/sh"]);
    let layout = new_layout(&temp.path().join("layout"), None);
    build(&store, &commit, &layout, &BuildOptions::default(), &Ctx::default()).unwrap();
    let path = temp.path().join("repo");
    let repo = new_repo(&path, RepoMode::Archive);
    let before = listing(&path);
    let result = pull_verified(&repo, &layout, &keyring("repos/signer.asc"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(listing(&path), before);
}

#[test]
fn a_damaged_layer_leaves_nothing() {
    let theirs = corpus::unpack("ostree-ext/oci.tar.zst");
    let layout = find_layout(theirs.path());
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("repo");
    let repo = new_repo(&path, RepoMode::Archive);
    let keyring = keyring("repos/signer.asc");
    let mut refused = 0;
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()) {
        let bytes = fs::read(&blob).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 5 + 1) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(&blob, &flipped).unwrap();
            for tag in ["single", "chunked"] {
                let source = OciLayout::open(dir(&layout), Some(tag)).unwrap();
                let fresh = tempfile::tempdir().unwrap();
                let target = new_repo(fresh.path(), RepoMode::Archive);
                let name = Some("x".parse::<RefSpec>().unwrap());
                let options = PullOptions { vouching: Vouching::Nobody, name, ..PullOptions::default() };
                match pull(&source, &target, &options, &Ctx::default()) {
                    Ok(pulled) => assert_eq!(pulled.commit, stable()),
                    Err(_) => {
                        refused += 1;
                        // Layers that are whole may wait for the next pull.
                        let mut left = listing(fresh.path());
                        left.retain(|path| path.starts_with("objects/") || path.starts_with("refs/"));
                        left.retain(|path| fresh.path().join(path).is_file());
                        assert_eq!(left, BTreeSet::new());
                    }
                }
            }
        }
        fs::write(&blob, &bytes).unwrap();
    }
    assert!(refused > 20);
    let source = OciLayout::open(dir(&layout), Some("chunked")).unwrap();
    let pulled = pull_verified(&repo, &source, &keyring).unwrap();
    // A commit that is complete stays so if a pull of it fails.
    let chunk = fs::read(find_chunk(&layout, &source)).unwrap();
    fs::write(find_chunk(&layout, &source), &chunk[1..]).unwrap();
    // Otherwise it is not even fetched.
    fs::remove_file(path.join("tmp/cache/ostree-rs-layers")).unwrap();
    pull_verified(&repo, &source, &keyring).unwrap_err();
    assert_eq!(repo.completeness(&pulled.commit).unwrap(), Completeness::Complete);
}

/// The blob of the last layer.
fn find_chunk(layout: &Path, source: &OciLayout) -> PathBuf {
    let image = Image::fetch(source, &Arch::default()).unwrap();
    let layer = image.manifest.layers().last().unwrap();
    layout.join("blobs/sha256").join(layer.digest().digest())
}
