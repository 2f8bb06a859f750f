//! Images of several layers: by packages, or as ostree-ext does; and what an upgrade sends again.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;

use oci_spec::image::Arch;
use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, Built, ContentMeta, Layering, build};
use ostree_rs::container::image::{Compression, Error, Image};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Vouching};
use ostree_rs::format::{CommitId, FileId};
use ostree_rs::store::{MemStore, ObjectRead as _, Reachable, TreeEntry, load_commit, lookup, walk_commit};

use super::debian::{Debian, noise_file};
use super::{dir, find_layout, new_layout, pull};
use crate::corpus;
use crate::tar::{bare_store, stable};

fn fetch(path: &Path, tag: &str) -> Image {
    Image::fetch(&OciLayout::open(dir(path), Some(tag)).unwrap(), &Arch::default()).unwrap()
}

fn packages(max_layers: usize) -> BuildOptions {
    let max_layers = NonZeroUsize::new(max_layers).unwrap();
    BuildOptions { layering: Layering::Packages { max_layers }, ..BuildOptions::default() }
}

fn build_at(
    store: &MemStore,
    commit: &CommitId,
    path: &Path,
    tag: &str,
    options: &BuildOptions,
) -> (Built, Image) {
    let built = build(store, commit, &new_layout(path, Some(tag)), options, &Ctx::default()).unwrap();
    (built, fetch(path, tag))
}

/// The components of each layer; the first has none.
fn components(image: &Image) -> Vec<Option<String>> {
    let names = |d: &oci_spec::image::Descriptor| {
        d.annotations().as_ref().and_then(|all| all.get("ostree.components").cloned())
    };
    image.manifest.layers().iter().map(names).collect()
}

fn history(image: &Image) -> Vec<String> {
    image.config.history().iter().flatten().map(|h| h.created_by().clone().unwrap()).collect()
}

fn diff_ids(image: &Image) -> Vec<String> {
    image.config.rootfs().diff_ids().clone()
}

/// Every object is in the pulled commit, and has its checksum.
fn assert_pulls(path: &Path, tag: &str, original: &MemStore, commit: &CommitId) {
    let store = MemStore::new();
    let source = OciLayout::open(dir(path), Some(tag)).unwrap();
    let options = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
    assert_eq!(pull(&source, &store, &options, &Ctx::default()).unwrap().commit, *commit);
    walk_commit(original, commit, &mut Reachable::default(), &mut |name| {
        assert!(store.contains(&name)?, "{name}");
        Ok(())
    })
    .unwrap();
}

/// What `corpus/README.md` says that the image was made with: of all objects in the repository.
fn contentmeta() -> serde_json::Value {
    let list = std::fs::read_to_string(corpus::path("repos/objects.txt")).unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("bare ")?.strip_suffix(".file"));
    let objects: BTreeSet<String> = names.map(str::to_owned).collect();
    let mapping: BTreeMap<_, _> =
        objects.into_iter().enumerate().map(|(n, object)| (object, format!("pkg{}", n % 3))).collect();
    let layers = BTreeMap::from(["0", "1", "2"].map(|n| (format!("pkg{n}"), format!("Package {n}"))));
    serde_json::json!({"version": 1, "labels": {"from": "meta"}, "created": "2020-01-02T03:04:05+01:00",
        "layers": layers, "mapping": mapping})
}

fn mapped(meta: &serde_json::Value, max_layers: Option<usize>) -> Result<BuildOptions, Error> {
    let meta = ContentMeta::parse(&serde_json::to_vec(meta).unwrap())?;
    let max_layers = max_layers.and_then(NonZeroUsize::new);
    Ok(BuildOptions { layering: Layering::Mapped { meta, max_layers }, ..BuildOptions::default() })
}

