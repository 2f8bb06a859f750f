//! Archives as other tools write them: compressed, with several images.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use ostree_rs::base::Ctx;
use ostree_rs::container::image::{Compression, Error, ImageDest, ImageSource as _};
use ostree_rs::container::place::{
    DockerArchive, DockerArchiveWriter, OciArchive, OciArchiveWriter, OciLayout, plain_archive,
};

use super::{dir, new_layout, noise, put_image, small_tar};
use crate::oracle::{self, need};

fn plain(path: &Path) -> Result<File, Error> {
    plain_archive(File::open(path).unwrap(), tempfile::tempfile, &Ctx::default())
}

#[test]
fn compressed_archives_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let tar = small_tar(&noise(300_000, 1));
    let oci = OciArchiveWriter::create(&dir(temp.path()), Path::new("oci.tar"), Some("x")).unwrap();
    let (manifest, _) = put_image(&oci, Compression::GZIP, &tar);
    oci.finish().unwrap();
    let docker =
        DockerArchiveWriter::create(&dir(temp.path()), Path::new("docker.tar"), Some("a/b:1")).unwrap();
    put_image(&docker, Compression::None, &tar);
    docker.finish().unwrap();
    for program in ["gzip", "zstd", "xz", "bzip2", "lz4"].into_iter().filter(|program| need(program)) {
        let packed = |name: &str| {
            let to = temp.path().join(format!("{name}.{program}"));
            let from = temp.path().join(name);
            let script = format!("{program} -c <{} >{}", from.display(), to.display());
            oracle::run("sh", &["-c", &script]);
            to
        };
        let oci = OciArchive::open(plain(&packed("oci.tar")).unwrap(), Some("x")).unwrap();
        assert_eq!(oci.manifest().unwrap().bytes, manifest.bytes, "{program}");
        let docker = DockerArchive::open(plain(&packed("docker.tar")).unwrap(), Some("a/b:1")).unwrap();
        let uncompressed =
            DockerArchive::open(plain(&temp.path().join("docker.tar")).unwrap(), None).unwrap();
        assert_eq!(docker.manifest().unwrap().digest, uncompressed.manifest().unwrap().digest, "{program}");
        let cut = temp.path().join("cut");
        let bytes = fs::read(temp.path().join(format!("oci.tar.{program}"))).unwrap();
        fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        let error = plain(&cut).map(|file| OciArchive::open(file, Some("x")).map(|_| ()));
        assert!(!matches!(error, Ok(Ok(()))), "{program}");
    }
    let zip = temp.path().join("zip");
    fs::write(&zip, b"PK\x03\x04").unwrap();
    assert!(matches!(plain(&zip), Err(Error::Unsupported(why)) if why.contains("zip archive")));
}

/// Slashes and dots in front of names mean nothing.
#[test]
fn names_in_archives_may_be_absolute() {
    if !need("tar") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(&temp.path().join("layout"), Some("x"));
    let (manifest, _) = put_image(&layout, Compression::GZIP, &small_tar(&noise(1000, 1)));
    let path = |name: &str| temp.path().join(name).display().to_string();
    for prefix in ["", "./", "/", "/./"] {
        let transform = format!("--transform=s,^\\./,{prefix},");
        let args = ["-c", "-P", "--no-recursion", "-f", &path("archive"), "-C", &path("layout"), &transform];
        let files = "cd \"$0\" && find . -type f";
        let files = String::from_utf8(oracle::run("sh", &["-c", files, &path("layout")])).unwrap();
        oracle::run("tar", &[&args[..], &files.lines().collect::<Vec<_>>()].concat());
        let archive = OciArchive::open(File::open(path("archive")).unwrap(), Some("x")).unwrap();
        assert_eq!(archive.manifest().unwrap().bytes, manifest.bytes, "{prefix}");
        if need("skopeo") {
            let image = format!("oci-archive:{}:x", path("archive"));
            assert_eq!(oracle::run("skopeo", &["inspect", "--raw", &image]), manifest.bytes, "{prefix}");
        }
    }
}

