//! Cleaning of `tmp`: staging directories of earlier boots, and old files of unknown origin.
//!
//! Source: libostree ostree-repo-commit.c:1820-1884.

use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FileType;

use super::{staging, sys};
use crate::store::{Error, Result};

/// Removes what nobody needs. `boot_id` is that of this boot, `expiry_secs` the age at which files of
/// unknown origin go.
pub(super) fn clean(tmp: BorrowedFd<'_>, boot_id: &str, expiry_secs: u64) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let failed = |op| move |e| Error::io(op, "tmp", e);
    for (name, kind) in sys::list(tmp, ".").map_err(failed("list"))? {
        if name == "cache" {
            continue;
        }
        if let Some(rest) = name.strip_prefix(staging::PREFIX)
            && kind == FileType::Directory
        {
            if !rest.starts_with(boot_id) {
                staging::remove_unused(tmp, &name)?;
            }
            continue;
        }
        let Some(stat) = sys::lstat(tmp, &name).map_err(failed("stat"))? else { continue };
        let modified = u64::try_from(stat.st_mtime).unwrap_or(0);
        if now.checked_sub(modified).is_some_and(|age| age > expiry_secs) {
            sys::remove_all(tmp, &name).map_err(failed("remove"))?;
        }
    }
    Ok(())
}
