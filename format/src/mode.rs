//! The five modes in which a repository can keep its objects.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, Result};

/// The mode of a repository: the form in which it keeps its objects on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoMode {
    /// Files as they are: owner, mode, xattrs, symbolic links.
    Bare,
    /// Files of the current user; owner, mode and xattrs are kept in the xattr `user.ostreemeta`.
    BareUser,
    /// Files of the current user; owners and xattrs do not exist.
    BareUserOnly,
    /// Files as they are, but xattrs as objects of their own.
    BareSplitXattrs,
    /// Compressed files, to be served over HTTP.
    Archive,
}

impl RepoMode {
    /// Every mode.
    pub const ALL: [Self; 5] =
        [Self::Bare, Self::BareUser, Self::BareUserOnly, Self::BareSplitXattrs, Self::Archive];

    /// The value of `core.mode` as libostree writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::BareUser => "bare-user",
            Self::BareUserOnly => "bare-user-only",
            Self::BareSplitXattrs => "bare-split-xattrs",
            Self::Archive => "archive-z2",
        }
    }
}

impl fmt::Display for RepoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RepoMode {
    type Err = ParseError;

    /// Reads the value of `core.mode`; `archive` is another name of `archive-z2`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "archive" {
            return Ok(Self::Archive);
        }
        Self::ALL
            .into_iter()
            .find(|m| m.as_str() == text)
            .ok_or_else(|| ParseError::invalid("repository mode", 0, format!("invalid mode '{text}'")))
    }
}
