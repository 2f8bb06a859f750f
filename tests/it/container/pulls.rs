//! Pulls: of ostree-ext's images, and of images that somebody tampered with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use oci_spec::image::{Arch, ImageConfiguration, ImageManifest, MediaType};
use ostree_rs::base::{Ctx, ErrorKind, Event, Kind as _, Outcome, Progress};
use ostree_rs::container::image::{
    Digest, Error, Image, ImageDest, ImageSource, RawManifest, Result, put_json,
};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Pulled, Vouching};
use ostree_rs::format::{CommitId, ObjectName, ObjectType};
use ostree_rs::store::{
    CommitBytes, Completeness, MemStore, ObjectRead, Reachable, Refs, Refusal, TreeEntry, Txn, load_commit,
    load_commitmeta, lookup, resolve_rev, walk_commit,
};
use ostree_rs::tar::{self, ContentErrorKind};
use tempfile::TempDir;

use super::{dir, find_layout, pull};
use crate::corpus;
use crate::tar::{bare_store, stable};

const TAGS: [&str; 2] = ["single", "chunked"];

fn theirs() -> (TempDir, PathBuf) {
    let temp = corpus::unpack("ostree-ext/oci.tar.zst");
    let path = find_layout(temp.path());
    (temp, path)
}

fn pull_unverified(path: &Path, tag: &str, store: &MemStore) -> Result<Pulled> {
    let source = OciLayout::open(dir(path), Some(tag))?;
    let options = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
    pull(&source, store, &options, &Ctx::default())
}

/// Everything that belongs to the commit is there, and complete.
pub(crate) fn assert_holds(store: &MemStore, commit: &CommitId) {
    let mut objects = 0;
    walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        assert!(store.contains(&name)?, "{name}");
        objects += 1;
        Ok(())
    })
    .unwrap();
    assert!(objects > 10);
    assert_eq!(store.completeness(commit).unwrap(), Completeness::Complete);
    assert!(load_commitmeta(store, commit).unwrap().is_some());
}

#[test]
fn images_by_ostree_ext() {
    let (_temp, path) = theirs();
    for tag in TAGS {
        let store = MemStore::new();
        let pulled = pull_unverified(&path, tag, &store).unwrap();
        assert_eq!(pulled.commit, stable());
        let source = OciLayout::open(dir(&path), Some(tag)).unwrap();
        assert_eq!(pulled.manifest, source.manifest().unwrap().digest);
        assert_holds(&store, &stable());
        let original = load_commitmeta(&bare_store(), &stable()).unwrap();
        assert_eq!(load_commitmeta(&store, &stable()).unwrap(), original);
        // Again: everything is there already.
        assert_eq!(pull_unverified(&path, tag, &store).unwrap(), pulled);
    }
}

/// Sums up what is reported.
#[derive(Default)]
struct Sum(Mutex<(u64, u64, u64, u64)>);

impl Progress for Sum {
    fn event(&self, event: Event<'_>) {
        let mut sum = self.0.lock().unwrap();
        match event {
            Event::Phase { bytes, .. } => sum.0 += bytes.unwrap(),
            Event::Done { objects, bytes } => {
                sum.1 += bytes;
                sum.2 += objects;
            }
            Event::ItemStart { bytes, .. } => sum.3 += bytes.unwrap(),
            Event::ItemAdvance { bytes, .. } => sum.3 -= bytes,
            Event::ItemEnd { outcome, .. } => assert_eq!(outcome, Outcome::Done),
            Event::Note { text } | Event::Warning { text } => panic!("{text}"),
            _ => {}
        }
    }
}

#[test]
fn progress_ends_where_it_says() {
    let (_temp, path) = theirs();
    for tag in TAGS {
        let source = OciLayout::open(dir(&path), Some(tag)).unwrap();
        let sum = Arc::new(Sum::default());
        let ctx = Ctx { progress: Arc::<Sum>::clone(&sum), ..Ctx::default() };
        let options = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
        let store = MemStore::new();
        pull(&source, &store, &options, &ctx).unwrap();
        let mut files = 0;
        walk_commit(&store, &stable(), &mut Reachable::default(), &mut |name| {
            files += u64::from(name.kind == ObjectType::File);
            Ok(())
        })
        .unwrap();
        let (expected, bytes, objects, left) = *sum.0.lock().unwrap();
        assert_eq!(left, 0);
        assert_eq!(bytes, expected);
        assert_eq!(objects, files);
    }
}

#[test]
fn the_signature_is_checked_before_anything_is_written() {
    let (_temp, path) = theirs();
    for tag in TAGS {
        let source = OciLayout::open(dir(&path), Some(tag)).unwrap();
        let store = MemStore::new();
        let undecided = pull(&source, &store, &PullOptions::default(), &Ctx::default());
        assert!(matches!(undecided, Err(Error::NoSignaturePolicy)));
        let seen = AtomicUsize::new(0);
        let refuse = |commit: &CommitBytes<'_>| -> Result<(), Refusal> {
            assert_eq!(commit.id, stable());
            assert_eq!(*Digest::of(commit.bytes).checksum(), *stable().checksum());
            assert!(commit.detached.is_some_and(|d| d.windows(14).any(|w| w == b"ostree.gpgsigs")));
            assert!(!store.contains(&ObjectName::from(stable())).unwrap());
            seen.fetch_add(1, Relaxed);
            Err("no".into())
        };
        let options = PullOptions { vouching: Vouching::By(&refuse), ..PullOptions::default() };
        let refused = pull(&source, &store, &options, &Ctx::default()).unwrap_err();
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Refused, "no".to_owned()));
        assert_eq!(seen.load(Relaxed), 1);
        let root = ostree_rs::store::load_commit(&bare_store(), &stable()).unwrap().root;
        for name in [ObjectName::from(stable()), root.tree.into(), root.meta.into()] {
            assert!(!store.contains(&name).unwrap());
        }
        assert!(resolve_rev(&store, &"os/stable".parse().unwrap()).is_err());
    }
}