#[test]
fn chunks_are_as_by_ostree_ext() {
    let temp = corpus::unpack("ostree-ext/oci.tar.zst");
    let theirs = fetch(&find_layout(temp.path()), "chunked");
    let temp = tempfile::tempdir().unwrap();
    let (built, ours) =
        build_at(&bare_store(), &stable(), temp.path(), "x", &mapped(&contentmeta(), None).unwrap());
    assert_eq!((built.layers, built.reused), (5, 0));
    assert_eq!(diff_ids(&ours), diff_ids(&theirs));
    assert_eq!(components(&ours), components(&theirs));
    assert_eq!(history(&ours), history(&theirs));
    let mut labels = ours.labels();
    assert_eq!(labels.remove("from").as_deref(), Some("meta"));
    assert_eq!(labels, theirs.labels());
    assert_eq!(ours.config.created().as_deref(), Some("2020-01-02T02:04:05Z"));
    assert_pulls(temp.path(), "x", &bare_store(), &stable());

    // The same, said by a caller.
    let meta = contentmeta();
    let layers = meta["layers"].as_object().unwrap().iter().map(|(id, name)| {
        let objects = meta["mapping"].as_object().unwrap().iter().filter(|(_, of)| of.as_str() == Some(id));
        (
            name.as_str().unwrap().to_owned(),
            objects.map(|(object, _)| FileId::new(object.parse().unwrap())).collect(),
        )
    });
    let meta = ContentMeta::new(layers).unwrap();
    let options =
        BuildOptions { layering: Layering::Mapped { meta, max_layers: None }, ..BuildOptions::default() };
    let (_, ours) = build_at(&bare_store(), &stable(), temp.path(), "said", &options);
    assert_eq!(diff_ids(&ours), diff_ids(&theirs));
    assert_eq!(components(&ours), components(&theirs));

    // Fewer layers than it wants.
    let options = mapped(&contentmeta(), Some(3)).unwrap();
    let (built, ours) = build_at(&bare_store(), &stable(), temp.path(), "few", &options);
    assert_eq!(built.layers, 2);
    assert_eq!(components(&ours)[1].as_deref(), Some("Package 0,Package 1,Package 2"));
    assert_eq!(history(&ours)[1], "pkg0 and pkg1 and pkg2");
}

#[test]
fn a_wrong_contentmeta_is_refused() {
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut meta = contentmeta();
        change(&mut meta);
        let temp = tempfile::tempdir().unwrap();
        let layout = new_layout(temp.path(), None);
        mapped(&meta, None)
            .and_then(|options| build(&bare_store(), &stable(), &layout, &options, &Ctx::default()))
            .unwrap_err()
    };
    let tree = load_commit(&bare_store(), &stable()).unwrap().root;
    let TreeEntry::File(first) = lookup(&bare_store(), tree, "usr/bin/hello").unwrap() else { panic!() };
    let first = first.to_string();
    let error = refused(&|meta| drop(meta["mapping"].as_object_mut().unwrap().remove(&first)));
    assert!(matches!(error, Error::Usage(why) if why.contains(&first)));
    let error = refused(&|meta| meta["mapping"][&first] = "pkg9".into());
    assert!(matches!(error, Error::Usage(why) if why.contains("pkg9")));
    assert!(matches!(refused(&|meta| meta["version"] = 2.into()), Error::Unsupported(_)));
    assert!(matches!(refused(&|meta| meta["ordered"] = true.into()), Error::Unsupported(_)));
    assert!(matches!(refused(&|meta| meta["mapping"]["xy"] = "pkg0".into()), Error::Json { .. }));
    assert!(matches!(refused(&|meta| meta["created"] = "today".into()), Error::Usage(_)));
}

#[test]
fn one_layer_for_each_package() {
    let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
    let commit = Debian::new().commit(&store);
    let (built, image) = build_at(&store, &commit, temp.path(), "x", &packages(100));
    let expected = ["/opt/big.bin", "libc6", "python3", "unpackaged", "bash", "dash", "base-files"];
    let names: Vec<_> = components(&image).into_iter().flatten().collect();
    let mut sorted = names.clone();
    sorted.sort();
    let mut expected_sorted = expected.map(str::to_owned).to_vec();
    expected_sorted.sort();
    assert_eq!(sorted, expected_sorted);
    assert_eq!(names[0], "/opt/big.bin", "the largest comes first");
    assert_eq!(history(&image)[1..], names);
    assert_eq!(built.layers, 1 + names.len());
    assert_eq!(image.labels()["ostree.final-diffid"], *diff_ids(&image).last().unwrap());
    assert_pulls(temp.path(), "x", &store, &commit);

    let places = super::debian::places(temp.path(), "x", &image);
    for (path, owner) in [
        ("usr/bin/bash", "bash"),
        // Its list says /bin/bash and /lib/….
        ("usr/lib/x86_64-linux-gnu/libc.so.6", "libc6"),
        ("usr/share/doc/bash/copyright", "bash"),
        ("var/lib/dpkg/info/bash.list", "bash"),
        ("var/lib/dpkg/info/libc6:amd64.list", "libc6"),
        ("usr/lib/python3/__pycache__/os.cpython-311.pyc", "python3"),
        // dash has diverted it.
        ("usr/share/man/man1/sh.distrib.1", "bash"),
        ("usr/share/man/man1/sh.1", "dash"),
        // Not listed, in a directory of bash alone.
        ("usr/share/bash/cache", "bash"),
        // In a directory of base-files, which has nothing in it.
        ("opt/app/run", "unpackaged"),
        ("opt/big.bin", "/opt/big.bin"),
        ("etc/bash.bashrc", "bash"),
        // With the metadata.
        ("var/lib/dpkg/status", ""),
        ("etc/passwd", ""),
        ("etc/ld.so.cache", ""),
        // Equal: each has its own.
        ("usr/share/doc/python3/same", "python3"),
        ("usr/share/doc/dash/same", "dash"),
        ("usr/share/base-files/passwd", "base-files"),
    ] {
        assert_eq!(places.get(path).map(String::as_str), Some(owner), "{path}");
    }
}

