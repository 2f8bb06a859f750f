//! Images for composefs: byte for byte those of libostree and libcomposefs, and what the kernel shows of them.

mod commits;
mod images;
mod mounted;
mod trees;

use std::fs;
use std::io::Write;
use std::path::Path;

use ostree_rs::base::VerityHasher;

use crate::cli::{OURS, start};
use crate::oracle::{need, run};

/// Runs our program in `dir`, and it succeeds.
fn ours(dir: &Path, args: &[&str]) -> String {
    let out = start(OURS, dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The digest of content of every number of levels, and at their borders, is that of the program `fsverity`.
#[test]
fn digests_are_those_of_fsverity() {
    if !need("fsverity") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    let block = 4096;
    for len in [0, 1, block - 1, block, block + 1, 128 * block, 128 * block + 1, 128 * 128 * block + 1] {
        let content: Vec<u8> = (0..len).map(|at| u8::try_from(at / 7 % 251).unwrap()).collect();
        fs::write(&file, &content).unwrap();
        let theirs = run("fsverity", &["digest", "--compact", file.to_str().unwrap()]);
        let mut hasher = VerityHasher::new();
        content.chunks(10_007).for_each(|piece| hasher.write_all(piece).unwrap());
        assert_eq!(hasher.finish().to_string(), String::from_utf8(theirs).unwrap().trim(), "{len} bytes");
    }
}
