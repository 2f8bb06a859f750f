//! The lock of a repository: the file `.lock`, shared by transactions, alone for prune.
//!
//! Locks belong to the open file, so two locks of one process exclude each other like those of two.
//! Source: libostree ostree-repo.c:250-528.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ostree_format::config::Locking;

use super::sys::{self, LockKind};
use crate::base::Ctx;
use crate::store::{Error, Result};

/// The name of the lock of the objects, in the repository.
pub(super) const NAME: &str = ".lock";

/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(50);

/// Holds the repository's lock until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it no longer locks"]
pub struct Lock {
    /// Closing it unlocks. None where the repository has no locking or cannot be written.
    _file: Option<File>,
}

impl Lock {
    /// A lock that locks nothing.
    pub(super) const fn none() -> Self {
        Self { _file: None }
    }

    /// Takes the lock `name`, waiting for others as `locking` says.
    pub(super) fn take(
        repo: BorrowedFd<'_>,
        name: &'static str,
        kind: LockKind,
        locking: Locking,
        ctx: &Ctx,
    ) -> Result<Self> {
        let until = match locking {
            Locking::Off => return Ok(Self::none()),
            Locking::Forever => None,
            Locking::TimeoutSecs(secs) => Instant::now().checked_add(Duration::from_secs(secs)),
        };
        let failed = |e: io::Error| Error::at(repo, "lock", name, e);
        let file = sys::open_or_create(repo, name, 0o660).map_err(failed)?;
        while !sys::try_lock(&file, kind).map_err(failed)? {
            ctx.cancel.check()?;
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Error::Locked("the repository".into()));
            }
            std::thread::sleep(RETRY);
        }
        Ok(Self { _file: Some(file) })
    }
}