/// Stores a changed image under the tag `new`.
fn change(path: &Path, tag: &str, change: impl FnOnce(&mut ImageManifest, &mut ImageConfiguration)) {
    let Image { mut manifest, mut config, .. } =
        Image::fetch(&OciLayout::open(dir(path), Some(tag)).unwrap(), &Arch::default()).unwrap();
    change(&mut manifest, &mut config);
    let dest = OciLayout::create(dir(path), Some("new")).unwrap();
    manifest.set_config(put_json(&dest, MediaType::ImageConfig, &config).unwrap());
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, None).unwrap();
}

fn set_label(config: &mut ImageConfiguration, name: &str, value: Option<&str>) {
    let mut container = config.config().clone().unwrap();
    let mut labels = container.labels().clone().unwrap();
    match value {
        Some(value) => labels.insert(name.to_owned(), value.to_owned()),
        None => labels.remove(name),
    };
    container.set_labels(Some(labels));
    config.set_config(Some(container));
}

/// Keeps those layers whose place `keep` says yes to.
fn keep_layers(m: &mut ImageManifest, c: &mut ImageConfiguration, keep: impl Fn(usize) -> bool) {
    let mut at = 0..;
    m.layers_mut().retain(|_| keep(at.next().unwrap()));
    let mut at = 0..;
    let mut rootfs = c.rootfs().clone();
    let mut diff_ids = rootfs.diff_ids().clone();
    diff_ids.retain(|_| keep(at.next().unwrap()));
    rootfs.set_diff_ids(diff_ids);
    c.set_rootfs(rootfs);
}

#[test]
fn images_that_are_not_what_they_say() {
    let (_temp, path) = theirs();
    let attempt = || {
        let store = MemStore::new();
        let error = pull_unverified(&path, "new", &store).unwrap_err();
        assert!(store.list().unwrap().is_empty());
        error
    };
    // Without the label no layer is the commit's: what they hold is a plain root file system.
    change(&path, "single", |_, c| set_label(c, "ostree.final-diffid", None));
    let store = MemStore::new();
    let plain = pull_unverified(&path, "new", &store).unwrap().commit;
    assert_ne!(plain, stable());
    let root = load_commit(&store, &plain).unwrap().root;
    assert!(matches!(lookup(&store, root, "usr/etc"), Ok(TreeEntry::Dir(_))));
    assert!(!store.contains(&stable().into()).unwrap());
    let verify = |_: &CommitBytes<'_>| Ok(());
    let source = OciLayout::open(dir(&path), Some("new")).unwrap();
    let options = PullOptions { vouching: Vouching::By(&verify), ..PullOptions::default() };
    let refused = pull(&source, &MemStore::new(), &options, &Ctx::default()).unwrap_err();
    assert!(matches!(refused, Error::UnsignedLayers { layers: 1, .. }), "{refused}");

    change(&path, "single", |_, c| {
        set_label(c, "ostree.final-diffid", Some(&format!("sha256:{}", "0".repeat(64))));
    });
    assert!(matches!(attempt(), Error::Image(_)));

    change(&path, "single", |_, c| set_label(c, "ostree.commit", Some(&"0".repeat(64))));
    assert!(matches!(attempt(), Error::Image(why) if why.contains(&stable().to_string())));

    change(&path, "single", |m, _| m.layers_mut().clear());
    assert!(matches!(attempt(), Error::Image(_)));

    // The chunks are derived layers if the commit ends with the first.
    change(&path, "chunked", |_, c| {
        let first = c.rootfs().diff_ids()[0].clone();
        set_label(c, "ostree.final-diffid", Some(&first));
    });
    assert!(
        matches!(attempt(), Error::Tar(tar::Error::Content(ContentErrorKind::Incomplete(_, n))) if n > 0)
    );

    // A chunk is left out; chunks in another order are fine.
    change(&path, "chunked", |m, c| keep_layers(m, c, |n| n != 1));
    assert!(
        matches!(attempt(), Error::Tar(tar::Error::Content(ContentErrorKind::Incomplete(_, n))) if n > 0)
    );

    // The commit does not come first.
    change(&path, "chunked", |m, c| keep_layers(m, c, |n| n != 0));
    assert!(matches!(attempt(), Error::Tar(_)));

    change(&path, "single", |m, _| {
        m.set_media_type(Some(MediaType::ImageIndex));
    });
    assert!(matches!(attempt(), Error::Image(_)));
}

#[test]
fn every_flipped_byte_of_an_image_is_refused() {
    let (_temp, path) = theirs();
    let blobs: Vec<_> =
        fs::read_dir(path.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for blob in blobs {
        let bytes = fs::read(&blob).unwrap();
        let flip = |at: usize| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&blob, &flipped).unwrap();
        };
        // Some blobs are in one of the images only.
        flip(0);
        let tags =
            TAGS.map(|tag| Some(tag).filter(|tag| pull_unverified(&path, tag, &MemStore::new()).is_err()));
        assert_ne!(tags, [None; 2], "{}", blob.display());
        // All of the documents; of the layers one byte in 61.
        let step = if bytes.starts_with(b"{") { 1 } else { 61 };
        for at in (0..bytes.len()).step_by(step) {
            flip(at);
            for tag in tags.iter().flatten() {
                let store = MemStore::new();
                let result = pull_unverified(&path, tag, &store);
                assert!(result.is_err(), "byte {at} of {}", blob.display());
                assert!(store.list().unwrap().is_empty());
            }
        }
        fs::write(&blob, &bytes).unwrap();
    }
}
