//! Layout directories and archives of them, compared with skopeo and umoci.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use oci_spec::image::{ImageManifest, MediaType};
use ostree_rs::base::WithCauses;
use ostree_rs::container::blob::read_layer;
use ostree_rs::container::image::{Compression, Digest, Error, ImageDest, ImageSource};
use ostree_rs::container::place::{OciArchive, OciArchiveWriter, OciLayout};

use super::{dir, find_layout, new_layout, noise, put_image, put_layer, small_tar};
use crate::{corpus, oracle};

/// Every file below `root`, without the folders.
fn files(root: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => todo.push(entry.path()),
                false => out.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    out.sort();
    out
}

fn skopeo_copy(from: &str, to: &str) {
    oracle::run("skopeo", &["--insecure-policy", "copy", "-q", from, to]);
}

/// The content of every layer comes out as `tar`, by way of all digests.
fn check_image(source: &dyn ImageSource, tar: &[u8]) {
    let raw = source.manifest().unwrap();
    let manifest: ImageManifest = serde_json::from_slice(&raw.bytes).unwrap();
    let config: oci_spec::image::ImageConfiguration =
        ostree_rs::container::image::read_json(source, "config", manifest.config()).unwrap();
    let diff_id = config.rootfs().diff_ids()[0].parse().unwrap();
    let mut content = Vec::new();
    read_layer(source, &manifest.layers()[0], &diff_id, &Default::default(), |stream| {
        stream.read_to_end(&mut content).unwrap();
        Ok(())
    })
    .unwrap();
    assert_eq!(content, tar);
}

#[test]
fn other_tools_read_a_layout() {
    let temp = tempfile::tempdir().unwrap();
    let ours = temp.path().join("ours");
    let tar = small_tar(&noise(3_000_000, 1));
    for (tag, compression) in
        [("gz", Compression::GZIP), ("zst", Compression::ZSTD), ("plain", Compression::None)]
    {
        let layout = new_layout(&ours, Some(tag));
        let (manifest, _) = put_image(&layout, compression, &tar);
        check_image(&layout, &tar);
        if !oracle::need("skopeo") || !oracle::need("umoci") {
            continue;
        }
        let from = format!("oci:{}:{tag}", ours.display());
        let inspected = oracle::run("skopeo", &["inspect", "--raw", &from]);
        assert_eq!(Digest::of(&inspected), manifest.digest);
        let theirs = temp.path().join(format!("theirs-{tag}"));
        skopeo_copy(&from, &format!("oci:{}:{tag}", theirs.display()));
        check_image(&OciLayout::open(dir(&theirs), Some(tag)).unwrap(), &tar);
        // This version of umoci does not know zstd.
        if tag != "zst" {
            let bundle = temp.path().join(format!("bundle-{tag}"));
            let bundle = bundle.to_str().unwrap();
            let image = format!("{}:{tag}", ours.display());
            oracle::run("umoci", &["unpack", "--rootless", "--image", &image, bundle]);
            assert_eq!(fs::read(Path::new(bundle).join("rootfs/hello")).unwrap(), noise(3_000_000, 1));
        }
    }
    // Three tags side by side, and nothing that does not belong there.
    let index = OciLayout::open(dir(&ours), None).unwrap().index().unwrap();
    assert_eq!(index.manifests().len(), 3);
    assert!(files(&ours).iter().all(|f| !f.contains("-tmp-")));
}

#[test]
fn archives_go_both_ways() {
    let temp = tempfile::tempdir().unwrap();
    let tar = small_tar(&noise(1_000_000, 2));
    let name = Path::new("image.tar");
    for round in 0..2 {
        let writer = OciArchiveWriter::create(&dir(temp.path()), name, Some("one")).unwrap();
        // An unfinished blob leaves nothing.
        let mut lost = writer.new_blob().unwrap();
        lost.write_all(&noise(round * 70_000, 3)).unwrap();
        assert!(matches!(writer.new_blob().err(), Some(Error::Usage(_))));
        drop(lost);
        put_image(&writer, Compression::GZIP, &tar);
        // The same blob again is not written twice.
        put_layer(&writer, Compression::GZIP, &tar, &Default::default());
        writer.finish().unwrap();
    }
    assert_eq!(files(temp.path()), ["image.tar"]);
    let path = temp.path().join(name);
    for tag in [None, Some("one")] {
        check_image(&OciArchive::open(File::open(&path).unwrap(), tag).unwrap(), &tar);
    }
    let other = OciArchive::open(File::open(&path).unwrap(), Some("two")).unwrap();
    assert!(
        matches!(other.manifest(), Err(Error::TagNotFound { tag, known }) if tag == "two" && known == ["one"])
    );

    let listed = oracle::run("tar", &["tf", path.to_str().unwrap()]);
    assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 2 + 3 + 2);
    if oracle::need("skopeo") {
        let theirs = temp.path().join("theirs.tar");
        let from = format!("oci-archive:{}:one", path.display());
        skopeo_copy(&from, &format!("oci-archive:{}:x", theirs.display()));
        check_image(&OciArchive::open(File::open(&theirs).unwrap(), Some("x")).unwrap(), &tar);
    }
}