#[test]
fn an_upgrade_changes_two_layers() {
    let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
    let mut debian = Debian::new();
    let commit = debian.commit(&store);
    // The last but one has a file that dash has, too, and now another one in its place.
    for (max_layers, package) in [(100, "bash"), (5, "bash"), (100, "python3"), (100, "dash")] {
        let tag = format!("old{max_layers}");
        let (_, old) = build_at(&store, &commit, temp.path(), &tag, &packages(max_layers));
        assert!(old.manifest.layers().len() <= max_layers);
        let mut upgraded = debian.clone();
        upgraded.upgrade(package);
        let commit = upgraded.commit(&store);
        let options = BuildOptions { previous: Some(old.clone()), ..packages(max_layers) };
        let (built, new) = build_at(&store, &commit, temp.path(), &format!("new{max_layers}"), &options);
        assert_eq!(components(&new), components(&old));
        let changed: Vec<usize> =
            (0..built.layers).filter(|n| diff_ids(&new)[*n] != diff_ids(&old)[*n]).collect();
        let with_it = |names: &Option<String>| names.iter().any(|n| n.split(',').any(|n| n == package));
        let its = components(&new).iter().position(with_it).unwrap();
        assert_eq!(changed, [0, its], "{package} in {max_layers}");
        assert_eq!(built.reused, built.layers - 2);
        let sizes = |n: &usize| new.manifest.layers()[*n].size();
        assert_eq!(built.written_bytes, changed.iter().map(sizes).sum::<u64>());
        if max_layers == 100 {
            let alone = upgraded.compressed_bytes(package);
            assert!(sizes(&its) * 10 <= alone * 12, "{} for {alone}", sizes(&its));
        }
        assert_pulls(temp.path(), &format!("new{max_layers}"), &store, &commit);
    }

    // A package more, one less.
    let (_, old) = build_at(&store, &commit, temp.path(), "before", &packages(100));
    debian.remove("python3");
    debian.add("zsh", "zsh", &[("usr/bin/zsh", noise_file(200_000, 9))]);
    let commit = debian.commit(&store);
    let options = BuildOptions { previous: Some(old.clone()), ..packages(100) };
    let (built, new) = build_at(&store, &commit, temp.path(), "after", &options);
    let mut expected = components(&old);
    expected.retain(|names| names.as_deref() != Some("python3"));
    expected.push(Some("zsh".to_owned()));
    assert_eq!(components(&new), expected);
    assert_eq!(built.layers - built.reused, 2);
}

#[test]
fn large_files_are_not_copied() {
    let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
    let mut debian = Debian::new();
    let large = noise_file(600_000, 61);
    debian.add("b", "b", &[("usr/lib/b/large", large.clone()), ("usr/lib/b/own", noise_file(100, 62))]);
    debian.add("a", "a", &[("usr/lib/a/large", large)]);
    let commit = debian.commit(&store);
    let (_, image) = build_at(&store, &commit, temp.path(), "x", &packages(100));
    let places = super::debian::places(temp.path(), "x", &image);
    for (path, owner) in [("usr/lib/a/large", "a"), ("usr/lib/b/large", "a"), ("usr/lib/b/own", "b")] {
        assert_eq!(places.get(path).map(String::as_str), Some(owner), "{path}");
    }
    assert_pulls(temp.path(), "x", &store, &commit);
}

