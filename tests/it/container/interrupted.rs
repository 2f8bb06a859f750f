//! Whoever writes an image may be killed at any moment, and several may write at once.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use ostree_rs::container::image::{Compression, Error, ImageSource as _};
use ostree_rs::container::place::{DirImage, OciArchiveWriter, OciLayout};

use super::{dir, new_layout, noise, put_image, small_tar};
use crate::oracle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A repository with the ref `os`, of some megabytes.
fn repository(root: &Path) -> String {
    let (tree, repo) = (root.join("tree"), root.join("repo").display().to_string());
    fs::create_dir(&tree).unwrap();
    for n in 0..8 {
        fs::write(tree.join(n.to_string()), noise(700_000, n)).unwrap();
    }
    oracle::run(PROGRAM, &["init", "--repo", &repo, "--mode=archive"]);
    let tree = format!("--tree=dir={}", tree.display());
    oracle::run(PROGRAM, &["commit", "--repo", &repo, "-b", "os", &tree]);
    repo
}

fn build(repo: &str, to: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["container", "build", "-q", "--repo", repo, "--ref=os", "--push", to]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn end(child: Child) {
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Names of files that are not finished.
fn unfinished(root: &Path) -> Vec<String> {
    let out = oracle::run("find", &[root.to_str().unwrap(), "-name", ".ostree-rs-tmp-*"]);
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_killed_build_is_finished_by_the_next() {
    let temp = tempfile::tempdir().unwrap();
    let repo = repository(temp.path());
    for (kind, tag) in [("oci", ":x"), ("dir", ""), ("oci-archive", ":x"), ("docker-archive", ":a/b:1")] {
        let place = temp.path().join(kind);
        for round in 0..6_u64 {
            if round % 3 == 0 {
                let _ = fs::remove_dir_all(&place).or_else(|_| fs::remove_file(&place));
            }
            let to = format!("{kind}:{}{tag}", place.display());
            let mut child = build(&repo, &to).spawn().unwrap();
            thread::sleep(Duration::from_millis(round * 23));
            child.kill().unwrap();
            child.wait().unwrap();
            end(build(&repo, &to).spawn().unwrap());
            assert_eq!(unfinished(temp.path()), [""; 0], "{kind}, {round}");
            oracle::run(PROGRAM, &["container", "info", &to]);
        }
    }
}

#[test]
fn several_build_into_one_new_layout() {
    let temp = tempfile::tempdir().unwrap();
    let repo = repository(temp.path());
    let layout = temp.path().join("layout");
    let tags: Vec<_> = (0..6).map(|n| format!("t{n}")).collect();
    let children: Vec<_> = tags
        .iter()
        .map(|tag| build(&repo, &format!("oci:{}:{tag}", layout.display())).spawn().unwrap())
        .collect();
    children.into_iter().for_each(end);
    for tag in &tags {
        OciLayout::open(dir(&layout), Some(tag)).unwrap().manifest().unwrap();
    }
    assert_eq!(unfinished(temp.path()), [""; 0]);
}

/// What a process leaves that was killed at a worse moment than one can hit.
#[test]
fn half_made_places_are_taken() {
    let made: [&[&str]; 5] = [
        &[".ostree-rs-tmp-0123456789abcdef"],
        &["oci-layout"],
        &["blobs/sha256/"],
        &["blobs/", "index.json"],
        &["oci-layout", "blobs/sha256/.ostree-rs-tmp-00"],
    ];
    for names in made {
        let temp = tempfile::tempdir().unwrap();
        for name in names {
            let path = temp.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content = match *name {
                "oci-layout" => r#"{"imageLayoutVersion":"1.0.0"}"#,
                "index.json" => r#"{"schemaVersion":2,"manifests":[]}"#,
                _ => "",
            };
            fs::write(path, content).unwrap();
        }
        let layout = new_layout(temp.path(), Some("x"));
        put_image(&layout, Compression::None, &small_tar(b"x"));
        layout.manifest().unwrap();
        assert_eq!(unfinished(temp.path()), [""; 0], "{names:?}");
    }
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join(".ostree-rs-tmp-0123456789abcdef"), "").unwrap();
    DirImage::create(dir(temp.path())).unwrap();
    fs::remove_file(temp.path().join("version")).unwrap();
    fs::write(temp.path().join("precious"), "").unwrap();
    assert!(matches!(DirImage::create(dir(temp.path())), Err(Error::Usage(_))));
}

/// What somebody still writes is not swept away.
#[test]
fn files_under_way_stay() {
    let temp = tempfile::tempdir().unwrap();
    let path = Path::new("image.tar");
    let first = OciArchiveWriter::create(&dir(temp.path()), path, Some("x")).unwrap();
    let second = OciArchiveWriter::create(&dir(temp.path()), path, Some("x")).unwrap();
    assert_eq!(unfinished(temp.path()).len(), 2);
    put_image(&first, Compression::None, &small_tar(b"1"));
    put_image(&second, Compression::None, &small_tar(b"2"));
    first.finish().unwrap();
    second.finish().unwrap();
    assert_eq!(unfinished(temp.path()), [""; 0]);
}

/// Not even if it cannot be locked, or nothing more can be opened.
#[test]
fn no_unfinished_file_stays() {
    let temp = tempfile::tempdir().unwrap();
    let repo = repository(temp.path());
    let locks = (2..5).map(|n| format!("inject=flock:error=EIO:when={n}"));
    let opens = [13, 19, 25].map(|n| format!("inject=openat2:error=EMFILE:when={n}+"));
    let mut failed = 0;
    for inject in locks.chain(opens) {
        for (kind, tag) in [("oci", ":x"), ("dir", ""), ("oci-archive", ":x")] {
            let place = temp.path().join(format!("{kind}-{inject}").replace(':', "-"));
            let to = format!("{kind}:{}{tag}", place.display());
            let args = ["container", "build", "-q", "--repo", &repo, "--ref=os", "--push", &to];
            let Some(out) = oracle::injected(&["-e", &inject], PROGRAM, &args) else { return };
            failed += u32::from(!out.status.success());
            assert_eq!(unfinished(temp.path()), [""; 0], "{kind}, {inject}");
        }
    }
    assert!(failed >= 6, "{failed} builds failed");
}