#[test]
fn ostree_ext_layout() {
    let temp = corpus::unpack("ostree-ext/oci.tar.zst");
    let path = find_layout(temp.path());
    for (tag, layers) in [("single", 1), ("chunked", 5)] {
        let layout = OciLayout::open(dir(&path), Some(tag)).unwrap();
        let raw = layout.manifest().unwrap();
        assert_eq!(raw.media_type, MediaType::ImageManifest);
        let manifest: ImageManifest = serde_json::from_slice(&raw.bytes).unwrap();
        assert_eq!(manifest.layers().len(), layers, "{tag}");
    }
    assert!(matches!(
        OciLayout::open(dir(&path), None).unwrap().manifest(),
        Err(Error::Ambiguous { known }) if known == ["single", "chunked"]
    ));
    // The same layout as an archive, as GNU tar writes it.
    let elsewhere = tempfile::tempdir().unwrap();
    let archive = elsewhere.path().join("layout.tar");
    let status = Command::new("tar").arg("cf").arg(&archive).arg("-C").arg(&path).arg(".").status().unwrap();
    assert!(status.success());
    let archive = OciArchive::open(File::open(archive).unwrap(), Some("single")).unwrap();
    let layout = OciLayout::open(dir(&path), Some("single")).unwrap();
    assert_eq!(archive.manifest().unwrap().digest, layout.manifest().unwrap().digest);
}

#[test]
fn what_is_no_layout_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    assert!(matches!(OciLayout::open(dir(temp.path()), None), Err(Error::NotALayout(_))));
    fs::write(temp.path().join("precious"), "x").unwrap();
    assert!(matches!(OciLayout::create(dir(temp.path()), None), Err(Error::NotALayout(_))));
    assert_eq!(files(temp.path()), ["precious"]);
    let file = File::open(temp.path().join("precious")).unwrap();
    assert!(matches!(OciArchive::open(file, None), Err(Error::NotALayout(_))));

    fs::write(temp.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(OciLayout::open(dir(temp.path()), None), Err(Error::Unsupported(_))));
}

#[test]
fn an_image_replaces_its_namesake_only() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("layout");
    let tags = [Some("a"), None, Some("b"), Some("a"), None];
    let digests: Vec<_> = tags
        .iter()
        .enumerate()
        .map(|(i, tag)| {
            let tar = small_tar(&noise(1000, i as u64));
            put_image(&new_layout(&path, *tag), Compression::GZIP, &tar).0.digest
        })
        .collect();
    for (tag, at) in [(Some("a"), 3), (Some("b"), 2), (None, 4)] {
        let layout = OciLayout::open(dir(&path), tag).unwrap();
        assert_eq!(layout.manifest().unwrap().digest, digests[at]);
    }
}

