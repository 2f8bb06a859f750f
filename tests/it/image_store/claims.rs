//! Layers that are there already stand in only for what they were verified to be, whatever images claim.

use ostree_rs::base::{ErrorKind, Kind};
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::{Digest, Error, Image, RawManifest, put_json};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{Check, check_image};
use ostree_rs::container::store::{self, layer_ref, prune_layers, remove};
use ostree_rs::container::trust::Admitted;
use ostree_rs::format::CommitId;
use ostree_rs::format::variant::Dict;
use ostree_rs::store::{MemStore, ObjectWrite, Refs, Txn, load_commit};
use ostree_rs::tar::write_object_set;
use tempfile::TempDir;

use super::{describe, file, layer, name, new_layout, pull, put_image, unverified};
use oci_spec::image::MediaType;

/// Images of one plain layer on top of a common one: a good one, an evil one, and what somebody says of them.
struct Fixture {
    temp: TempDir,
    good: Image,
    evil: Image,
}

impl Fixture {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let image = |tag: &str, content: &str| {
            let layout = new_layout(&temp.path().join(tag));
            put_image(&layout, &[layer(&[file("usr/base", "b")]), layer(&[file("usr/tool", content)])], &[]);
            Image::fetch(&layout, &Default::default()).unwrap()
        };
        let (good, evil) = (image("good", "GOOD"), image("evil", "EVIL"));
        Self { temp, good, evil }
    }

    fn layout(&self, tag: &str) -> OciLayout {
        new_layout(&self.temp.path().join(tag))
    }

    /// An image with the blobs of one image and the configuration of another.
    fn swapped(&self, blobs: &Image, config: &Image, tag: &str) -> OciLayout {
        let path = self.temp.path().join(tag);
        for from in ["good", "evil"] {
            let from = self.temp.path().join(from).join("blobs/sha256");
            std::fs::create_dir_all(path.join("blobs/sha256")).unwrap();
            for blob in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
                std::fs::copy(blob.path(), path.join("blobs/sha256").join(blob.file_name())).unwrap();
            }
        }
        let temp = self.temp.path().join(format!("{tag}-new"));
        let layout = new_layout(&temp);
        for blob in std::fs::read_dir(path.join("blobs/sha256")).unwrap().map(Result::unwrap) {
            std::fs::copy(blob.path(), temp.join("blobs/sha256").join(blob.file_name())).unwrap();
        }
        let mut manifest = blobs.manifest.clone();
        manifest.set_config(put_json(&layout, MediaType::ImageConfig, &config.config).unwrap());
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let digest = Digest::of(&bytes);
        let manifest = RawManifest { bytes, media_type: MediaType::ImageManifest, digest };
        ostree_rs::container::image::ImageDest::put_manifest(&layout, &manifest, None).unwrap();
        layout
    }
}

fn tool(store: &MemStore, commit: &CommitId) -> String {
    describe(store, commit)["/usr/tool"].clone()
}

/// What a pull of the good layer gives in an empty store.
fn expected(fixture: &Fixture) -> String {
    let store = MemStore::new();
    let pulled = pull(&fixture.layout("good"), &store, "oci:x").unwrap();
    tool(&store, &pulled.commit)
}

