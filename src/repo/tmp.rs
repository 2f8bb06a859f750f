//! Cleaning of `tmp`: staging directories of earlier boots, and old files of unknown origin.
//!
//! Source: libostree ostree-repo-commit.c:1820-1884.

use std::cell::OnceCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::FileType;

use super::{staging, sys};
use crate::base::fs;

/// The time, in seconds since 1970, by the clock of the file system that `tmp` lies on: that of the times of its files,
/// which may be another machine's.
pub(super) fn now_secs(tmp: BorrowedFd<'_>) -> io::Result<u64> {
    let modified = sys::TempFile::new(tmp)?.file().metadata()?.mtime();
    Ok(u64::try_from(modified).unwrap_or(0))
}

/// Removes what nobody needs. `boot_id` is that of this boot, `expiry_secs` the age at which files of unknown
/// origin go. What cannot be removed, since it belongs to others perhaps, stays: no work depends on it.
pub(super) fn clean(tmp: BorrowedFd<'_>, boot_id: &str, expiry_secs: u64) {
    let now = OnceCell::new();
    let is_old = |name: &str| {
        let Ok(Some(stat)) = sys::lstat(tmp, name) else { return false };
        let modified = u64::try_from(stat.st_mtime).unwrap_or(0);
        // Asked for only if something is there; without the time nothing is old.
        let now = now.get_or_init(|| now_secs(tmp).unwrap_or(0));
        now.checked_sub(modified).is_some_and(|age| age > expiry_secs)
    };
    for (name, kind) in sys::list(tmp, ".").unwrap_or_default() {
        if name == "cache" {
            continue;
        }
        if let Some(rest) = name.strip_prefix(staging::PREFIX)
            && kind == FileType::Directory
        {
            // One with a journal waits for a pull, which may never come.
            if !rest.starts_with(boot_id) || is_old(&name) {
                let _ = staging::remove_unused(tmp, &name);
            }
            continue;
        }
        // Somebody may hold it, for as long as the work takes; it goes with its directory.
        if name.strip_suffix("-lock").is_some_and(|dir| dir.starts_with(staging::PREFIX))
            && matches!(sys::lstat(tmp, name.trim_end_matches("-lock")), Ok(Some(_)))
        {
            continue;
        }
        if is_old(&name) {
            let _ = fs::remove_all(tmp, &name);
        }
    }
}