/// `@N` is image number N, as for skopeo, in archives and layouts.
#[test]
fn images_have_numbers() {
    let temp = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for (seed, tag) in [(1, "a"), (2, "b")] {
        let layout = new_layout(&temp.path().join("layout"), Some(tag));
        digests.push(put_image(&layout, Compression::None, &small_tar(&noise(1000, seed))).0.digest);
    }
    let open = |name: &str| OciLayout::open(dir(&temp.path().join("layout")), Some(name)).unwrap();
    for (number, digest) in digests.iter().enumerate() {
        assert_eq!(open(&format!("@{number}")).manifest().unwrap().digest, *digest);
    }
    assert!(matches!(open("@2").manifest(), Err(Error::TagNotFound { tag, .. }) if tag == "@2"));
    // What has no tag is offered by its number, as for docker save's archives below.
    let index = temp.path().join("layout/index.json");
    let untagged = fs::read_to_string(&index).unwrap().replace("org.opencontainers.image.ref.name", "x");
    fs::write(&index, untagged).unwrap();
    let unnamed = OciLayout::open(dir(&temp.path().join("layout")), None).unwrap();
    assert!(matches!(unnamed.manifest(), Err(Error::Ambiguous { known }) if known == ["@0", "@1"]));
    assert!(matches!(OciLayout::create(dir(temp.path()), Some("@0")), Err(Error::Usage(_))));
    let docker = DockerArchiveWriter::create(&dir(temp.path()), Path::new("x.tar"), Some("@0"));
    assert!(matches!(docker.err(), Some(Error::Usage(_))));

    // One archive with both, as `docker save a b` writes it.
    let path = temp.path().join("both.tar");
    let mut both = tar::Builder::new(File::create(&path).unwrap());
    let mut items = Vec::new();
    for tag in ["a", "b"] {
        let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[]}},"author":"{tag}"}}"#);
        let mut header = tar::Header::new_ustar();
        header.set_size(config.len() as u64);
        header.set_mode(0o644);
        both.append_data(&mut header, format!("{tag}.json"), config.as_bytes()).unwrap();
        // docker save writes null for no layers.
        let layers = if tag == "b" { "null" } else { "[]" };
        items.push(format!(r#"{{"Config":"{tag}.json","RepoTags":null,"Layers":{layers}}}"#));
    }
    let list = format!("[{}]", items.join(","));
    let mut header = tar::Header::new_ustar();
    header.set_size(list.len() as u64);
    header.set_mode(0o644);
    both.append_data(&mut header, "manifest.json", list.as_bytes()).unwrap();
    both.into_inner().unwrap().flush().unwrap();
    let digest = |name: &str| {
        let opened = DockerArchive::open(File::open(&path).unwrap(), Some(name))?;
        Ok::<_, Error>(opened.manifest().unwrap().digest)
    };
    assert_ne!(digest("@0").unwrap(), digest("@1").unwrap());
    assert!(matches!(digest("@2"), Err(Error::TagNotFound { known, .. }) if known == ["@0", "@1"]));
    let unnamed = DockerArchive::open(File::open(&path).unwrap(), None);
    assert!(matches!(unnamed, Err(Error::Ambiguous { known }) if known == ["@0", "@1"]));
    if need("skopeo") {
        let name = format!("docker-archive:{}:@1", path.display());
        let config = oracle::run("skopeo", &["inspect", "--config", "--raw", &name]);
        assert!(String::from_utf8(config).unwrap().contains(r#""author":"b""#));
    }
}

/// A layout without its file `oci-layout`, in a directory and in an archive; an archive of docker with two lists of its
/// images.
#[test]
fn what_skopeo_reads_though_it_is_odd() {
    if !need("skopeo") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name).display().to_string();
    let put = |dest: &dyn ImageDest| put_image(dest, Compression::GZIP, &small_tar(b"content"));
    put(&new_layout(&temp.path().join("layout"), Some("x")));
    fs::remove_file(temp.path().join("layout/oci-layout")).unwrap();
    oracle::run("tar", &["-c", "-f", &at("oci.tar"), "-C", &at("layout"), "."]);
    let docker =
        DockerArchiveWriter::create(&dir(temp.path()), Path::new("docker.tar"), Some("a/b:1")).unwrap();
    put(&docker);
    docker.finish().unwrap();
    fs::write(temp.path().join("manifest.json"), "[]").unwrap();
    oracle::run("tar", &["-r", "-f", &at("docker.tar"), "-C", &at("."), "manifest.json"]);

    let layout = OciLayout::open(dir(&temp.path().join("layout")), Some("x")).unwrap();
    let archive = OciArchive::open(plain(&temp.path().join("oci.tar")).unwrap(), Some("x")).unwrap();
    let docker = DockerArchive::open(plain(&temp.path().join("docker.tar")).unwrap(), None).unwrap();
    for (name, ours) in [
        (format!("oci:{}:x", at("layout")), layout.manifest()),
        (format!("oci-archive:{}:x", at("oci.tar")), archive.manifest()),
        (format!("docker-archive:{}", at("docker.tar")), docker.manifest()),
    ] {
        let theirs = oracle::run("skopeo", &["inspect", "--raw", &name]);
        let config = |bytes: &[u8]| {
            let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            manifest["config"]["digest"].clone()
        };
        assert_eq!(config(&ours.unwrap().bytes), config(&theirs), "{name}");
    }
}
