//! What lies in `corpus/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The path of a file in `corpus/`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// Unpacks an archive of `corpus/` with GNU tar; owners and privileged xattrs only as root.
pub(crate) fn unpack(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .args(["--zstd", "--xattrs", "--xattrs-include=*", "-xpf"])
        .arg(path(name))
        .arg("-C")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "unpacking {name}");
    dir
}

/// Every (directory, file name, bytes) of the loose objects of an unpacked repository.
pub(crate) fn loose_objects(repo: &Path) -> Vec<(String, String, Vec<u8>)> {
    let mut out = Vec::new();
    for dir in fs::read_dir(repo.join("objects")).unwrap().map(Result::unwrap) {
        for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            let names = [dir.file_name(), file.file_name()].map(|n| n.into_string().unwrap());
            let [dir_name, file_name] = names;
            let bytes = if file.file_type().unwrap().is_symlink() {
                Vec::new()
            } else {
                fs::read(file.path()).unwrap()
            };
            out.push((dir_name, file_name, bytes));
        }
    }
    out.sort();
    out
}
