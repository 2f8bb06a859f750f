//! Updates, layers that images share, and what goes away with an image.

use std::io::Read;

use oci_spec::image::Descriptor;
use ostree_rs::base::Ctx;
use ostree_rs::container::image::{Digest, Error, Image, ImageReference, ImageSource, RawManifest, Result};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{Check, check_image, pull_image};
use ostree_rs::container::store;
use ostree_rs::container::trust::Admitted;
use ostree_rs::store::{MemStore, Refs};
use ostree_rs::tar::Var;

use super::{Work, file, layer, name, new_layout, pull, put_image, unverified};
use crate::corpus;
use crate::oracle::{need, run};

fn layers_of(store: &MemStore) -> usize {
    let refs = store.list().unwrap();
    refs.keys().filter(|name| name.to_string().starts_with("ostree/container/blob/")).count()
}

#[test]
fn an_update_fetches_what_is_new() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    let (base, old, new) =
        (layer(&[file("usr/base", "b")]), layer(&[file("usr/a", "1")]), layer(&[file("usr/a", "2")]));
    put_image(&layout, &[base.clone(), old.clone()], &[]);
    let (store, image) = (MemStore::new(), name("oci:x"));
    let first = pull(&layout, &store, "oci:x").unwrap();
    assert_eq!((first.fetched, first.reused, first.pruned), (2, 0, 0));
    let options = unverified();
    let check = || {
        let now = Admitted::unjudged(&layout).unwrap();
        (check_image(&store, &now, &image, &options.pull).unwrap(), now.image().unwrap().clone())
    };
    assert!(matches!(check().0, Check::Current(_)));

    put_image(&layout, &[base, new], &[]);
    let (Check::Changed { stored }, update) = check() else { panic!("it changed") };
    let stored = stored.unwrap();
    assert_eq!(stored.commit, first.commit);
    store::cache_update(&store, &stored.commit, &update).unwrap();
    let seen = store::require(&store, &image).unwrap().update.unwrap();
    assert_eq!(seen.digest, update.digest);
    assert!(store::clear_cached_update(&store, &image).unwrap());
    assert!(!store::clear_cached_update(&store, &image).unwrap());
    assert!(store::require(&store, &image).unwrap().update.is_none());

    let second = pull(&layout, &store, "oci:x").unwrap();
    assert_eq!((second.fetched, second.reused, second.pruned), (1, 1, 1));
    assert_eq!(layers_of(&store), 2);
    // The same layers, the same commit, whenever they were pulled.
    let other = MemStore::new();
    assert_eq!(pull(&layout, &other, "oci:x").unwrap().commit, second.commit);
}

/// A deployment needs what somebody pulled for libostree before 2024.3 in another tree.
#[test]
fn an_image_that_was_pulled_by_another_rule_for_var_has_changed() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    put_image(&layout, &[layer(&[file("usr/a", "1"), file("var/lib/state", "s")])], &[]);
    let (store, image, now) = (MemStore::new(), name("oci:x"), Admitted::unjudged(&layout).unwrap());
    let options = |var| {
        let mut options = unverified();
        options.pull.var = var;
        options
    };
    let is_current = |var| {
        let check = check_image(&store, &now, &image, &options(var).pull).unwrap();
        matches!(check, Check::Current(_))
    };
    let mut commits = Vec::new();
    for (var, other) in [(Var::Factory, Var::Keep), (Var::Keep, Var::Factory)] {
        commits.push(pull_image(&now, &store, &image, &options(var), &Ctx::default()).unwrap().commit);
        assert!(is_current(var) && !is_current(other), "{var:?}");
    }
    assert_ne!(commits[0], commits[1]);
}

#[test]
fn images_share_layers() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    let (base, a, b) =
        (layer(&[file("usr/base", "b")]), layer(&[file("usr/a", "1")]), layer(&[file("usr/b", "1")]));
    let store = MemStore::new();
    put_image(&layout, &[base.clone(), a], &[]);
    pull(&layout, &store, "oci:a").unwrap();
    put_image(&layout, &[base, b], &[]);
    assert_eq!(pull(&layout, &store, "oci:b").unwrap().fetched, 1);
    let images: Vec<ImageReference> = store::list(&store).unwrap();
    assert_eq!(images, [name("oci:a"), name("oci:b")]);
    assert!(store::remove(&store, &name("oci:a")).unwrap());
    assert!(!store::remove(&store, &name("oci:a")).unwrap());
    assert_eq!(store::prune_layers(&store).unwrap(), 1);
    assert_eq!(layers_of(&store), 2);
    assert!(matches!(store::require(&store, &name("oci:a")), Err(Error::NotStored(_))));

    let copied = MemStore::new();
    store::copy(&store, &name("oci:b"), &copied, &name("oci:c"), &Ctx::default()).unwrap();
    let (here, there) =
        (store::require(&store, &name("oci:b")).unwrap(), store::require(&copied, &name("oci:c")).unwrap());
    assert_eq!(here.commit, there.commit);
    assert_eq!(layers_of(&copied), 2);
    store::prune_images(&store, &Default::default()).unwrap();
    assert_eq!(store::prune_layers(&store).unwrap(), 2);
    assert_eq!(layers_of(&store), 0);
}

