//! Images on a base that somebody tampered with: nothing of it is believed.

use std::path::Path;

use oci_spec::image::Arch;
use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, build, build_on_base};
use ostree_rs::container::image::{
    Compression, Digest, Error, Image, ImageDest, ImageSource, RawManifest, Result,
};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Pulled, Vouching, plan_pull};
use ostree_rs::container::trust::Admitted;
use ostree_rs::format::{Commit, CommitId};
use ostree_rs::store::{
    Completeness, MemStore, Modifier, ObjectRead as _, ObjectWrite as _, Reachable, Txn as _, walk_commit,
};
use ostree_rs::tar::{LayerOptions, Reader, Toplevel, Var, import_layer};

use super::pulls::assert_holds;
use super::{dir, new_layout, noise, pull, put_image};
use crate::tar::{bare_store, stable};

/// Files of the base: path and content.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("etc/small", b"small\n".to_vec()),
        ("usr/bin/large", noise(300_000, 7)),
        ("usr/bin/other", noise(3000, 8)),
        ("usr/share/empty", Vec::new()),
    ]
}

fn base_tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(5);
        tar.append_data(&mut header, path, &**content).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, "usr/bin/link", "large").unwrap();
    tar.into_inner().unwrap()
}

/// A commit with all files of a tar stream.
fn commit_of(store: &MemStore, tar: &[u8]) -> CommitId {
    let options = LayerOptions { toplevel: Toplevel::Keep, var: Var::Keep };
    let tree = import_layer(
        &mut &*tar,
        store,
        options,
        &Default::default(),
        &Modifier::default(),
        None,
        &Ctx::default(),
    );
    let commit = Commit {
        metadata: Default::default(),
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root: tree.unwrap().root,
    };
    store.write_commit(&commit).unwrap()
}

/// `base` and the image `v1` on it, in one layout; what it writes is not compressed.
fn built(path: &Path, tar: &[u8], commit: &CommitId, store: &MemStore) -> Digest {
    put_image(&new_layout(path, Some("base")), Compression::None, tar);
    let (base, dest) = (OciLayout::open(dir(path), Some("base")).unwrap(), new_layout(path, Some("v1")));
    let options = BuildOptions { compression: Compression::None, ..BuildOptions::default() };
    build_on_base(store, commit, &base, &dest, &options, &Ctx::default()).unwrap().manifest
}

fn pull_tag(path: &Path, tag: &str) -> (MemStore, Result<Pulled>) {
    let store = MemStore::new();
    let source = OciLayout::open(dir(path), Some(tag)).unwrap();
    let options = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
    let pulled = pull(&source, &store, &options, &Ctx::default());
    (store, pulled)
}

/// The image `v1` with `tar` as its first layer, and documents that say so, gets the tag `flipped`.
fn with_base(path: &Path, before: &[u8], tar: &[u8]) {
    let dest = new_layout(path, Some("flipped"));
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        if !dest.has_blob(&digest).unwrap() {
            let mut blob = dest.new_blob().unwrap();
            blob.write_all(bytes).unwrap();
            blob.finish(&digest, bytes.len() as u64).unwrap();
        }
        digest.to_string()
    };
    let manifest = OciLayout::open(dir(path), Some("v1")).unwrap().manifest().unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let (old, new) = (Digest::of(before).to_string(), put(tar));
    let config = manifest["config"]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let config = std::fs::read_to_string(path.join("blobs/sha256").join(config)).unwrap();
    assert!(config.contains(&old), "a layer that is not compressed has its digest as diffid");
    manifest["config"]["digest"] = put(config.replace(&old, &new).as_bytes()).into();
    assert_eq!(manifest["layers"][0]["digest"], old.as_str());
    manifest["layers"][0]["digest"] = new.into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes);
    let media_type = oci_spec::image::MediaType::ImageManifest;
    dest.put_manifest(&RawManifest { bytes, media_type, digest }, None).unwrap();
}

