//! What the mode of a repository cannot keep is refused, whichever way it comes, and nothing of it stays.

use std::fs;

use super::fixtures::assert_no_objects;
use super::{Item, Work, dir, file, layer, new_layout, put_image, symlink};
use crate::oracle::{need, need_root, run};

/// Files that bare-user-only cannot keep, and what is said about them.
fn lossy() -> [(&'static str, Item, &'static str); 3] {
    [
        ("owner", Item { owner: 5, ..file("usr/f", "f") }, ": owner 5:5, which"),
        ("xattr", Item { xattrs: vec![("user.x", b"1")], ..file("usr/f", "f") }, ": xattr user.x, which"),
        (
            "set-id",
            Item { mode: 0o4755, ..file("usr/f", "f") },
            ": invalid mode 0104755 with bits 04000, which",
        ),
    ]
}

/// Work with an archive repository `from` in which the ref `x` has this file, an image `oci` of it, and an image
/// `plain` of its plain layer.
fn work(name: &str, item: Item) -> Work {
    let work = Work::new();
    let tar = layer(&[dir("usr", 0o755), item]);
    fs::write(work.path("x.tar"), &tar).unwrap();
    put_image(&new_layout(&work.path("plain")), &[tar], &[]);
    work.ok(&["init", "--repo=from", "--mode=archive"]);
    let tree = ["commit", "--repo=from", "-b", "x", "--tree=tar=x.tar", "--tar-autocreate-parents"];
    let commit = work.ok(&tree);
    work.ok(&["container", "build", "--repo=from", "--ref=x", "--oci-dir=oci"]);
    work.ok(&["tar", "export", "--repo=from", "x", "-o", "stream.tar"]);
    assert_eq!(commit.len(), 64, "{name}");
    work
}

#[test]
fn bare_user_only_refuses_what_it_would_lose() {
    for (name, item, what) in lossy() {
        let work = work(name, item);
        work.ok(&["init", "--repo=to", "--mode=bare-user-only"]);
        let ways: [(&[&str], &str); 5] = [
            (&["pull-local", "--repo=to", "from", "x"], ""),
            (&["tar", "import", "--repo=to", "stream.tar"], ""),
            (&["container", "pull", "--repo=to", "ostree-unverified-image:oci:oci"], ""),
            (&["container", "image", "pull", "to", "ostree-unverified-image:oci:oci"], ""),
            (&["container", "image", "pull", "to", "ostree-unverified-image:oci:plain"], "usr/f: "),
        ];
        for (args, path) in ways {
            let why = work.refused(args);
            assert!(why.contains(&format!("{path}Content object ")) && why.contains(what), "{args:?}: {why}");
            assert!(why.contains("use a repository of mode bare") && why.contains("--canonical-permissions"));
            assert_eq!(work.ok(&["refs", "--repo=to"]), "", "{args:?}");
            assert_no_objects(&work.path("to"));
        }
        // The other modes keep it; a commit of its own makes canonical what it takes in.
        work.ok(&["commit", "--repo=to", "-b", "t", "--tree=tar=x.tar", "--tar-autocreate-parents"]);
        work.ok(&["init", "--repo=user", "--mode=bare-user"]);
        work.ok(&["pull-local", "--repo=user", "from", "x"]);
        // Not by a hard link either.
        let why = work.refused(&["pull-local", "--repo=to", "user", "x"]);
        assert!(why.contains(what), "{why}");
        work.ok(&["checkout", "--repo=user", "-U", "x", "tree"]);
        work.ok(&["commit", "--repo=to", "-b", "d", "--tree=dir=tree"]);
        for repo in ["to", "user"] {
            work.ok(&["fsck", "-q", &format!("--repo={repo}")]);
            if need("ostree") {
                run("ostree", &["fsck", "-q", &format!("--repo={}", work.path(repo).display())]);
            }
        }
    }
}

/// Python's tarfile writes 0644, which no symbolic link on disk has.
#[test]
fn symbolic_links_are_as_on_disk() {
    let link = || Item { mode: 0o644, ..symlink("usr/l", "target") };
    for mode in ["bare", "bare-split-xattrs", "bare-user-only", "archive"] {
        // The others set owners.
        if !matches!(mode, "bare-user-only" | "archive") && !need_root() {
            continue;
        }
        let work = work(mode, link());
        work.ok(&["init", "--repo=to", &format!("--mode={mode}")]);
        work.ok(&["container", "image", "pull", "to", "ostree-unverified-image:oci:plain"]);
        work.ok(&["commit", "--repo=to", "-b", "t", "--tree=tar=x.tar", "--tar-autocreate-parents"]);
        work.ok(&["pull-local", "--repo=to", "from", "x"]);
        let listed = work.ok(&["ls", "--repo=to", "t", "/usr/l"]);
        assert!(listed.starts_with("l00777 "), "{listed}");
        work.ok(&["fsck", "-q", "--repo=to"]);
        if need("ostree") {
            run("ostree", &["fsck", "-q", &format!("--repo={}", work.path("to").display())]);
        }
    }
}
