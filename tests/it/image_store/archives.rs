//! `docker-archive:` and `oci-archive:` with compressed layers, and archives that are compressed as a whole.

use std::fs;

use super::Work;
use crate::oracle::{need, run};

const DOCKER: &str = "docker-archive:docker.tar:org/app:1";

/// A repository with a commit, and one to pull into.
pub(super) fn committed() -> Work {
    let work = Work::new();
    fs::create_dir_all(work.path("tree/usr")).unwrap();
    fs::write(work.path("tree/usr/hello"), b"hello\n").unwrap();
    work.ok(&["init", "--repo=repo", "--mode=bare-user"]);
    work.ok(&["commit", "--repo=repo", "-b", "main", "--tree=dir=tree", "--owner-uid=0", "--owner-gid=0"]);
    work.ok(&["init", "--repo=new", "--mode=bare-user"]);
    work
}

/// What `container image pull` says of the archive's layer, after it pulled it.
fn pulled(work: &Work) -> String {
    let image = format!("ostree-unverified-image:{DOCKER}");
    work.ok(&["container", "image", "pull", "-q", "new", &image]);
    let manifest = work.ok(&["container", "image", "metadata", "--repo=new", DOCKER]);
    work.ok(&["container", "image", "remove", "--repo=new", DOCKER]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    manifest["layers"][0]["mediaType"].as_str().unwrap().rsplit('.').next().unwrap().to_owned()
}

/// What is made for such an archive has no zstd; what is copied stays as it is, and can be read.
#[test]
fn layers_in_a_docker_archive() {
    let work = committed();
    let commit = work.ok(&["rev-parse", "--repo=repo", "main"]);
    for (compression, made, copied) in [
        ("none", "tar", "tar"),
        ("gzip", "gzip", "gzip"),
        ("zstd", "gzip", "zstd"),
        ("zstd:chunked", "gzip", "zstd"),
    ] {
        let build = ["container", "build", "--repo=repo", "--ref=main", "--compression", compression];
        work.ok(&[&build[..], &["--push", DOCKER]].concat());
        assert_eq!(pulled(&work), made, "{compression}");
        work.ok(&[&build[..], &["--push=oci:layout:x"]].concat());
        work.ok(&["container", "image", "pull", "-q", "new", "ostree-unverified-image:oci:layout:x"]);
        let again = ["container", "image", "reexport", "--repo=new", "--compression", compression];
        work.ok(&[&again[..], &["oci:layout:x", DOCKER]].concat());
        assert_eq!(pulled(&work), made, "{compression}");
        work.ok(&["container", "image", "remove", "--repo=new", "oci:layout:x"]);

        work.ok(&["container", "copy", "oci:layout:x", DOCKER]);
        assert_eq!(pulled(&work), copied, "{compression}");
        let image = format!("ostree-unverified-image:{DOCKER}");
        assert_eq!(work.ok(&["container", "pull", "--repo=new", &image]), commit);
        if need("skopeo") {
            let at = |place: &str| format!("{place}:{}", work.path("").display());
            let from = format!("{}docker.tar:org/app:1", at("docker-archive"));
            run("skopeo", &["--insecure-policy", "copy", "-q", &from, &format!("{}theirs", at("dir"))]);
            let theirs = "ostree-unverified-image:dir:theirs";
            assert_eq!(work.ok(&["container", "pull", "--repo=new", theirs]), commit);
        }
    }
}

/// As skopeo reads them.
#[test]
fn compressed_archives_are_pulled() {
    let work = committed();
    work.ok(&["init", "--repo=new", "--mode=bare-user"]);
    for transport in ["oci-archive", "docker-archive"] {
        let image = format!("{transport}:plain.tar:app:1");
        work.ok(&["container", "build", "--repo=repo", "--ref=main", "--push", &image]);
        let plain = fs::read(work.path("plain.tar")).unwrap();
        fs::write(work.path("small"), zstd::encode_all(&*plain, 1).unwrap()).unwrap();
        let image = format!("ostree-unverified-image:{transport}:small:app:1");
        work.ok(&["container", "pull", "--repo=new", &image]);
        fs::write(work.path("small"), b"PK\x03\x04").unwrap();
        let error = work.refused(&["container", "pull", "--repo=new", &image]);
        let expected = format!("{transport}:small:app:1: the file is a zip archive: unpack it first");
        assert!(error.contains(&expected), "{error}");
    }
}

/// Signatures in `dir:` are copied where there is a place for them, and otherwise not silently left behind.
#[test]
fn signatures_are_copied() {
    let work = committed();
    work.ok(&["container", "build", "--repo=repo", "--ref=main", "--push=dir:signed"]);
    work.ok(&["container", "copy", "dir:signed", "dir:plain"]);
    for number in [1, 2] {
        fs::write(work.path(&format!("signed/signature-{number}")), format!("\0 {number}")).unwrap();
    }
    let copy = |args: &[&str]| {
        let out = work.start(&[&["container", "copy"], args].concat());
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stderr).unwrap()
    };
    let signatures = |dir: &str| {
        let read = |number: u8| fs::read_to_string(work.path(&format!("{dir}/signature-{number}"))).ok();
        [1, 2, 3].map(read).into_iter().flatten().collect::<Vec<_>>()
    };
    assert_eq!(copy(&["dir:signed", "dir:copy"]), "");
    assert_eq!(signatures("copy"), ["\0 1", "\0 2"]);
    // They are of the image that was there before.
    copy(&["dir:plain", "dir:copy"]);
    assert!(signatures("copy").is_empty());
    let said = copy(&["dir:signed", "oci:layout:x"]);
    assert_eq!(said, "GPG signatures that cannot be kept at oci:layout:x: 2\n");
    for silent in ["-q", "--remove-signatures"] {
        assert_eq!(copy(&[silent, "dir:signed", "oci:layout:x"]), "");
    }
}