#[test]
fn a_damaged_manifest_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let (manifest, _) = put_image(&layout, Compression::GZIP, &small_tar(b"x"));
    let path = temp.path().join("blobs/sha256").join(manifest.digest.checksum().to_string());
    for at in 0..manifest.bytes.len() {
        let mut bytes = manifest.bytes.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes).unwrap();
        let error = layout.manifest().unwrap_err();
        assert!(matches!(error, Error::Mismatch { expected, .. } if expected == manifest.digest));
    }
    fs::write(&path, &manifest.bytes[1..]).unwrap();
    assert!(matches!(layout.manifest(), Err(Error::Size { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(layout.manifest(), Err(Error::BlobNotFound(d)) if d == manifest.digest));
}

/// rules_oci of Bazel links to the blobs of the base instead of copying them. A link is as good as what it leads to.
#[test]
fn blobs_may_be_links_to_those_of_another_layout() {
    let temp = tempfile::tempdir().unwrap();
    let (image, base) = (temp.path().join("image"), temp.path().join("base"));
    let tar = small_tar(b"content");
    let (manifest, _) = put_image(&new_layout(&image, None), Compression::GZIP, &tar);
    fs::create_dir(&base).unwrap();
    let blobs = image.join("blobs/sha256");
    for name in files(&blobs) {
        fs::rename(blobs.join(&name), base.join(&name)).unwrap();
        symlink(Path::new("../../../base").join(&name), blobs.join(&name)).unwrap();
    }
    let layout = OciLayout::open(dir(&image), None).unwrap();
    check_image(&layout, &tar);
    assert!(layout.has_blob(&manifest.digest).unwrap());
    let copy = |program: &str, args: &[&str], to: &str| {
        let to = temp.path().join(to);
        let places = [format!("oci:{}", image.display()), format!("dir:{}", to.display())];
        oracle::run(program, &[args, &places.each_ref().map(String::as_str)[..]].concat());
        files(&to).into_iter().map(|name| (fs::read(to.join(&name)).unwrap(), name)).collect::<Vec<_>>()
    };
    let ours = copy(env!("CARGO_BIN_EXE_ostree-rs"), &["container", "copy", "-q"], "ours");
    assert!(ours.len() > 3);
    if oracle::need("skopeo") {
        assert_eq!(ours, copy("skopeo", &["--insecure-policy", "copy", "-q"], "theirs"));
    }

    let blob = blobs.join(manifest.digest.checksum().to_string());
    for (target, expected) in [("/dev/null", "it is not a regular file"), ("nowhere", "is missing")] {
        fs::remove_file(&blob).unwrap();
        symlink(target, &blob).unwrap();
        let error = WithCauses(&layout.manifest().unwrap_err()).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A pipe would be waited for without end: it is refused wherever a file should be.
#[test]
fn pipes_are_no_files_of_an_image() {
    let temp = tempfile::tempdir().unwrap();
    let image = temp.path().join("image");
    let layout = new_layout(&image, Some("x"));
    let (manifest, _) = put_image(&layout, Compression::None, &small_tar(b"content"));
    let blob = format!("blobs/sha256/{}", manifest.digest.checksum());
    let pulled = |name: &str, reference: &str| {
        let repo = temp.path().join("repo").display().to_string();
        oracle::run(env!("CARGO_BIN_EXE_ostree-rs"), &["init", "--mode=archive", &format!("--repo={repo}")]);
        let mut command = Command::new("timeout");
        command.args(["10", env!("CARGO_BIN_EXE_ostree-rs"), "container", "pull", "--repo", &repo]);
        let out = command.arg(format!("ostree-unverified-image:{reference}")).output().unwrap();
        let why = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{name}: {why}");
        assert!(why.contains(&format!("{name}: it is not a regular file")), "{name}: {why}");
    };
    let replace = |path: &Path| {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        oracle::run("mkfifo", &[path.to_str().unwrap()]);
        aside
    };
    for name in ["oci-layout", "index.json", &blob] {
        let aside = replace(&image.join(name));
        pulled(name, &format!("oci:{}:x", image.display()));
        fs::rename(aside, image.join(name)).unwrap();
    }
    let plain = temp.path().join("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    fs::copy(image.join(&blob), plain.join("manifest.json")).unwrap();
    let parsed: ImageManifest = serde_json::from_slice(&manifest.bytes).unwrap();
    let config = parsed.config().digest().digest().to_owned();
    fs::copy(image.join(format!("blobs/sha256/{config}")), plain.join(&config)).unwrap();
    for name in ["version", "manifest.json", &config] {
        let aside = replace(&plain.join(name));
        pulled(name, &format!("dir:{}", plain.display()));
        fs::rename(aside, plain.join(name)).unwrap();
    }
    let pipe = temp.path().join("pipe");
    oracle::run("mkfifo", &[pipe.to_str().unwrap()]);
    for transport in ["oci-archive", "docker-archive"] {
        pulled("pipe", &format!("{transport}:{}", pipe.display()));
    }
}

/// Every layout has an index.json: the name says whose it is.
#[test]
fn errors_name_the_layout() {
    let temp = tempfile::tempdir().unwrap();
    let image = temp.path().join("image");
    let layout = new_layout(&image, Some("x"));
    let (manifest, _) = put_image(&layout, Compression::None, &small_tar(b"content"));
    let name = |tag: &str| format!("oci:{}:{tag}", image.display());
    let info = |tag: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostree-rs"));
        let out = command.args(["container", "info", &name(tag)]).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        String::from_utf8(out.stderr).unwrap()
    };
    assert!(info("y").contains(&format!("{}: no image tagged", name("y"))));
    let blob = manifest.digest.checksum().to_string();
    fs::remove_file(image.join("blobs/sha256").join(&blob)).unwrap();
    assert!(info("x").contains(&format!("{}: blob sha256:{blob} is missing", name("x"))));
    fs::write(image.join("index.json"), "").unwrap();
    assert!(info("x").contains(&format!("{}: index.json: EOF", name("x"))));
    fs::remove_file(image.join("index.json")).unwrap();
    fs::remove_file(image.join("oci-layout")).unwrap();
    assert!(info("x").contains(&format!("{}: not an OCI image layout", name("x"))));
}
