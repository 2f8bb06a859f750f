//! The names that the program goes by.

use std::ffi::OsStr;
use std::path::Path;

/// The name under which the binary was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Its own.
    OstreeRs,
    /// `ostree`
    Ostree,
    /// `ostree-container`
    OstreeContainer,
}

impl Program {
    /// From `argv[0]`.
    pub(crate) fn from_name(name: &OsStr) -> Self {
        match Path::new(name).file_name().and_then(OsStr::to_str) {
            Some("ostree") => Self::Ostree,
            Some("ostree-container") => Self::OstreeContainer,
            _ => Self::OstreeRs,
        }
    }
}
