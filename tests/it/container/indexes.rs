//! Indexes copied with all their images, from any place to any other, compared with skopeo.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ostree_rs::container::image::{Compression, Digest, ImageSource as _};
use ostree_rs::container::place::OciLayout;
use serde_json::{Value, json};

use super::{dir, new_layout, noise, put_image, small_tar};
use crate::oracle;
use crate::registry::server::{Login, Server, Speech};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A layout in which the tag `all` is an index of three images; the index's bytes.
fn index_of_three(path: &Path) -> Vec<u8> {
    let mut entries = Vec::new();
    for (seed, architecture) in [(1, "amd64"), (2, "arm64"), (3, "s390x")] {
        let tar = small_tar(&noise(20_000, seed));
        let (raw, _) = put_image(&new_layout(path, Some(architecture)), Compression::GZIP, &tar);
        entries.push(json!({
            "mediaType": raw.media_type.to_string(), "digest": raw.digest.to_string(), "size": raw.bytes.len(),
            "platform": {"os": "linux", "architecture": architecture}, "annotations": {"made": "by hand"}
        }));
    }
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries
    });
    // Not as we would write it: what is copied are bytes.
    let bytes = serde_json::to_vec_pretty(&index).unwrap();
    let digest = Digest::of(&bytes);
    fs::write(path.join("blobs/sha256").join(digest.checksum().to_string()), &bytes).unwrap();
    let mut layout: Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    layout["manifests"].as_array_mut().unwrap().push(json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest.to_string(), "size": bytes.len(),
        "annotations": {"org.opencontainers.image.ref.name": "all"}
    }));
    fs::write(path.join("index.json"), serde_json::to_vec(&layout).unwrap()).unwrap();
    bytes
}

/// Every file of an image in a plain directory, by name.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

fn skopeo_to_dir(from: &str, to: &Path) {
    let to = format!("dir:{}", to.display());
    oracle::run("skopeo", &["--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false", from, &to]);
}

#[test]
fn whole_indexes_go_round() {
    if !oracle::need("skopeo") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let at = |kind: &str, name: &str| format!("{kind}:{}", temp.path().join(name).display());
    let index = index_of_three(&temp.path().join("layout"));
    let theirs = temp.path().join("theirs");
    skopeo_to_dir(&at("oci", "layout:all"), &theirs);
    let theirs = files(&theirs);
    assert_eq!(theirs["manifest.json"], index);
    let server = Server::start(&Login::Anybody, &Speech::Plain);
    let registry = server.as_ref().map(|server| format!("docker://{}/app:all", server.address));
    let mut from = at("oci", "layout:all");
    let places = [at("dir", "plain"), at("oci", "copy:x"), at("oci-archive", "copy.tar:x")];
    for (n, to) in places.into_iter().chain(registry).chain([at("dir", "again")]).enumerate() {
        oracle::run(PROGRAM, &["container", "copy", "-q", "--all", "--tls-verify=false", &from, &to]);
        let check = temp.path().join(format!("check{n}"));
        skopeo_to_dir(&to, &check);
        assert_eq!(files(&check), theirs, "{to}");
        from = to;
    }
    // One of them is found as before.
    let one = at("dir", "one");
    oracle::run(PROGRAM, &["container", "copy", "-q", "--platform=linux/s390x", &from, &one]);
    let manifest = files(&temp.path().join("one"))["manifest.json"].clone();
    let layout = OciLayout::open(dir(&temp.path().join("layout")), Some("s390x")).unwrap();
    assert_eq!(manifest, layout.manifest().unwrap().bytes);
    // Where there is room for one image, several are refused.
    let out = std::process::Command::new(PROGRAM)
        .args(["container", "copy", "-q", "--all", &from, &at("docker-archive", "docker.tar")])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stderr).unwrap().contains("of an index cannot be written here"));
    assert!(!temp.path().join("docker.tar").exists());
}

/// A layout holds OCI's documents only: docker's become such, and the index names what they became.
#[test]
fn lists_of_docker_become_indexes() {
    if !oracle::need("skopeo") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let at = |kind: &str, name: &str| format!("{kind}:{}", temp.path().join(name).display());
    index_of_three(&temp.path().join("layout"));
    let to = at("dir", "docker");
    let convert =
        ["--insecure-policy", "copy", "-q", "--all", "--format=v2s2", &at("oci", "layout:all"), &to];
    oracle::run("skopeo", &convert);
    for name in ["ours", "theirs"] {
        let to = at("oci", &format!("{name}:x"));
        match name {
            "ours" => oracle::run(PROGRAM, &["container", "copy", "-q", "--all", &at("dir", "docker"), &to]),
            _ => oracle::run(
                "skopeo",
                &["--insecure-policy", "copy", "-q", "--all", &at("dir", "docker"), &to],
            ),
        };
        skopeo_to_dir(&to, &temp.path().join(format!("{name}-dir")));
    }
    // Layers and platforms are the same, in the same order.
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let shape = |name: &str| {
        let files = files(&temp.path().join(name));
        let index = parse(&files["manifest.json"]);
        let of = |entry: &Value| {
            let digest = entry["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
            let mut manifest = parse(&files[&format!("{digest}.manifest.json")]);
            // skopeo writes the configuration anew.
            let config = manifest.as_object_mut().unwrap().remove("config").unwrap();
            assert_eq!(config["mediaType"], "application/vnd.oci.image.config.v1+json");
            (entry["platform"].clone(), entry["mediaType"].clone(), manifest)
        };
        (
            index["mediaType"].clone(),
            index["manifests"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(),
        )
    };
    assert_eq!(shape("ours-dir"), shape("theirs-dir"));
}
