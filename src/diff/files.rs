//! Directories and files on disk, seen as the objects that they would be.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use ostree_format::{Checksum, DirMeta, FileHeader, S_IFLNK, S_IFMT, S_IFREG, Xattrs};
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use super::side::{DirNode, FileNode, Listing};
use crate::base::{read_xattrs, read_xattrs_at};
use crate::store::{Error, Result, XattrPolicy};

/// Options for comparing files on disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct FilesOptions {
    /// Whether xattrs count. They should not if the other side is in a store that keeps none.
    pub xattrs: XattrPolicy,
    /// Owner to assume instead of the real one.
    pub owner_uid: Option<u32>,
    /// Group to assume instead of the real one.
    pub owner_gid: Option<u32>,
}

/// A directory, opened when it is needed.
pub(super) struct DiskDir {
    place: DiskPlace,
    options: FilesOptions,
}

/// Anything but a directory.
pub(super) struct DiskFile {
    place: DiskPlace,
    options: FilesOptions,
}

/// A name in an open directory, or the open directory itself.
struct DiskPlace {
    dir: Arc<Dir>,
    /// `.` for the directory itself.
    name: Box<str>,
    /// The path from the root of the comparison, for messages.
    path: PathBuf,
}

impl DiskDir {
    pub(super) fn root(dir: Dir, options: FilesOptions) -> Self {
        Self { place: DiskPlace { dir: Arc::new(dir), name: ".".into(), path: "/".into() }, options }
    }

    pub(super) fn meta(&self) -> Result<DirMeta> {
        let dir = self.place.open(OFlags::DIRECTORY)?;
        let stat = fstat(&dir).map_err(|e| self.place.error("stat", e.into()))?;
        let xattrs = match self.options.xattrs {
            XattrPolicy::Keep => read_xattrs(&dir).map_err(|e| self.place.error("read xattrs of", e))?,
            XattrPolicy::Drop => Xattrs::EMPTY,
        };
        let (uid, gid) = self.options.owner(&stat);
        Ok(DirMeta::new(uid, gid, stat.st_mode, xattrs))
    }

    pub(super) fn list(&self) -> Result<Listing<'static>> {
        let dir = Arc::new(Dir::from_std_file(self.place.open(OFlags::DIRECTORY)?));
        let mut listing = Listing::default();
        let failed = |source| self.place.error("read", source);
        for entry in dir.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let path = self.place.path.join(&name);
            let Some(name) = name.to_str().map(Box::<str>::from) else {
                let source = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                return Err(Error::io("read", path, source));
            };
            let place = DiskPlace { dir: Arc::clone(&dir), name: name.clone(), path };
            let options = self.options;
            match entry.file_type().map_err(failed)?.is_dir() {
                true => listing.dirs.push((name, DirNode::Disk(Self { place, options }))),
                false => listing.files.push((name, FileNode::Disk(DiskFile { place, options }))),
            }
        }
        listing.dirs.sort_by(|a, b| a.0.cmp(&b.0));
        listing.files.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(listing)
    }
}

impl DiskFile {
    /// The id that it would have as an object; a checksum of its type and number if it is a device or
    /// the like, which no object can be.
    pub(super) fn identity(&self) -> Result<Checksum> {
        let DiskPlace { dir, name, .. } = &self.place;
        let stat = statat(dir, &**name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.place.error("stat", e.into()))?;
        match stat.st_mode & S_IFMT {
            S_IFREG => self.hash_regular(),
            S_IFLNK => self.hash_symlink(&stat),
            _ => Ok(Checksum::of(format!("{:o} {}", stat.st_mode, stat.st_rdev).as_bytes())),
        }
    }

    fn hash_regular(&self) -> Result<Checksum> {
        let mut file = self.place.open(OFlags::NONBLOCK)?;
        let stat = fstat(&file).map_err(|e| self.place.error("stat", e.into()))?;
        let xattrs = match self.options.xattrs {
            XattrPolicy::Keep => read_xattrs(&file).map_err(|e| self.place.error("read xattrs of", e))?,
            XattrPolicy::Drop => Xattrs::EMPTY,
        };
        let (uid, gid) = self.options.owner(&stat);
        let mut hasher = FileHeader::regular(uid, gid, stat.st_mode, xattrs).hasher();
        let mut buf = vec![0; 1 << 17];
        loop {
            match file.read(&mut buf).map_err(|e| self.place.error("read", e))? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(&buf[..n]),
            }
        }
    }

    fn hash_symlink(&self, stat: &Stat) -> Result<Checksum> {
        use std::os::fd::AsFd;
        let DiskPlace { dir, name, .. } = &self.place;
        let target =
            readlinkat(dir, &**name, Vec::new()).map_err(|e| self.place.error("read link", e.into()))?;
        let xattrs = match self.options.xattrs {
            XattrPolicy::Keep => {
                read_xattrs_at(dir.as_fd(), name).map_err(|e| self.place.error("read xattrs of", e))?
            }
            XattrPolicy::Drop => Xattrs::EMPTY,
        };
        let (uid, gid) = self.options.owner(stat);
        let header = FileHeader::symlink(uid, gid, &target.to_string_lossy(), xattrs);
        Ok(*header.id_with(&[]).checksum())
    }
}

impl FilesOptions {
    fn owner(&self, stat: &Stat) -> (u32, u32) {
        (self.owner_uid.unwrap_or(stat.st_uid), self.owner_gid.unwrap_or(stat.st_gid))
    }
}

impl DiskPlace {
    fn open(&self, flags: OFlags) -> Result<File> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, &*self.name, flags, Mode::empty());
        file.map(File::from).map_err(|e| self.error("open", e.into()))
    }

    fn error(&self, op: &'static str, source: io::Error) -> Error {
        Error::io(op, Path::new(&self.path), source)
    }
}
