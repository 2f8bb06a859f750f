//! Names of static deltas, and where they lie.
//!
//! ```text
//! name   TO, or FROM-TO: checksums of commits
//! path   deltas/AB/CDEF…, or deltas/AB/CDEF…-TO: the same in base64, below it superblock, 0, 1, …
//! ```
//! Source: libostree ostree-core.c:1807-1886.

use std::fmt;
use std::str::FromStr;

use crate::checksum::{Checksum, CommitId};
use crate::error::{ParseError, Result};

/// The commits that a static delta leads from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeltaName {
    /// The commit that the delta starts from; `None` if it needs nothing.
    pub from: Option<CommitId>,
    /// The commit that the delta leads to.
    pub to: CommitId,
}

impl DeltaName {
    /// The directory of the delta, from the root of a repository.
    pub fn dir(&self) -> String {
        let to = self.to.checksum().to_base64();
        let name = match self.from {
            Some(from) => format!("{}-{to}", from.checksum().to_base64()),
            None => to,
        };
        let (first, rest) = name.split_at(2);
        format!("deltas/{first}/{rest}")
    }

    /// The path of the superblock, from the root of a repository.
    pub fn superblock_path(&self) -> String {
        format!("{}/superblock", self.dir())
    }

    /// The path of a part, from the root of a repository; for a part that lies in the superblock, its key there.
    pub fn part_path(&self, number: usize) -> String {
        format!("{}/{number}", self.dir())
    }

    /// The key under which a superblock carries the detached metadata of the new commit.
    pub fn commitmeta_key(&self) -> String {
        format!("{}/commitmeta", self.dir())
    }

    /// The delta whose directory is `deltas/FIRST/REST`; `None` for anything else that may lie there.
    pub fn from_dir(first: &str, rest: &str) -> Option<Self> {
        let name = format!("{first}{rest}");
        let commit = |text| Checksum::from_base64(text).ok().map(CommitId::new);
        let delta = match name.split_once('-') {
            Some((from, to)) => Self { from: Some(commit(from)?), to: commit(to)? },
            None => Self { from: None, to: commit(&name)? },
        };
        (first.len() == 2).then_some(delta)
    }
}

impl fmt::Display for DeltaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => write!(f, "{from}-{}", self.to),
            None => write!(f, "{}", self.to),
        }
    }
}

impl FromStr for DeltaName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('-') {
            Some((from, to)) => Ok(Self { from: Some(from.parse()?), to: to.parse()? }),
            None => Ok(Self { from: None, to: text.parse()? }),
        }
    }
}
