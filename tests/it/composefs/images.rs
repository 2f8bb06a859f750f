//! Images compared with those that libostree made.

use std::fs;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::composefs::{FileDigests, TreeImage};
use ostree_rs::format::{Checksum, RepoMode, RootDir};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Txn, in_transaction, local_ref};
use ostree_rs::tree::{CommitOptions, write_commit};

use super::trees;
use crate::oracle::{need, run};

/// What libostree 2026.4 with libcomposefs 1.0.8 made of a tree.
struct Theirs {
    tree: fn(&dyn Txn) -> RootDir,
    digests: FileDigests,
    /// SHA-256 of the image.
    sha256: &'static str,
    /// Whether libostree can make it, which aborts for links whose targets need a block of their own.
    by_libostree: bool,
}

/// The first two stand in libostree's tests/test-composefs.sh. The others were made by its `checkout --composefs` and
/// `--composefs-noverity`; the last by `mkcomposefs --from-file` of libcomposefs.
const THEIRS: [Theirs; 5] = [
    Theirs {
        tree: trees::of_libostree,
        digests: FileDigests::Record,
        sha256: "031fab2c7f390b752a820146dc89f6880e5739cba7490f64024e0c7d11aad7c9",
        by_libostree: true,
    },
    Theirs {
        tree: trees::of_libostree,
        digests: FileDigests::Omit,
        sha256: "78f873a76ccfea3ad7c86312ba0e06f8e0bca54ab4912b23871b31caafe59c24",
        by_libostree: true,
    },
    Theirs {
        tree: trees::hard,
        digests: FileDigests::Record,
        sha256: "0e36cf343f526dfacb4ff9f32358ca3495ab7e6506a8efa9c9f3760d6864a214",
        by_libostree: true,
    },
    Theirs {
        tree: trees::hard,
        digests: FileDigests::Omit,
        sha256: "b8749a66d0158c69bc00af64c2bb468a4a4248ecd376c30ae51b5fda7995b3c5",
        by_libostree: true,
    },
    Theirs {
        tree: trees::long_links,
        digests: FileDigests::Record,
        sha256: "56a1d6113f16b5d53361846a72c8e6d5903c93a0af044c70202d597886a0df12",
        by_libostree: false,
    },
];

/// Also compared byte for byte with the program that `OSTREE_RS_COMPOSEFS_OSTREE` names: see tests/README.md.
#[test]
fn images_are_those_of_libostree() {
    let program = std::env::var("OSTREE_RS_COMPOSEFS_OSTREE").ok();
    if program.is_none() {
        eprintln!("OSTREE_RS_COMPOSEFS_OSTREE is not set: compared with what libostree gave before");
    }
    let ctx = Ctx::default();
    for theirs in THEIRS {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("repo")).unwrap();
        let dir = Dir::open_ambient_dir(tmp.path().join("repo"), ambient_authority()).unwrap();
        let repo = Repo::create(dir, RepoMode::Archive, None).unwrap();
        let root = in_transaction(&repo, &ctx, |txn| {
            let root = (theirs.tree)(txn);
            let id = write_commit(txn, root, &CommitOptions::default())?;
            txn.set_ref(&local_ref("tree".parse().unwrap()), Some(id))?;
            Ok::<_, ostree_rs::store::Error>(root)
        });
        let image = TreeImage::of_tree(&repo, root.unwrap(), theirs.digests, &ctx).unwrap();
        let mut bytes = Vec::new();
        let digest = image.write(&mut bytes).unwrap();
        assert_eq!(digest, image.digest());
        if let (Some(program), true) = (&program, theirs.by_libostree) {
            let option = match theirs.digests {
                FileDigests::Record => "--composefs",
                // The kernel knows none of what is compressed.
                FileDigests::Omit | FileDigests::Known => "--composefs-noverity",
            };
            let (repo, file) = (tmp.path().join("repo"), tmp.path().join("image"));
            let (repo, file) = (format!("--repo={}", repo.display()), file.to_str().unwrap());
            run(program, &[&repo, "checkout", option, "tree", file]);
            assert!(fs::read(file).unwrap() == bytes, "other bytes");
        }
        assert_eq!(Checksum::of(&bytes).to_string(), theirs.sha256);
        if need("fsverity") {
            let file = tmp.path().join("image");
            fs::write(&file, &bytes).unwrap();
            let theirs = run("fsverity", &["digest", "--compact", file.to_str().unwrap()]);
            assert_eq!(digest.to_string(), String::from_utf8(theirs).unwrap().trim());
        }
    }
}
