//! A file that is not there until it is finished.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, OpenOptions};

use super::error::{Error, Result};

/// A file under a name of its own, removed when it is dropped before [`TempFile::persist`].
pub(super) struct TempFile {
    dir: Dir,
    name: PathBuf,
    /// The open file, for reading and writing.
    pub(super) file: File,
    kept: bool,
}

impl TempFile {
    /// A new file in the folder `sub` of `dir`; `sub` may be empty.
    pub(super) fn new(dir: &Dir, sub: &Path) -> Result<Self> {
        let options = OpenOptions::new().read(true).write(true).create_new(true).to_owned();
        loop {
            // The hasher's keys are random: no two processes choose the same name.
            let name = sub.join(format!(".tmp-{:016x}", RandomState::new().build_hasher().finish()));
            match dir.open_with(&name, &options) {
                Ok(file) => {
                    let dir = dir.try_clone().map_err(Error::io("open", "."))?;
                    return Ok(Self { dir, name, file, kept: false });
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create", name)(e)),
            }
        }
    }

    /// Gives the file its name, replacing what had it before.
    pub(super) fn persist(mut self, name: &Path) -> Result<()> {
        self.dir.rename(&self.name, &self.dir, name).map_err(Error::io("rename to", name))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing is lost if this fails, and there is nobody to tell.
            let _ = self.dir.remove_file(&self.name);
        }
    }
}

/// Writes `bytes` to `name`, at once and durably.
pub(super) fn write_whole(dir: &Dir, name: &Path, bytes: &[u8]) -> Result<()> {
    let mut temp = TempFile::new(dir, Path::new(""))?;
    temp.file.write_all(bytes).and_then(|()| temp.file.sync_all()).map_err(Error::io("write", name))?;
    temp.persist(name)
}
