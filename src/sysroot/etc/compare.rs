//! What was changed in a directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use super::super::{Error, Result};
use super::EtcChanges;
use crate::base::{Ctx, Inode};

/// Bytes of two files that are compared at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is in a directory, by name.
type Names = BTreeMap<OsString, Stat>;

/// What an administrator did to the directory `default` to make `current` of it.
///
/// # Errors
/// [`Error::Io`], [`Error::Cancelled`].
pub fn changes(default: &Dir, current: &Dir, ctx: &Ctx) -> Result<EtcChanges> {
    let mut found = EtcChanges::default();
    Comparison { found: &mut found, ctx }.dirs(default, current, Path::new(""))?;
    Ok(found)
}

struct Comparison<'a> {
    found: &'a mut EtcChanges,
    ctx: &'a Ctx,
}

impl Comparison<'_> {
    fn dirs(&mut self, default: &Dir, current: &Dir, path: &Path) -> Result<()> {
        let (old, mut new) = (list(default)?, list(current)?);
        for (name, old) in old {
            self.ctx.cancel.check()?;
            let at = path.join(&name);
            let Some(new) = new.remove(&name) else {
                self.found.removed.push(at);
                continue;
            };
            let is_dir = kind(&old) == FileType::Directory;
            if kind(&old) != kind(&new) {
                self.found.modified.push(at);
                continue;
            }
            let (default, current) = (Place(default, &at), Place(current, &at));
            if differ(&default, &old, &current, &new)? {
                self.found.modified.push(at.clone());
            }
            if is_dir {
                self.dirs(&default.open_dir()?, &current.open_dir()?, &at)?;
            }
        }
        new.iter().try_for_each(|(name, stat)| self.added(current, &path.join(name), stat))
    }

    /// Notes something that is new, with all that is below it.
    fn added(&mut self, parent: &Dir, path: &Path, stat: &Stat) -> Result<()> {
        self.found.added.push(path.to_owned());
        if kind(stat) != FileType::Directory {
            return Ok(());
        }
        let dir = Place(parent, path).open_dir()?;
        list(&dir)?.iter().try_for_each(|(name, stat)| self.added(&dir, &path.join(name), stat))
    }
}

/// Whether two files of the same type differ in owner, group, mode, content or target.
fn differ(a: &Place<'_>, a_stat: &Stat, b: &Place<'_>, b_stat: &Stat) -> Result<bool> {
    let owner_and_mode = |stat: &Stat| (stat.st_uid, stat.st_gid, stat.st_mode);
    if owner_and_mode(a_stat) != owner_and_mode(b_stat) {
        return Ok(true);
    }
    if Inode::from(a_stat) == Inode::from(b_stat) {
        return Ok(false);
    }
    match kind(a_stat) {
        FileType::RegularFile if a_stat.st_size != b_stat.st_size => Ok(true),
        FileType::RegularFile => {
            same_content(&mut a.open()?, &mut b.open()?).map(|same| !same).map_err(|e| a.failed("read", e))
        }
        FileType::Symlink => Ok(a.target()? != b.target()?),
        _ => Ok(a_stat.st_rdev != b_stat.st_rdev),
    }
}

fn same_content(a: &mut File, b: &mut File) -> io::Result<bool> {
    let (mut a_bytes, mut b_bytes) = (Vec::new(), Vec::new());
    loop {
        for (file, bytes) in [(&mut *a, &mut a_bytes), (&mut *b, &mut b_bytes)] {
            bytes.clear();
            file.take(CHUNK_BYTES as u64).read_to_end(bytes)?;
        }
        if a_bytes != b_bytes || a_bytes.is_empty() {
            return Ok(a_bytes == b_bytes);
        }
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn list(dir: &Dir) -> Result<Names> {
    let mut names = Names::new();
    for entry in dir.entries().map_err(|e| Error::at(dir, "read", ".", e))? {
        let name = entry.map_err(|e| Error::at(dir, "read", ".", e))?.file_name();
        let stat = statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|e| Error::at(dir, "stat", &name, e))?;
        names.insert(name, stat);
    }
    Ok(names)
}

/// A name in an open directory, by its path from where the comparison began.
struct Place<'a>(&'a Dir, &'a Path);

impl Place<'_> {
    fn open(&self) -> Result<File> {
        self.open_as(OFlags::NONBLOCK).map(File::from)
    }

    fn open_dir(&self) -> Result<Dir> {
        self.open_as(OFlags::DIRECTORY).map(|dir| Dir::from_std_file(File::from(dir)))
    }

    fn open_as(&self, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        openat(self.0, self.name(), flags, Mode::empty()).map_err(|e| self.failed("open", e))
    }

    fn target(&self) -> Result<Vec<u8>> {
        let target = readlinkat(self.0, self.name(), Vec::new()).map_err(|e| self.failed("readlink", e))?;
        Ok(target.into_bytes())
    }

    fn name(&self) -> &Path {
        self.1.file_name().map_or(self.1, Path::new)
    }

    fn failed(&self, op: &'static str, source: impl Into<io::Error>) -> Error {
        Error::at(self.0, op, self.name(), source)
    }
}