#[test]
fn every_byte_of_the_base_is_verified() {
    let temp = tempfile::tempdir().unwrap();
    let (path, store, files) = (temp.path(), MemStore::new(), files());
    let tar = base_tar(&files);
    let commit = commit_of(&store, &tar);
    built(path, &tar, &commit, &store);
    let (pulled, result) = pull_tag(path, "v1");
    assert_eq!(result.unwrap().commit, commit);
    assert_whole(&pulled, &commit);

    // Where the content of each file lies.
    let (mut contents, mut at) = (Vec::new(), 0);
    for (name, content) in &files {
        at += 512;
        contents.push((at..at + content.len(), *name));
        at += content.len().next_multiple_of(512);
    }
    let headers = (0..tar.len()).step_by(512).filter(|at| contents.iter().all(|(c, _)| !c.contains(at)));
    let headers = headers.flat_map(|at| [0, 101, 110, 126, 138, 150, 156, 160].map(|field| at + field));
    let places =
        contents.iter().flat_map(|(c, _)| c.clone().step_by(c.len() / 20 + 1).chain(c.clone().last()));
    let mut refused = 0;
    for at in headers.chain(places) {
        let mut flipped = tar.clone();
        flipped[at] ^= 1;
        with_base(path, &tar, &flipped);
        let (pulled, result) = pull_tag(path, "flipped");
        let used = contents.iter().find(|(content, _)| content.contains(&at));
        match (result, used) {
            (Err(Error::NotInBase { path, object, .. }), Some((_, name))) => {
                assert_eq!(path, *name, "byte {at}");
                assert!(store.contains(&object.into()).unwrap());
                refused += 1;
            }
            (Err(Error::NotInBase { .. }), None) => refused += 1,
            (Err(error), None) => assert!(!error.to_string().is_empty()),
            (Ok(_), None) => assert_whole(&pulled, &commit),
            (result, Some((_, name))) => panic!("byte {at} of {name}: {result:?}"),
        }
        let is_there = pulled.contains(&commit.into()).unwrap();
        let is_partial = pulled.completeness(&commit).unwrap() == Completeness::Partial;
        assert!(!is_there || is_partial || used.is_none(), "byte {at}");
    }
    assert!(refused > 60, "{refused}");
}

fn assert_whole(store: &MemStore, commit: &CommitId) {
    let mut objects = 0;
    walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        assert!(store.contains(&name)?, "{name}");
        objects += 1;
        Ok(())
    })
    .unwrap();
    assert!(objects > 8);
}

/// A blob that is not what its digest says is refused, too, and the file named that it spoils.
#[test]
fn a_damaged_blob_is_named_with_what_is_missing() {
    let temp = tempfile::tempdir().unwrap();
    let (path, store, files) = (temp.path(), MemStore::new(), files());
    let tar = base_tar(&files);
    let commit = commit_of(&store, &tar);
    built(path, &tar, &commit, &store);
    let digest = Digest::of(&tar);
    let blob = path.join("blobs/sha256").join(digest.checksum().hex().as_str());
    let mut flipped = tar;
    flipped[512] ^= 1;
    std::fs::write(&blob, &flipped).unwrap();
    let Err(Error::NotInBase { path: file, source, .. }) = pull_tag(path, "v1").1 else { panic!() };
    assert_eq!(file, "etc/small");
    assert!(matches!(source.as_deref(), Some(Error::Mismatch { expected, .. }) if *expected == digest));
}

/// An image of a commit is a base, too: its files are links into the repository in it.
#[test]
fn on_an_image_of_ours() {
    let temp = tempfile::tempdir().unwrap();
    let (path, store, ctx) = (temp.path(), bare_store(), Ctx::default());
    let options = BuildOptions { compression: Compression::None, ..BuildOptions::default() };
    build(&store, &stable(), &new_layout(path, Some("base")), &options, &ctx).unwrap();
    let base = OciLayout::open(dir(path), Some("base")).unwrap();
    build_on_base(&store, &stable(), &base, &new_layout(path, Some("v1")), &options, &ctx).unwrap();
    let source = OciLayout::open(dir(path), Some("v1")).unwrap();
    let image = Image::fetch(&source, &Arch::default()).unwrap();
    let [_, top] = &image.manifest.layers()[..] else { panic!("two layers") };
    let mut content = String::new();
    let mut reader = Reader::new(source.blob(top).unwrap());
    while let Some(entry) = reader.next_entry().unwrap() {
        let name = String::from_utf8(entry.path).unwrap();
        if name.ends_with(".file") {
            content += &name;
        }
    }
    // Those with xattrs, which programs do not see in the base.
    assert!(content.matches(".file").count() < 5, "{content}");
    let (pulled, result) = pull_tag(path, "v1");
    assert_eq!(result.unwrap().commit, stable());
    assert_holds(&pulled, &stable());

    let to_fetch = |store: &MemStore| {
        let admitted = Admitted::unjudged(&source).unwrap();
        let plan = plan_pull(&admitted, store, &PullOptions::default(), &ctx).unwrap();
        assert_eq!(plan.commit, Some(stable()));
        plan.to_fetch().count()
    };
    assert_eq!([to_fetch(&MemStore::new()), to_fetch(&pulled)], [2, 0]);
}
