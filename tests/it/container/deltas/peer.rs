//! The reader of the project oci-delta: a crate in tests/oci-delta.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::reader::Tree;
use crate::{doors, oracle};

/// The reader, with the files of an old tree.
pub(crate) struct Peer {
    program: PathBuf,
    dir: TempDir,
}

impl Peer {
    /// Writes the files of a tree where the reader finds them; `None` where nobody has built it.
    pub(crate) fn new(old: &Tree) -> Option<Self> {
        let peer = Self { program: program()?, dir: tempfile::tempdir().unwrap() };
        fs::create_dir(peer.path("old")).unwrap();
        for (path, content) in old {
            let path = PathBuf::from(peer.path("old")).join(std::str::from_utf8(path).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Some(peer)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The stream that a delta makes.
    pub(crate) fn read(&self, delta: &[u8]) -> Vec<u8> {
        let [path, old, new] = ["delta", "old", "new"].map(|name| self.path(name));
        fs::write(&path, delta).unwrap();
        oracle::run(self.program.to_str().unwrap(), &["stream", &path, &old, &new]);
        fs::read(new).unwrap()
    }
}

/// The program; `None`, with a line that says so, where nobody has built it.
pub(crate) fn program() -> Option<PathBuf> {
    doors::built("oci-delta-reader", "tests/run")
}
