//! The message about a full file system: how much was needed, how much is free, what was kept.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::causes::{Cause, store_error};
use super::terminal::size;
use crate::store;

/// Fewer free inodes than this are told of.
const FEW_INODES: u64 = 1000;

/// Where something was written when it went wrong: a context of errors.
#[derive(Debug)]
pub(crate) struct Writing {
    /// The place in words.
    pub(crate) place: String,
    /// Where that lies on disk, if it does.
    pub(crate) path: Option<PathBuf>,
    /// What stays for the next run.
    pub(crate) kept: Kept,
}

/// What stays of a command that failed for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing that the next run could use.
    Nothing,
    /// Objects that were finished: the next run goes on from there.
    Objects,
}

impl fmt::Display for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// What there is to say of the file system if `error` is that it is full.
pub(crate) fn advice(error: &anyhow::Error) -> Option<String> {
    let wanted = error.chain().find_map(wanted)?;
    let writing = error.downcast_ref::<Writing>()?;
    let mut said: Vec<String> = Vec::new();
    if let Some(Free { bytes, inodes, mount }) = writing.path.as_deref().and_then(free) {
        let wanted = wanted.map(|bytes| format!("{} were needed next, and ", size(bytes)));
        let inodes = inodes.map(|count| format!(" and {count} inodes"));
        // What was begun may have taken room, too, and be gone by now.
        let now = if writing.kept == Kept::Nothing { " now" } else { "" };
        let (wanted, inodes) = (wanted.unwrap_or_default(), inodes.unwrap_or_default());
        said.push(format!("{wanted}{}{inodes} are free{now} on {}", size(bytes), mount.display()));
    }
    if writing.kept == Kept::Objects {
        said.push("what was written is kept for the next run".to_owned());
    }
    Some(said.join("; ")).filter(|said| !said.is_empty())
}

/// Whether something failed for want of room: the bytes that were wanted, where they are known.
fn wanted(cause: Cause<'_>) -> Option<Option<u64>> {
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded).then_some(None);
    }
    match store_error(cause) {
        Some(store::Error::NoSpace { wanted, .. }) => Some(Some(*wanted)),
        _ => None,
    }
}

/// What is free on a file system.
struct Free {
    bytes: u64,
    /// How many more files and directories there can be, if that may be what is missing.
    inodes: Option<u64>,
    /// Where it is mounted.
    mount: PathBuf,
}

/// What is free where `path` lies.
fn free(path: &Path) -> Option<Free> {
    let there = path.ancestors().find_map(|path| match path.as_os_str().is_empty() {
        true => fs::canonicalize(".").ok(),
        false => fs::canonicalize(path).ok(),
    })?;
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    let ours = device(&there)?;
    let mount = there.ancestors().take_while(|above| device(above) == Some(ours)).last()?;
    let room = rustix::fs::statvfs(&there).ok()?;
    // Some file systems make inodes as they are needed, and say that they have none.
    let inodes = (room.f_files > 0 && room.f_favail < FEW_INODES).then_some(room.f_favail);
    Some(Free { bytes: room.f_bavail.saturating_mul(room.f_frsize), inodes, mount: mount.to_owned() })
}
