//! A root file system becomes an image, goes through the tools that handle images, and comes back.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::{OURS, REF, THEIRS, Work, ready, same};
use crate::tree::fixture::{Detail, describe};

/// A signed commit in `bare`, and its image in `oci:image`; `/etc` lies in `/usr`, as operating systems do it.
fn built(compression: &str, xattrs: &str) -> Work {
    let work = Work::new();
    if fs::symlink_metadata(work.path("tree/usr/etc")).is_err() {
        fs::rename(work.path("tree/etc"), work.path("tree/usr/etc")).unwrap();
    }
    work.key("signer");
    work.init(OURS, "bare", "bare");
    let key = ["--gpg-sign=signer", "--gpg-homedir=signer"];
    let tree = ["commit", "--repo=bare", "-b", REF, "--bootable", "--tree=dir=tree"];
    work.run(OURS, &[&tree[..], &key].concat());
    build(&work, "image", compression, xattrs);
    work
}

fn build(work: &Work, to: &str, compression: &str, xattrs: &str) -> String {
    let args = ["container", "build", "--repo=bare", "--ref", REF, "--oci-dir", to, "--tag=v1"];
    work.run(OURS, &[&args[..], &["--compression", compression, "--xattrs", xattrs]].concat())
}

/// Moves a description of a checkout to where its files lie in a container: `/usr/etc` is `/etc`.
fn in_container(lines: Vec<String>) -> Vec<String> {
    let mut lines: Vec<_> =
        lines.into_iter().map(|line| line.replacen("\"./usr/etc", "\"./etc", 1)).collect();
    lines.sort();
    lines
}

/// What an image adds to the files of the commit: the repository, and a `/var/tmp`.
fn without_additions(lines: Vec<String>, expected: &[String]) -> Vec<String> {
    let has = |path: &str| expected.iter().any(|line| line.starts_with(path));
    let added = ["\"./sysroot\"", "\"./sysroot/ostree", "\"./var/tmp\""].map(|path| (path, has(path)));
    let added = |line: &String| added.iter().any(|(path, known)| !known && line.starts_with(path));
    lines.into_iter().filter(|line| !added(line)).collect()
}

/// Layers say that every file is of 1970, and not every tool sets it on all.
fn without_times(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| line.rsplit_once(" old ").unwrap().0.to_owned()).collect()
}

fn path_of(line: &str) -> &str {
    line.split_once("\" ").unwrap().0
}

/// The unpacked image is the checkout, with the same hard links: files of one object are one file. What the format does
/// not carry to other tools is left out (a pull has it): attributes of directories; and those of files, if files with
/// the same share them.
fn compare_unpacked(work: &Work, root: &Path, xattrs: &str, what: &str) {
    let expected = in_container(without_times(work.checkout(OURS, "bare", &["-H"])));
    let unpacked = without_additions(without_times(describe(root, Detail::Links)), &expected);
    let with_xattrs = |line: &&String| !line.contains("Xattrs([])") && !line.contains("\" dir ");
    let lost: Vec<&str> = expected.iter().filter(with_xattrs).map(|line| path_of(line)).collect();
    assert!(!lost.is_empty());
    let is_lost = |line: &&String| xattrs == "linked" && lost.contains(&path_of(line));
    let carried = |lines: &[String]| -> Vec<String> {
        let lines = lines.iter().filter(|line| !is_lost(line));
        lines.map(|line| line.split_once(" dir Xattrs(").map_or(&**line, |(dir, _)| dir).to_owned()).collect()
    };
    same(&carried(&unpacked), &carried(&expected), what);
}

#[test]
fn copied_and_unpacked_by_other_tools() {
    if !ready(&["gpg", "skopeo", "umoci"]) {
        return;
    }
    let work = built("gzip", "copied");
    work.run("skopeo", &["copy", "-q", "oci:image:v1", "oci-archive:image.tar:v1"]);
    fs::create_dir(work.path("copied")).unwrap();
    work.run("tar", &["-xf", "image.tar", "-C", "copied"]);
    work.run("umoci", &["unpack", "--image=copied:v1", "bundle"]);
    compare_unpacked(&work, &work.path("bundle/rootfs"), "copied", "umoci");
    // The copy is the image.
    assert_eq!(blobs(&work.path("copied")), blobs(&work.path("image")));
    let pulled = pull(&work, "from-archive", "bare", "oci-archive:image.tar:v1");
    assert_eq!(pulled, work.run(OURS, &["rev-parse", "--repo=bare", REF]));
}

fn blobs(layout: &Path) -> HashMap<String, u64> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect()
}

#[test]
fn unpacked_by_podman() {
    if !ready(&["gpg", "podman"]) {
        return;
    }
    for (compression, xattrs) in [("gzip", "copied"), ("zstd", "linked")] {
        let work = built(compression, xattrs);
        let podman = |args: &[&str]| {
            let storage = ["--root", "containers", "--runroot", "run", "--storage-driver=vfs"];
            let path = work.path("");
            let storage = storage.map(|word| match word {
                "containers" | "run" => path.join(word).to_str().unwrap().to_owned(),
                word => word.to_owned(),
            });
            let storage: Vec<&str> = storage.iter().map(String::as_str).collect();
            work.run("podman", &[&storage, args].concat())
        };
        let image = podman(&["pull", "-q", "oci:image:v1"]);
        let root = podman(&["image", "mount", &image]);
        compare_unpacked(&work, Path::new(&root), xattrs, "podman");
        podman(&["image", "umount", &image]);
        podman(&["rmi", "-f", &image]);
    }
}

fn pull(work: &Work, repo: &str, mode: &str, image: &str) -> String {
    work.init(OURS, repo, mode);
    let repo = format!("--repo={repo}");
    work.run(OURS, &["container", "pull", &repo, "--ref", REF, "--gpg-keyring=signer.gpg", image])
}

#[test]
fn pulled_into_every_mode() {
    if !ready(&["gpg", THEIRS]) {
        return;
    }
    let work = built("zstd", "linked");
    let digest = build(&work, "again", "zstd", "linked");
    assert_eq!(build(&work, "image", "zstd", "linked"), digest, "the same commit gives the same image");
    assert_eq!(blobs(&work.path("again")), blobs(&work.path("image")));
    let commit = work.run(OURS, &["rev-parse", "--repo=bare", REF]);
    for mode in ["bare", "bare-user", "bare-split-xattrs", "archive"] {
        assert_eq!(pull(&work, mode_repo(mode), mode, "oci:image:v1"), commit);
        work.run(THEIRS, &["fsck", &format!("--repo={}", mode_repo(mode)), "-q"]);
        work.run(OURS, &["fsck", &format!("--repo={}", mode_repo(mode)), "-q"]);
        // With owners, modes and xattrs, hard-linked where the mode allows.
        let options: &[&str] = if mode == "bare" { &["-H"] } else { &["-C"] };
        let expected = work.checkout(OURS, "bare", options);
        same(&work.checkout(OURS, mode_repo(mode), options), &expected, mode);
    }
    // C ostree finds the signature in order too.
    work.run(
        THEIRS,
        &["remote", "add", "--repo=pulled-bare", "--gpg-import=signer.gpg", "os", "http://x.invalid"],
    );
    let shown = work.run(THEIRS, &["show", "--repo=pulled-bare", "--gpg-verify-remote=os", REF]);
    assert!(shown.contains("Good signature"), "{shown}");
}

fn mode_repo(mode: &str) -> &'static str {
    match mode {
        "bare" => "pulled-bare",
        "bare-user" => "pulled-user",
        "archive" => "pulled-archive",
        _ => "pulled-split",
    }
}