#[test]
fn a_blob_under_the_diffid_of_another_is_refused() {
    let fixture = Fixture::new();
    let expected = expected(&fixture);
    for order in [&["evil", "claims", "good"][..], &["claims", "good"], &["good", "claims", "evil", "good"]] {
        let store = MemStore::new();
        let claims = fixture.swapped(&fixture.evil, &fixture.good, "claims");
        for tag in order {
            let result = match *tag {
                "claims" => pull(&claims, &store, "oci:claims"),
                tag => pull(&fixture.layout(tag), &store, &format!("oci:{tag}")),
            };
            match (*tag, result) {
                // The stream of which it has the diffid was read.
                ("claims", Ok(pulled)) if order[0] == "good" => {
                    assert_eq!(tool(&store, &pulled.commit), expected);
                }
                ("claims", result) => {
                    let error = result.unwrap_err();
                    assert!(matches!(error, Error::DiffIdMismatch { .. }), "{order:?}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Damaged);
                }
                ("good", result) => assert_eq!(tool(&store, &result.unwrap().commit), expected, "{order:?}"),
                (_, result) => assert_ne!(tool(&store, &result.unwrap().commit), expected),
            }
        }
        // Nor does it come back after the others are gone.
        for tag in ["evil", "good"] {
            remove(&store, &name(&format!("oci:{tag}"))).unwrap();
        }
        prune_layers(&store).unwrap();
        let again = pull(&fixture.layout("good"), &store, "oci:again").unwrap();
        assert_eq!(tool(&store, &again.commit), expected);
    }
}

/// An image whose configuration is that of another is not that other one; and the blob that nobody read is not known
/// by what was claimed of it.
#[test]
fn no_changes_is_said_of_manifests() {
    let fixture = Fixture::new();
    let claims = fixture.swapped(&fixture.good, &fixture.evil, "claims");
    let store = MemStore::new();
    pull(&fixture.layout("evil"), &store, "oci:x").unwrap();
    let now = Admitted::unjudged(&claims).unwrap();
    let check = check_image(&store, &now, &name("oci:x"), &unverified().pull).unwrap();
    assert!(matches!(check, Check::Changed { .. }));
    let claimed = pull(&claims, &store, "oci:x").unwrap();
    assert_eq!(claimed.fetched, 0);
    let good = pull(&fixture.layout("good"), &store, "oci:y").unwrap();
    assert_eq!((good.fetched, tool(&store, &good.commit)), (1, expected(&fixture)));
}

/// What versions before the record of diffids stored is read again, the image and its layers.
#[test]
fn layers_of_early_versions_are_read_again() {
    let fixture = Fixture::new();
    let (store, target) = (MemStore::new(), name("oci:good"));
    pull(&fixture.layout("evil"), &store, "oci:evil").unwrap();
    let strip = |commit: &CommitId| {
        let mut commit = load_commit(&store, commit).unwrap();
        for key in ["ostree-rs.blob", "ostree-rs.diffid", "ostree-rs.rules", "ostree-rs.diffids"] {
            commit.metadata.remove(key);
        }
        store.write_commit(&commit).unwrap()
    };
    let blob = |image: &Image| {
        layer_ref(&Digest::of_descriptor(image.manifest.layers().last().unwrap()).unwrap()).unwrap()
    };
    // Once these believed what an image claimed.
    let layer = strip(&store.resolve(&blob(&fixture.evil)).unwrap().unwrap());
    store.set_ref(&blob(&fixture.good), Some(layer)).unwrap();
    let good = pull(&fixture.layout("good"), &store, "oci:good").unwrap();
    assert_eq!(tool(&store, &good.commit), expected(&fixture));
    assert_eq!((good.fetched, good.reused), (1, 1));

    let old = strip(&good.commit);
    store.set_ref(&store::image_ref(&target).unwrap(), Some(old)).unwrap();
    let layout = fixture.layout("good");
    let now = Admitted::unjudged(&layout).unwrap();
    let check = || check_image(&store, &now, &target, &unverified().pull).unwrap();
    assert!(matches!(check(), Check::Changed { .. }));
    pull(&layout, &store, "oci:good").unwrap();
    assert!(matches!(check(), Check::Current(_)));
}

/// The same stream, recompressed: known by what was computed when it was read, and kept when the first image is gone. Its
/// blob has a ref, as ostree-ext wants it, but nobody read that, and nothing is believed for its sake.
#[test]
fn a_layer_by_another_blob_keeps_the_first() {
    let fixture = Fixture::new();
    let store = MemStore::new();
    let first = pull(&fixture.layout("good"), &store, "oci:good").unwrap();
    let other = fixture.layout("other");
    let mut manifest = fixture.good.manifest.clone();
    let mut tars = Vec::new();
    for layer in fixture.good.layers().unwrap() {
        let mut tar = Vec::new();
        ostree_rs::container::blob::read_layer(
            &fixture.layout("good"),
            &layer.descriptor,
            &layer.diff_id,
            &Default::default(),
            |stream| {
                stream.read_to_end(&mut tar).unwrap();
                Ok(())
            },
        )
        .unwrap();
        let write = |out: &mut dyn std::io::Write| {
            out.write_all(&tar).unwrap();
            Ok(())
        };
        let zstd = ostree_rs::container::image::Compression::ZSTD;
        let ((), written) =
            ostree_rs::container::blob::write_layer(&other, zstd, &Default::default(), write).unwrap();
        tars.push(written.digest.descriptor(zstd.media_type(), written.size_bytes).unwrap());
    }
    manifest.set_layers(tars);
    manifest.set_config(put_json(&other, MediaType::ImageConfig, &fixture.good.config).unwrap());
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let raw = RawManifest { digest: Digest::of(&bytes), bytes, media_type: MediaType::ImageManifest };
    ostree_rs::container::image::ImageDest::put_manifest(&other, &raw, None).unwrap();

    let second = pull(&other, &store, "oci:other").unwrap();
    assert_eq!((second.fetched, second.reused), (0, 2));
    assert_eq!(tool(&store, &second.commit), tool(&store, &first.commit));
    let refs = |image: &Image| -> Vec<_> {
        let digests = image.manifest.layers().iter().map(|layer| Digest::of_descriptor(layer).unwrap());
        digests.map(|digest| store.resolve(&layer_ref(&digest).unwrap()).unwrap()).collect()
    };
    let others = Image::fetch(&other, &Default::default()).unwrap();
    assert!(refs(&others).iter().all(Option::is_some));
    assert_eq!(refs(&others), refs(&fixture.good));
    remove(&store, &name("oci:good")).unwrap();
    assert_eq!(prune_layers(&store).unwrap(), 0);
    store::require(&store, &name("oci:other")).unwrap().base_commit(&store).unwrap();
    let target = fixture.layout("exported");
    let gzip = ostree_rs::container::image::Compression::GZIP;
    store::reexport(&store, &name("oci:other"), &target, gzip, &Default::default()).unwrap();
    let exported = Image::fetch(&target, &Default::default()).unwrap();
    assert_eq!(exported.manifest.layers().len(), 2);
    // As ostree-ext prunes: what no manifest names.
    for layer in fixture.good.manifest.layers() {
        store.set_ref(&layer_ref(&Digest::of_descriptor(layer).unwrap()).unwrap(), None).unwrap();
    }
    store::require(&store, &name("oci:other")).unwrap().base_commit(&store).unwrap();
    let again = pull(&other, &store, "oci:again").unwrap();
    assert_eq!((again.fetched, tool(&store, &again.commit)), (2, expected(&fixture)));
    for image in ["oci:other", "oci:again"] {
        remove(&store, &name(image)).unwrap();
    }
    assert_eq!(prune_layers(&store).unwrap(), 2);
}

/// Content objects of a commit are noted with the diffid that was claimed for them: they stand in for no files.
#[test]
fn objects_stand_in_for_no_files() {
    let fixture = Fixture::new();
    let store = MemStore::new();
    for (n, layer) in fixture.good.layers().unwrap().iter().enumerate() {
        let mut metadata = Dict::new();
        metadata.insert("ostree-rs.blob", Digest::of(&[n as u8]).to_string());
        metadata.insert("ostree-rs.diffid", layer.diff_id.to_string());
        let set = write_object_set(&store, &Default::default(), metadata).unwrap();
        store.set_ref(&layer_ref(&Digest::of(&[n as u8])).unwrap(), Some(set)).unwrap();
    }
    let good = pull(&fixture.layout("good"), &store, "oci:good").unwrap();
    assert_eq!((good.fetched, tool(&store, &good.commit)), (2, expected(&fixture)));
    // Nor for those that are gone.
    for layer in fixture.good.manifest.layers() {
        store.set_ref(&layer_ref(&Digest::of_descriptor(layer).unwrap()).unwrap(), None).unwrap();
    }
    let stored = store::require(&store, &name("oci:good")).unwrap();
    assert!(matches!(stored.base_commit(&store), Err(Error::Image(_))));
    let target = fixture.layout("exported");
    let gzip = ostree_rs::container::image::Compression::GZIP;
    let exported = store::reexport(&store, &name("oci:good"), &target, gzip, &Default::default());
    assert!(matches!(exported, Err(Error::Image(_))));
}

/// The first layer brings a commit of somebody else's making, whose metadata may say anything.
#[test]
fn a_commit_is_no_witness_for_itself() {
    let fixture = Fixture::new();
    let layers = fixture.good.layers().unwrap();
    let (blob, diff_id) = (layers[1].descriptor.digest().to_string(), layers[1].diff_id.to_string());
    for rules in ["leave-out factory", "keep factory"] {
        let (made, store) = (MemStore::new(), MemStore::new());
        let evil = pull(&fixture.layout("evil"), &made, "oci:evil").unwrap();
        let mut commit = load_commit(&made, &evil.commit).unwrap();
        let claims =
            [("ostree-rs.blob", &*blob), ("ostree-rs.diffid", &*diff_id), ("ostree-rs.rules", rules)];
        commit.metadata = Dict::new();
        for (key, value) in claims {
            commit.metadata.insert(key, value.to_owned());
        }
        commit.metadata.insert("ostree.importer.version", "other 1".to_owned());
        let commit = made.write_commit(&commit).unwrap();
        let layout = fixture.layout(rules);
        build(&made, &commit, &layout, &BuildOptions::default(), &Default::default()).unwrap();
        pull(&layout, &store, "oci:first").unwrap();
        let good = pull(&fixture.layout("good"), &store, "oci:good").unwrap();
        assert_eq!((good.fetched, tool(&store, &good.commit)), (2, expected(&fixture)));
    }
}
