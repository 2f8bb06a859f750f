//! Images of commits: what ostree-ext makes of the same commit, and what other tools make of ours.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use oci_spec::image::Arch;
use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, BuildPlan, Layering, build};
use ostree_rs::container::image::{Compression, DiffId, Digest, Error, Image, ImageSource};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Vouching};
use ostree_rs::format::variant::Value;
use ostree_rs::format::{Checksum, CommitId};
use ostree_rs::store::{MemStore, ObjectWrite as _, load_commit};

use super::pulls::assert_holds;
use super::{dir, find_layout, new_layout, pull};
use crate::tar::{bare_store, commit_of, stable};
use crate::{corpus, oracle};

fn fetch(path: &Path, tag: &str) -> Image {
    Image::fetch(&OciLayout::open(dir(path), Some(tag)).unwrap(), &Arch::default()).unwrap()
}

fn build_stable(path: &Path, tag: &str, options: &BuildOptions, jobs: usize) -> Digest {
    let ctx = Ctx { jobs: NonZeroUsize::new(jobs).unwrap(), ..Ctx::default() };
    build(&bare_store(), &stable(), &new_layout(path, Some(tag)), options, &ctx).unwrap().manifest
}

#[test]
fn one_layer_is_as_by_ostree_ext() {
    let temp = corpus::unpack("ostree-ext/oci.tar.zst");
    let theirs = fetch(&find_layout(temp.path()), "single");
    let ours = tempfile::tempdir().unwrap();
    build_stable(ours.path(), "single", &BuildOptions::default(), 2);
    let ours = fetch(ours.path(), "single");

    let diff_ids = |image: &Image| image.config.rootfs().diff_ids().clone();
    assert_eq!(diff_ids(&ours), diff_ids(&theirs));
    assert_eq!(ours.labels(), theirs.labels());
    assert_eq!(ours.manifest.annotations(), theirs.manifest.annotations());
    assert_eq!(ours.config.created(), theirs.config.created());
    assert_eq!(ours.config.config(), theirs.config.config());
    assert_eq!(
        (ours.config.os(), ours.config.architecture()),
        (theirs.config.os(), theirs.config.architecture())
    );
    let history = |image: &Image| {
        let history = image.config.history().iter().flatten();
        history.map(|h| h.created_by().clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(history(&ours), history(&theirs));
    assert_eq!(ours.manifest.layers()[0].media_type(), theirs.manifest.layers()[0].media_type());
}

#[test]
fn the_same_commit_gives_the_same_image() {
    let temp = tempfile::tempdir().unwrap();
    for compression in [Compression::GZIP, Compression::ZSTD, Compression::None] {
        let options = BuildOptions { compression, ..BuildOptions::default() };
        let digests: Vec<_> = [1, 2, 7]
            .iter()
            .map(|jobs| build_stable(&temp.path().join(jobs.to_string()), "x", &options, *jobs))
            .collect();
        assert!(digests.iter().all(|d| *d == digests[0]), "{compression:?}");
        let source = OciLayout::open(dir(&temp.path().join("7")), Some("x")).unwrap();
        assert_eq!(source.manifest().unwrap().digest, digests[0]);
        let store = MemStore::new();
        let options = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
        let pulled = pull(&source, &store, &options, &Ctx::default()).unwrap();
        assert_eq!((pulled.commit, pulled.manifest), (stable(), digests[0]));
        assert_holds(&store, &stable());
    }
}

/// What a recipe writes is what the image has as its layer, every time; ostree-ext's own layer is the same stream.
#[test]
fn a_plan_can_be_written_again_and_again() {
    let temp = tempfile::tempdir().unwrap();
    let (store, ctx) = (bare_store(), Ctx::default());
    let layering = Layering::Packages { max_layers: NonZeroUsize::new(4).unwrap() };
    for layering in [Layering::Single, layering] {
        let options = BuildOptions { layering, ..BuildOptions::default() };
        let plan = BuildPlan::new(&store, &stable(), &options, &ctx).unwrap();
        let manifests: Vec<_> = ["a", "b"]
            .map(|name| plan.write(&new_layout(&temp.path().join(name), Some("x")), &ctx).unwrap().manifest)
            .to_vec();
        assert_eq!(manifests[0], manifests[1]);
        let image = fetch(&temp.path().join("a"), "x");
        let (planned, layers) = (image.plan().unwrap().layers, plan.layers());
        assert_eq!(layers.len(), planned.len());
        for (recipe, planned) in layers.iter().zip(&planned) {
            assert_eq!(recipe.kind, planned.kind);
            for _ in 0..2 {
                let mut stream = Vec::new();
                recipe.write_stream(&mut stream, &ctx).unwrap();
                assert_eq!(DiffId::new(Checksum::of(&stream)), planned.layer.diff_id);
            }
        }
    }
    let theirs = corpus::unpack("ostree-ext/oci.tar.zst");
    let theirs = fetch(&find_layout(theirs.path()), "single").layers().unwrap().remove(0);
    let plan = BuildPlan::new(&store, &stable(), &BuildOptions::default(), &ctx).unwrap();
    let mut stream = Vec::new();
    plan.layers()[0].write_stream(&mut stream, &ctx).unwrap();
    assert_eq!(DiffId::new(Checksum::of(&stream)), theirs.diff_id);
}

#[test]
fn options_show() {
    let temp = tempfile::tempdir().unwrap();
    let options = BuildOptions {
        labels: [("a".to_owned(), "b".to_owned()), ("ostree.linux".to_owned(), "mine".to_owned())].into(),
        cmd: Some(vec!["/bin/sh".to_owned()]),
        copy_meta_keys: vec!["version".to_owned()],
        copy_meta_opt_keys: vec!["nothing".to_owned()],
        created_secs: Some(1),
        platform: Some("linux/arm64".parse().unwrap()),
        ..BuildOptions::default()
    };
    build_stable(temp.path(), "x", &options, 2);
    let source = OciLayout::open(dir(temp.path()), Some("x")).unwrap();
    let image = Image::fetch(&source, &Arch::ARM64).unwrap();
    let labels = image.labels();
    let expected = [("a", "b"), ("ostree.linux", "mine"), ("version", "2.0"), ("containers.bootc", "1")];
    for (name, value) in expected {
        assert_eq!(labels.get(name).map(String::as_str), Some(value));
    }
    assert_eq!(image.manifest.annotations().as_ref(), Some(&labels));
    assert_eq!(image.config.created().as_deref(), Some("1970-01-01T00:00:01Z"));
    assert_eq!(image.config.architecture(), &Arch::ARM64);
    let config = image.config.config().as_ref().unwrap();
    assert_eq!(config.cmd().as_deref(), Some(&["/bin/sh".to_owned()][..]));

    for key in ["nothing", "ostree.bootable"] {
        let options = BuildOptions { copy_meta_keys: vec![key.to_owned()], ..BuildOptions::default() };
        let layout = new_layout(temp.path(), Some("y"));
        let result = build(&bare_store(), &stable(), &layout, &options, &Ctx::default());
        assert!(matches!(result, Err(Error::Usage(why)) if why.contains(key)));
    }
}

/// A commit that says which machines it is for.
fn commit_for(store: &MemStore, architecture: &str) -> CommitId {
    let id = commit_of(store, &["usr/bin/sh"]);
    let mut commit = load_commit(store, &id).unwrap();
    commit.metadata =
        [("ostree.architecture".to_owned(), Value::Str(architecture.to_owned()))].into_iter().collect();
    store.write_commit(&commit).unwrap()
}

/// Index and configuration say what the commit says, or what was asked for, and nothing else.
#[test]
fn images_are_for_the_machines_of_their_commits() {
    let own = oci_spec::image::Arch::default().to_string();
    for (commit, wanted, built) in [
        (None, None, Some(&*own)),
        (None, Some("linux/s390x"), Some("s390x")),
        (Some("aarch64"), None, Some("arm64")),
        (Some("aarch64"), Some("linux/arm64"), Some("arm64")),
        (Some("aarch64"), Some("linux/aarch64"), Some("arm64")),
        (Some("aarch64"), Some("linux/arm64/v8"), Some("arm64/v8")),
        (Some("aarch64"), Some("linux/amd64"), None),
        (Some("i686"), None, Some("386")),
        (Some("armv7hl"), None, Some("arm/v7")),
        (Some("armv7hl"), Some("linux/arm"), Some("arm/v7")),
        (Some("armv7hl"), Some("linux/arm/v6"), None),
        (Some("ppc64le"), None, Some("ppc64le")),
        (Some("amd64"), None, Some("amd64")),
        (Some("vax"), None, None),
        (Some("vax"), Some("linux/amd64"), Some("amd64")),
        (Some("x86_64"), Some("windows/amd64"), None),
    ] {
        let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
        let case = format!("{commit:?} {wanted:?}");
        let commit = match commit {
            Some(architecture) => commit_for(&store, architecture),
            None => commit_of(&store, &["usr/bin/sh"]),
        };
        let platform = wanted.map(|wanted| wanted.parse().unwrap());
        let options = BuildOptions { platform, ..BuildOptions::default() };
        let layout = new_layout(temp.path(), Some("x"));
        let result = build(&store, &commit, &layout, &options, &Ctx::default());
        let Some(built) = built else {
            assert!(matches!(result, Err(Error::Usage(_) | Error::UnknownMachine { .. })), "{case}");
            continue;
        };
        result.unwrap();
        let (architecture, variant) = built.split_once('/').map_or((built, None), |(a, v)| (a, Some(v)));
        let entry = layout.index().unwrap().manifests()[0].platform().clone().unwrap();
        let config = fetch_for(temp.path(), architecture).config;
        assert_eq!(entry.architecture(), config.architecture(), "{case}");
        assert_eq!(config.architecture().to_string(), architecture, "{case}");
        assert_eq!((entry.variant().as_deref(), config.variant().as_deref()), (variant, variant), "{case}");
    }
}

fn fetch_for(path: &Path, architecture: &str) -> Image {
    Image::fetch(&OciLayout::open(dir(path), Some("x")).unwrap(), &Arch::from(architecture)).unwrap()
}

#[test]
fn other_tools_take_our_images() {
    if !oracle::need("skopeo") || !oracle::need("umoci") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let store = MemStore::new();
    let files = ["usr/etc/passwd", "usr/bin/sh", "usr/bin/twin", "lib -> usr/lib", "boot/"];
    let commit = commit_of(&store, &files);
    for (tag, compression) in [("gz", Compression::GZIP), ("zst", Compression::ZSTD)] {
        let ours = temp.path().join("ours");
        let options = BuildOptions { compression, ..BuildOptions::default() };
        build(&store, &commit, &new_layout(&ours, Some(tag)), &options, &Ctx::default()).unwrap();
        let image = format!("oci:{}:{tag}", ours.display());
        let copy = format!("{}:{tag}", temp.path().join("copy").display());
        oracle::run("skopeo", &["--insecure-policy", "copy", "-q", &image, &format!("oci:{copy}")]);
        let config: serde_json::Value =
            serde_json::from_slice(&oracle::run("skopeo", &["inspect", "--config", &image])).unwrap();
        let labels: HashMap<String, String> =
            serde_json::from_value(config["config"]["Labels"].clone()).unwrap();
        assert_eq!(labels["ostree.commit"], commit.to_string());
        if compression == Compression::GZIP {
            let bundle = temp.path().join("bundle");
            oracle::run("umoci", &["unpack", "--rootless", "--image", &copy, bundle.to_str().unwrap()]);
            let root = bundle.join("rootfs");
            assert_eq!(fs::read(root.join("etc/passwd")).unwrap(), b"usr/etc/passwd");
            assert_eq!(fs::read(root.join("usr/bin/sh")).unwrap(), b"usr/bin/sh");
            assert_eq!(fs::read_link(root.join("lib")).unwrap(), Path::new("usr/lib"));
            assert!(root.join("boot").is_dir());
        }
    }
}
