//! Documents of images in which keys are missing or null, or texts are no UTF-8, as some programs write them.

use std::fs;

use ostree_rs::format::Checksum;
use serde_json::{Value, json};

use super::Work;
use super::archives::committed;
use crate::oracle::{need, run};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes a blob of the layout; gives the digest and size that descriptors say of it.
fn put(work: &Work, descriptor: &mut Value, bytes: &[u8]) {
    let checksum = Checksum::of(bytes);
    fs::write(work.path(&format!("layout/blobs/sha256/{checksum}")), bytes).unwrap();
    descriptor["digest"] = format!("sha256:{checksum}").into();
    descriptor["size"] = bytes.len().into();
}

fn get(work: &Work, descriptor: &Value) -> Value {
    let checksum = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
    serde_json::from_slice(&fs::read(work.path(&format!("layout/blobs/sha256/{checksum}"))).unwrap()).unwrap()
}

fn remove(object: &mut Value, key: &str) {
    object.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn what_is_missing_is_empty() {
    let work = committed();
    let commit = work.ok(&["rev-parse", "--repo=repo", "main"]);
    work.ok(&[
        "container",
        "build",
        "--repo=repo",
        "--ref=main",
        "--compression=gzip",
        "--push=oci:layout:x",
    ]);
    let mut index: Value =
        serde_json::from_slice(&fs::read(work.path("layout/index.json")).unwrap()).unwrap();
    let mut manifest = get(&work, &index["manifests"][0]);
    let mut config = get(&work, &manifest["config"]);

    config["config"]["Env"] = Value::Null;
    config["author"] = "caf?".into();
    let mut config = config.to_string().into_bytes();
    let at = config.windows(4).position(|four| four == b"caf?").unwrap();
    config[at + 3] = 0xe9;
    put(&work, &mut manifest["config"], &config);

    manifest["annotations"]["org.example.none"] = Value::Null;
    remove(&mut manifest["config"], "mediaType");
    manifest["layers"].as_array_mut().unwrap().iter_mut().for_each(|layer| remove(layer, "mediaType"));
    put(&work, &mut index["manifests"][0], manifest.to_string().as_bytes());
    let write_index = |index: &Value| fs::write(work.path("layout/index.json"), index.to_string()).unwrap();
    write_index(&index);

    let image = "ostree-unverified-image:oci:layout:x";
    assert_eq!(work.ok(&["container", "pull", "--repo=new", image]), commit);
    work.ok(&["container", "image", "pull", "-q", "new", image]);
    let config = work.ok(&["container", "image", "metadata", "--config", "--repo=new", "oci:layout:x"]);
    assert!(config.contains("caf\u{fffd}"), "{config}");
    work.ok(&["container", "copy", "oci:layout:x", "dir:ours"]);
    if need("skopeo") {
        let at = |place: &str| format!("{place}:{}", work.path("").display());
        let (from, to) = (format!("{}layout:x", at("oci")), format!("{}theirs", at("dir")));
        run("skopeo", &["--insecure-policy", "copy", "-q", &from, &to]);
        assert_eq!(
            work.ok(&["container", "pull", "--repo=new", "ostree-unverified-image:dir:theirs"]),
            commit
        );
        let read = |dir: &str| fs::read_to_string(work.path(dir).join("manifest.json")).unwrap();
        assert_eq!(read("ours"), read("theirs"));
    }
    assert_eq!(work.ok(&["container", "pull", "--repo=new", "ostree-unverified-image:dir:ours"]), commit);
    // Here the document itself tells what it is; skopeo does not look.
    remove(&mut index["manifests"][0], "mediaType");
    write_index(&index);
    assert_eq!(work.ok(&["container", "pull", "--repo=new", image]), commit);
}

/// An image without layers has none, whether an empty list says so or null.
#[test]
fn no_layers() {
    let work = committed();
    fs::create_dir_all(work.path("layout/blobs/sha256")).unwrap();
    fs::write(work.path("layout/oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut manifest = json!({"mediaType": MANIFEST, "config": {}, "layers": null});
    put(&work, &mut manifest["config"], b"null");
    let name = json!({"org.opencontainers.image.ref.name": "x"});
    let mut index = json!({"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "annotations": name}]});
    put(&work, &mut index["manifests"][0], manifest.to_string().as_bytes());
    fs::write(work.path("layout/index.json"), index.to_string()).unwrap();
    work.ok(&["container", "copy", "oci:layout:x", "dir:ours"]);
    if need("skopeo") {
        let from = format!("oci:{}layout:x", work.path("").display());
        let theirs = format!("dir:{}theirs", work.path("").display());
        run("skopeo", &["--insecure-policy", "copy", "-q", &from, &theirs]);
        let read = |dir: &str| fs::read_to_string(work.path(dir).join("manifest.json")).unwrap();
        assert_eq!(read("ours"), read("theirs"));
    }
}
