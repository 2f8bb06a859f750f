//! Marks of commits whose objects are not all there.
//!
//! ```text
//! state/CHECKSUM.commitpartial    empty, or "f" if fsck took objects away
//! ```
//! Source: libostree ostree-repo-commit.c:2024-2052.

use std::io::Write;
use std::os::fd::BorrowedFd;

use ostree_format::CommitId;

use super::sys;
use crate::store::{Completeness, Error, Result};

/// The file that says so, if it is there.
pub(super) fn path(commit: &CommitId) -> String {
    format!("state/{commit}.commitpartial")
}

/// Whether all objects of a commit are there, as far as was noted.
pub(super) fn completeness(repo: BorrowedFd<'_>, commit: &CommitId) -> Result<Completeness> {
    let path = path(commit);
    let content =
        sys::read_file_nofollow(repo, &path, 4096).map_err(|e| Error::at(repo, "read", &path, e))?;
    Ok(match content.as_deref() {
        None => Completeness::Complete,
        Some([b'f', ..]) => Completeness::PartialByFsck,
        Some(_) => Completeness::Partial,
    })
}

/// Notes it. What was noted first about an incomplete commit stays.
pub(super) fn set_completeness(repo: BorrowedFd<'_>, commit: &CommitId, state: Completeness) -> Result<()> {
    let path = path(commit);
    let content: &[u8] = match state {
        Completeness::Complete => {
            return sys::unlink(repo, &path).map(drop).map_err(|e| Error::at(repo, "unlink", &path, e));
        }
        Completeness::Partial => b"",
        Completeness::PartialByFsck => b"f",
    };
    let failed = |e| Error::at(repo, "create", &path, e);
    match sys::create_new(repo, &path, 0o644).map_err(failed)? {
        None => Ok(()),
        Some(mut file) => file.write_all(content).map_err(failed),
    }
}