#[test]
fn the_same_again_writes_nothing() {
    let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
    let commit = Debian::new().commit(&store);
    for (compression, name) in [(Compression::GZIP, "gzip"), (Compression::ZSTD, "zstd")] {
        let options = BuildOptions { compression, ..packages(20) };
        let (first, _) = build_at(&store, &commit, temp.path(), "x", &options);
        assert_eq!(first.reused, 0, "of another compression");
        let (again, _) = build_at(&store, &commit, temp.path(), "x", &options);
        assert_eq!((again.reused, again.written_bytes), (first.layers, 0));
        assert_eq!(again.manifest, first.manifest);
        // A new name, but an image that has the layers.
        let options = BuildOptions { previous: Some(fetch(temp.path(), "x")), ..options };
        let (other, _) = build_at(&store, &commit, temp.path(), name, &options);
        assert_eq!((other.reused, other.manifest), (first.layers, first.manifest));
        // What is not there is written.
        let elsewhere = tempfile::tempdir().unwrap();
        let (other, _) = build_at(&store, &commit, elsewhere.path(), "y", &options);
        assert_eq!((other.reused, other.manifest), (0, first.manifest));
    }
    // Also of one layer.
    let (first, _) = build_at(&store, &commit, temp.path(), "single", &BuildOptions::default());
    let (again, _) = build_at(&store, &commit, temp.path(), "single", &BuildOptions::default());
    assert_eq!((first.layers, first.reused, again.reused), (1, 0, 1));
    assert_eq!(first.manifest, again.manifest);
}

#[test]
fn without_packages_by_path() {
    let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
    let mut files = BTreeMap::new();
    for n in 0..6_u64 {
        files.insert(format!("usr/lib/a/f{n}"), noise_file(3_900_000, n));
        files.insert(format!("usr/share/b/f{n}"), noise_file(1_000_000, 10 + n));
    }
    files.insert("boot/kernel".to_owned(), noise_file(5_000_000, 99));
    files.insert("etc/hosts".to_owned(), b"localhost".to_vec());
    let commit = super::debian::commit(&store, &files, &BTreeMap::new());
    let options = BuildOptions { compression: Compression::ZSTD, ..packages(20) };
    let (_, image) = build_at(&store, &commit, temp.path(), "x", &options);
    let names: Vec<_> = components(&image).into_iter().flatten().collect();
    assert_eq!(names, ["/usr/lib/a", "/usr/share", "/boot/kernel", "unpackaged"]);
    assert_pulls(temp.path(), "x", &store, &commit);
}

#[test]
fn other_managers_are_read() {
    let (temp, store) = (tempfile::tempdir().unwrap(), MemStore::new());
    let file = |seed| noise_file(5_000, seed);
    let apk = "C:Q1x\nP:musl\no:musl\nF:lib\nR:libc.so\n\nP:musl-utils\no:musl\nF:usr/bin\nR:ldd\nZ:Q1\n\n";
    let desc = "%NAME%\nbash\n\n%BASE%\nbash-src\n\n";
    let files = BTreeMap::from([
        ("usr/lib/apk/db/installed".to_owned(), apk.as_bytes().to_vec()),
        ("usr/lib/libc.so".to_owned(), file(1)),
        ("usr/bin/ldd".to_owned(), file(2)),
        ("usr/lib/pacman/local/bash-5.2-1/desc".to_owned(), desc.as_bytes().to_vec()),
        ("usr/lib/pacman/local/bash-5.2-1/files".to_owned(), b"%FILES%\nusr/\nusr/bin/bash\n".to_vec()),
        ("usr/lib/pacman/sync/core.db".to_owned(), file(3)),
        ("usr/bin/bash".to_owned(), file(4)),
    ]);
    let commit = super::debian::commit(&store, &files, &BTreeMap::new());
    let (_, image) = build_at(&store, &commit, temp.path(), "x", &packages(20));
    let places = super::debian::places(temp.path(), "x", &image);
    for (path, owner) in [
        ("usr/lib/libc.so", "musl"),
        ("usr/bin/ldd", "musl-utils"),
        ("usr/bin/bash", "bash"),
        ("usr/lib/pacman/local/bash-5.2-1/files", "bash"),
        ("usr/lib/pacman/sync/core.db", ""),
        ("usr/lib/apk/db/installed", ""),
    ] {
        assert_eq!(places.get(path).map(String::as_str), Some(owner), "{path}");
    }
}
