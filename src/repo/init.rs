//! Making a repository.
//!
//! Source: libostree ostree-repo.c:2637-2697. `objects` comes last: where it exists, there is a repository.

use cap_std::fs::Dir;
use ostree_format::{CollectionId, RepoMode};

use super::{Repo, sys};
use crate::store::{Error, Result};

const DIRS: [&str; 7] = ["tmp", "extensions", "state", "refs", "refs/heads", "refs/mirrors", "refs/remotes"];

impl Repo {
    /// Makes a repository in `dir` and opens it. One that is there is only opened, whatever its mode.
    ///
    /// # Errors
    /// [`Error::Io`]; in mode bare-user also if the file system has no xattrs. And as [`Repo::open`].
    pub fn create(dir: Dir, mode: RepoMode, collection: Option<&CollectionId>) -> Result<Self> {
        let failed = |op, path: &'static str| {
            let dir = &dir;
            move |e| Error::at(dir, op, path, e)
        };
        if sys::lstat(&dir, "objects").map_err(failed("stat", "objects"))?.is_none() {
            if mode == RepoMode::BareUser {
                probe_xattrs(&dir).map_err(failed("set the xattr user.ostreemeta in", "."))?;
            }
            for path in DIRS {
                sys::mkdir(&dir, path, 0o775).map_err(failed("mkdir", path))?;
            }
            if sys::lstat(&dir, "config").map_err(failed("stat", "config"))?.is_none() {
                write_config(&dir, mode, collection).map_err(failed("write", "config"))?;
            }
            sys::mkdir(&dir, "objects", 0o775).map_err(failed("mkdir", "objects"))?;
            for path in DIRS.into_iter().chain(["objects", "."]) {
                let made = sys::open_dir(&dir, path).and_then(sys::sync_file);
                made.map_err(failed("fsync", path))?;
            }
        }
        Self::open(dir)
    }
}

fn write_config(dir: &Dir, mode: RepoMode, collection: Option<&CollectionId>) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::fd::AsFd;

    let mut text = format!("[core]\nrepo_version=1\nmode={mode}\n");
    if let Some(id) = collection {
        text += &format!("collection-id={id}\n");
    }
    let tmp = sys::open_dir(dir, "tmp")?;
    let file = sys::TempFile::new(tmp.as_fd())?;
    file.file().write_all(text.as_bytes())?;
    sys::set_mode(file.file(), 0o644)?;
    file.replace(dir.as_fd(), "config", true)
}

/// Fails if files cannot have xattrs, before anything was made.
fn probe_xattrs(dir: &Dir) -> std::io::Result<()> {
    use std::os::fd::AsFd;

    let file = sys::TempFile::new(dir.as_fd())?;
    sys::set_xattr(file.file(), "user.ostreemeta", b"\0")
}
