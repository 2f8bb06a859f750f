//! One image out of an index of several, chosen by us and by skopeo; documents that could be two things.

use std::fs;
use std::process::Command;

use oci_spec::image::Arch;
use ostree_rs::container::image::{Compression, Digest, Error, Image, ImageSource};
use ostree_rs::container::place::{DirImage, OciLayout, OnePlatform};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{dir, new_layout, put_image, small_tar};
use crate::oracle;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Nine images and a document over them: tagged "x" in a layout, and in a plain directory, which may hold lists of
/// docker, too.
struct Bench {
    temp: TempDir,
    entries: Vec<Value>,
    digests: Vec<Digest>,
}

impl Bench {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let layout = new_layout(&temp.path().join("layout"), None);
        let images = (0..9).map(|n| put_image(&layout, Compression::GZIP, &small_tar(&[n])).0);
        let (entries, digests) = images
            .map(|raw| {
                let entry = json!({"mediaType": raw.media_type.to_string(), "digest": raw.digest.to_string(),
                                   "size": raw.bytes.len()});
                (entry, raw.digest)
            })
            .unzip();
        let plain = temp.path().join("plain");
        fs::create_dir(&plain).unwrap();
        DirImage::create(dir(&plain)).unwrap();
        for blob in fs::read_dir(temp.path().join("layout/blobs/sha256")).unwrap().map(Result::unwrap) {
            let name = blob.file_name().into_string().unwrap();
            fs::copy(blob.path(), plain.join(format!("{name}.manifest.json"))).unwrap();
            fs::copy(blob.path(), plain.join(name)).unwrap();
        }
        Self { temp, entries, digests }
    }

    fn plain(&self) -> DirImage {
        DirImage::open(dir(&self.temp.path().join("plain"))).unwrap()
    }

    fn layout(&self) -> OciLayout {
        OciLayout::open(dir(&self.temp.path().join("layout")), Some("x")).unwrap()
    }

    /// Stores a document as "x".
    fn put(&self, media_type: &str, document: &[u8]) {
        let digest = Digest::of(document);
        let layout = self.temp.path().join("layout");
        fs::write(layout.join("blobs/sha256").join(digest.checksum().to_string()), document).unwrap();
        let entry = json!({"mediaType": media_type, "digest": digest.to_string(), "size": document.len(),
            "annotations": {"org.opencontainers.image.ref.name": "x"}});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        fs::write(self.temp.path().join("plain/manifest.json"), document).unwrap();
    }

    /// Stores an index whose entries say these platforms.
    fn put_index(&self, media_type: &str, platforms: &[&str]) {
        let entry = |(said, entry): (&&str, &Value)| {
            let mut entry = entry.clone();
            match said.split('/').collect::<Vec<_>>()[..] {
                ["empty"] => entry["platform"] = json!({}),
                ["linux"] => entry["platform"] = json!({"os": "linux", "architecture": null}),
                [os, architecture] => entry["platform"] = json!({"os": os, "architecture": architecture}),
                [os, architecture, variant] => {
                    entry["platform"] = json!({"os": os, "architecture": architecture, "variant": variant});
                }
                _ => {}
            }
            entry
        };
        let entries: Vec<_> = platforms.iter().zip(&self.entries).map(entry).collect();
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
        self.put(media_type, index.to_string().as_bytes());
    }

    /// Which of the images we take, by its number.
    fn ours(&self, platform: &str) -> Option<usize> {
        let source = OnePlatform::new(self.plain(), platform.parse().unwrap());
        match source.manifest() {
            Ok(raw) => self.digests.iter().position(|known| *known == raw.digest),
            Err(Error::Unsupported(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn skopeo(&self, platform: &str) -> Option<usize> {
        let mut command = Command::new("skopeo");
        command.arg("--insecure-policy");
        let parts: Vec<_> = platform.split('/').collect();
        for (option, value) in ["--override-os", "--override-arch", "--override-variant"].iter().zip(parts) {
            command.args([option, value]);
        }
        let from = format!("dir:{}", self.temp.path().join("plain").display());
        let copy = self.temp.path().join("copy");
        let out = command.args(["copy", "-q", &from, &format!("dir:{}", copy.display())]).output().unwrap();
        if !out.status.success() {
            return None;
        }
        let digest = Digest::of(&fs::read(copy.join("manifest.json")).unwrap());
        self.digests.iter().position(|known| *known == digest)
    }
}

#[test]
fn the_same_image_is_chosen() {
    if !oracle::need("skopeo") {
        return;
    }
    let bench = Bench::new();
    let tables: &[&[&str]] = &[
        &["linux/amd64"],
        &["linux/arm64", "linux/amd64", "linux/amd64"],
        &["linux/amd64/v2", "linux/amd64"],
        &["linux/amd64/v3"],
        &["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm/v8"],
        &["linux/arm/v7", "linux/arm"],
        &["linux/arm", "linux/arm/v6"],
        &["linux/arm64/v8", "linux/arm64"],
        &["linux/arm64/v9", "linux/arm64/v8"],
        &["linux/s390x", "windows/amd64"],
        &["unknown/unknown", "linux/amd64", "unknown/unknown"],
        &["unknown/unknown"],
        &["empty", "linux/amd64", "linux"],
        &["empty", "linux"],
        &["none"],
        &["none", "none"],
        &["none", "linux/amd64"],
        &["linux/arm64", "none", "none"],
        &["unknown/unknown", "none"],
        &[],
    ];
    let platforms = [
        "linux/amd64",
        "linux/amd64/v2",
        "linux/arm",
        "linux/arm/v5",
        "linux/arm/v6",
        "linux/arm/v7",
        "linux/arm/v8",
        "linux/arm/v9",
        "linux/arm64",
        "linux/arm64/v8",
        "linux/s390x",
        "windows/amd64",
    ];
    let mut wrong = Vec::new();
    for table in tables {
        for media_type in [INDEX, LIST] {
            // A list of docker's always says for which machine.
            if media_type == LIST && table.contains(&"none") {
                continue;
            }
            bench.put_index(media_type, table);
            for platform in platforms {
                let (ours, theirs) = (bench.ours(platform), bench.skopeo(platform));
                if ours != theirs {
                    wrong.push(format!("{platform} of {table:?}: {ours:?}, skopeo {theirs:?}"));
                }
                // The other way to an image is the same.
                if platform == "linux/amd64" {
                    let fetched = Image::fetch(&bench.layout(), &Arch::Amd64).ok().map(|image| image.digest);
                    assert_eq!(fetched, ours.map(|number| bench.digests[number]), "{table:?}");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// What builders attach to an image is for no machine, and zstd is better where there is a choice.
#[test]
fn annotations_count() {
    let bench = Bench::new();
    let annotated = |number: usize, key: &str, value: &str, platform: Option<Value>| {
        let mut entry = bench.entries[number].clone();
        entry["annotations"] = json!({key: value});
        if let Some(platform) = platform {
            entry["platform"] = platform;
        }
        entry
    };
    let put = |entries: Vec<Value>| {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        bench.put(INDEX, index.to_string().as_bytes());
    };
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    put(vec![annotated(0, "vnd.docker.reference.type", "attestation-manifest", Some(unknown))]);
    assert_eq!(bench.ours("linux/amd64"), None);
    assert_eq!(bench.ours("unknown/unknown"), None);
    put(vec![
        annotated(0, "vnd.docker.reference.type", "attestation-manifest", None),
        bench.entries[1].clone(),
    ]);
    assert_eq!(bench.ours("linux/amd64"), Some(1));
    let amd64 = json!({"os": "linux", "architecture": "amd64"});
    let zstd = "io.github.containers.compression.zstd";
    put(vec![
        annotated(0, zstd, "false", Some(amd64.clone())),
        annotated(1, zstd, "true", Some(amd64.clone())),
        annotated(2, zstd, "true", Some(amd64)),
        annotated(3, zstd, "true", None),
    ]);
    assert_eq!(bench.ours("linux/amd64"), Some(1));
}

/// Parts of an image in an index, and the other way round; a key twice, or in other letters.
#[test]
fn what_could_be_two_things_is_refused() {
    let bench = Bench::new();
    let blobs = bench.temp.path().join("layout/blobs/sha256");
    let manifest = fs::read_to_string(blobs.join(bench.digests[0].checksum().to_string())).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [bench.entries[1]]}).to_string();
    let with = |document: &str, more: &str| format!("{},{more}}}", document.strip_suffix('}').unwrap());
    let image_type = "application/vnd.oci.image.manifest.v1+json";
    for (more, of_image, of_index) in [
        (r#""annotations":{"a":"b"}"#, true, true),
        (r#""manifests":null"#, true, false),
        (r#""manifests":[]"#, false, false),
        (r#""layers":null"#, false, true),
        (r#""layers":[]"#, false, false),
        (r#""config":{}"#, false, false),
        (r#""fsLayers":[]"#, false, false),
        (r#""history":[]"#, false, false),
        (r#""history":null"#, true, true),
        (r#""Manifests":[]"#, false, false),
        (r#""LAYERS":[]"#, false, false),
        (r#""annotations":{"a":"b","a":"c"}"#, false, false),
        (r#""annotations":{"a":"b","A":"c"}"#, true, true),
    ] {
        for (media_type, document, good) in [(image_type, &manifest, of_image), (INDEX, &index, of_index)] {
            let document = with(document, more);
            bench.put(media_type, document.as_bytes());
            let fetched = Image::fetch(&bench.layout(), &Arch::Amd64);
            assert_eq!(fetched.is_ok(), good, "{media_type}: {document}: {:?}", fetched.err());
            let one = OnePlatform::new(bench.layout(), "linux/amd64".parse().unwrap()).manifest();
            assert_eq!(one.is_ok(), good, "{document}");
            assert_eq!(bench.plain().manifest().is_ok(), good, "{document}");
        }
    }
}