/// Compressed in another way a layer has another digest, and is the same.
#[test]
fn recompressed_layers_are_known() {
    if !need("skopeo") {
        return;
    }
    let work = Work(corpus::unpack("ostree-ext/images.tar.zst"));
    let from = format!("oci:{}:derived2", work.path("oci-derived2").display());
    let to = format!("dir:{}", work.path("zstd").display());
    let zstd = ["--dest-compress", "--dest-compress-format=zstd"];
    run("skopeo", &[&["copy", "--insecure-policy"], &zstd[..], &[&from, &to]].concat());
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    work.ok(&["container", "image", "pull", "-q", "r", "ostree-unverified-image:oci:oci-derived2:derived2"]);
    let out =
        work.ok(&["container", "image", "pull", "-q", "--json", "r", "ostree-unverified-image:dir:zstd"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    // The first one is fetched: its commit has no place for a note of the diffid that it had.
    assert_eq!((&json["layers_fetched"], &json["layers_reused"]), (&1.into(), &9.into()), "{out}");
    let digests = |image: &str| {
        let text = work.ok(&["container", "image", "metadata", "--repo=r", image]);
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        manifest["layers"][3]["digest"].to_string()
    };
    // Otherwise nothing was tried.
    assert_ne!(digests("dir:zstd"), digests("oci:oci-derived2:derived2"));
    assert_eq!(
        work.ok(&["container", "image", "remove", "--repo=r", "dir:zstd"]),
        "Removed images: 1 layers: 10"
    );
}

#[test]
fn verbs() {
    let work = Work(corpus::unpack("ostree-ext/images.tar.zst"));
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    let image = "ostree-unverified-image:oci:oci-derived:derived";
    assert_eq!(work.ok(&["container", "image", "list", "--repo=r"]), "");
    let check = ["container", "image", "pull", "--check=new.json", "r", image];
    let out = work.ok(&check);
    assert!(out.starts_with(&format!("Update of {image}: sha256:")), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&work.ok(&[&check[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["changed"], &json["commit"]), (&true.into(), &serde_json::Value::Null), "{json}");
    assert!(out.contains(json["manifest_digest"].as_str().unwrap()), "{json}");
    let manifest = std::fs::read_to_string(work.path("new.json")).unwrap();
    assert!(manifest.contains("ostree.final-diffid"));
    assert_eq!(work.ok(&["refs", "--repo=r"]), "");
    let first = work.ok(&["container", "image", "pull", "r", image]);
    assert!(first.starts_with("layers already present: 0; layers fetched: 3 ("), "{first}");
    let again = work.ok(&["container", "image", "pull", "r", image]);
    assert!(again.starts_with(&format!("No changes in {image} => ")), "{again}");
    assert_eq!(work.ok(&["container", "image", "list", "--repo=r"]), "oci:oci-derived:derived");
    let history = work.ok(&["container", "image", "history", "--repo=r", "oci:oci-derived:derived"]);
    assert_eq!(history.lines().count(), 4);
    assert!(history.lines().nth(1).unwrap().ends_with("Tame release"), "{history}");
    let json: serde_json::Value =
        serde_json::from_str(&work.ok(&[&check[..], &["--json"]].concat())).unwrap();
    assert_eq!(json["changed"], false, "{json}");
    let compared = work.ok(&["container", "compare", "oci:oci:single", "oci:oci-derived:derived"]);
    assert!(
        compared.starts_with("Total new layers: 3 ") && compared.contains("Added layers:     2 "),
        "{compared}"
    );
    assert!(
        work.refused(&["container", "image", "remove", "--repo=r", "oci:nowhere"]).contains("oci:nowhere")
    );
    assert!(work.refused(&["container", "unencapsulate", "--repo=r", image]).contains("2 layers"));
    assert_eq!(
        work.ok(&["container", "image", "remove", "--repo=r", "oci:oci-derived:derived"]),
        "Removed images: 1 layers: 3"
    );
    assert_eq!(work.ok(&["refs", "--repo=r"]), "");
}

/// The repository keeps the image's name, whatever says who vouches for it.
#[test]
fn another_name() {
    let work = Work(corpus::unpack("ostree-ext/images.tar.zst"));
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    let image = "ostree-unverified-image:oci:oci:single";
    let target = "--target=ostree-unverified-registry:quay.io/a/b:c";
    let pull = ["container", "image", "pull", target, "r", image];
    let out = work.ok(&pull);
    assert!(out.contains(&format!("Wrote: {image} as docker://quay.io/a/b:c => ")), "{out}");
    assert_eq!(work.ok(&["container", "image", "list", "--repo=r"]), "docker://quay.io/a/b:c");
    let json: serde_json::Value = serde_json::from_str(&work.ok(&[&pull[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["changed"], &json["target"]), (&false.into(), &"docker://quay.io/a/b:c".into()));
    let remove = ["container", "image", "remove", "--repo=r", "ostree-unverified-registry:quay.io/a/b:c"];
    work.ok(&remove);
    // Where nobody is asked who vouches for the image, nobody has to be named.
    for place in ["ostree-unverified-registry:quay.io/a/b:c", "ostree-remote-image:r:oci:oci:single"] {
        for args in [
            &["container", "copy", "oci:oci:single", place][..],
            &["container", "copy", place, "oci:out:x"],
            &["container", "build", "--repo=r", "--ref=x", "--push", place],
        ] {
            let error = work.refused(args);
            assert!(error.contains("does not belong here"), "{error}");
        }
    }
}

/// What cannot be written is named.
#[test]
fn a_repository_that_takes_nothing() {
    let work = Work(corpus::unpack("ostree-ext/images.tar.zst"));
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    // The lock cannot be taken.
    let _ = std::fs::remove_file(work.path("r/.lock"));
    std::fs::create_dir(work.path("r/.lock")).unwrap();
    // This one is full, by its own configuration.
    work.ok(&["init", "--repo=full", "--mode=bare-user"]);
    work.ok(&["config", "--repo=full", "set", "core.min-free-space-size", "999TB"]);
    for repo in ["r", "full"] {
        let place = work.path(repo).canonicalize().unwrap().display().to_string();
        for verb in [&["container", "pull"][..], &["container", "image", "pull"]] {
            let args = [verb, &["--repo", repo, "ostree-unverified-image:oci:oci:single"]].concat();
            let error = work.refused(&args);
            assert!(error.contains(&place), "{error}");
        }
    }
}

/// Images that no deployment's origin names.
#[test]
fn images_of_deployments_stay() {
    let work = Work(corpus::unpack("ostree-ext/images.tar.zst"));
    std::fs::create_dir_all(work.path("ostree/deploy/os/deploy")).unwrap();
    work.ok(&["init", "--repo=ostree/repo", "--mode=bare-user"]);
    for image in ["oci:oci:single", "oci:oci-derived:derived"] {
        work.ok(&[
            "container",
            "image",
            "pull",
            "-q",
            "ostree/repo",
            &format!("ostree-unverified-image:{image}"),
        ]);
    }
    let origin = "[origin]\ncontainer-image-reference=ostree-unverified-image:oci:oci:single\n";
    std::fs::write(work.path("ostree/deploy/os/deploy/abc.0.origin"), origin).unwrap();
    let out = work.ok(&["container", "image", "prune-images", "--sysroot=.", "--full"]);
    assert!(
        out.starts_with("Removed: oci:oci-derived:derived\nRemoved layers: 2\nRemoved objects: "),
        "{out}"
    );
    assert_eq!(work.ok(&["container", "image", "list", "--repo=ostree/repo"]), "oci:oci:single");
    let again = work.ok(&["container", "image", "prune-images", "--sysroot=."]);
    assert_eq!(again, "No unreferenced images.");
}

/// A source of which one layer cannot be had.
struct Broken<'a>(&'a OciLayout, String);

impl ImageSource for Broken<'_> {
    fn manifest(&self) -> Result<RawManifest> {
        self.0.manifest()
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        match descriptor.digest().to_string() == self.1 {
            true => Err(Error::BlobNotFound(Digest::of_descriptor(descriptor)?)),
            false => self.0.blob(descriptor),
        }
    }
}

/// What was whole before a pull failed is not fetched again; the image has no name until all of it is there.
#[test]
fn finished_layers_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    let layers: Vec<_> = (0..4).map(|n| layer(&[file(&format!("usr/{n}"), "x")])).collect();
    put_image(&layout, &layers, &[]);
    let image = Image::fetch(&layout, &Default::default()).unwrap();
    let last = image.manifest.layers()[3].digest().to_string();
    let (store, target) = (MemStore::new(), name("oci:x"));
    // One after the other, so that it is known what was whole.
    let ctx = Ctx { jobs: 1.try_into().unwrap(), ..Ctx::default() };
    let broken = Broken(&layout, last);
    let broken = Admitted::unjudged(&broken).unwrap();
    let error = pull_image(&broken, &store, &target, &unverified(), &ctx).unwrap_err();
    assert!(matches!(error, Error::BlobNotFound(_)), "{error}");
    assert_eq!(layers_of(&store), 3);
    assert!(store::query(&store, &target).unwrap().is_none());
    let pulled = pull(&layout, &store, "oci:x").unwrap();
    assert_eq!((pulled.fetched, pulled.reused), (1, 3));
}
