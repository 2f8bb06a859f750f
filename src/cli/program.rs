//! The names that the program goes by.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The name under which the binary was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// `ostree-rs`, or any other name.
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
    /// The verb that another name of the binary stands for, under which init systems call it.
    pub(crate) fn verb_of_name(name: &OsStr) -> Option<&'static str> {
        match Path::new(name).file_name()?.to_str()? {
            "ostree-prepare-root" => Some("prepare-root"),
            "ostree-remount" => Some("remount"),
            "ostree-system-generator" => Some("system-generator"),
            _ => None,
        }
    }

    /// Whether the kernel may have started the binary for init, by another name of it. Only the first process asks: in a
    /// container it may well be this program by its own name.
    pub(crate) fn is_init_name(name: &OsStr) -> bool {
        matches!(Path::new(name).file_name().and_then(OsStr::to_str), Some("ostree-prepare-root" | "init"))
    }

    /// Finds another program that has the verb, with all arguments as that one takes them, if this program itself has
    /// no such verb.
    pub(crate) fn elsewhere(
        self,
        groups: &[String],
        verb: &OsStr,
        mut argv: Vec<OsString>,
    ) -> Option<(Self, Vec<OsString>)> {
        match (self, verb.to_str()?) {
            _ if !groups.is_empty() => None,
            // `ostree container …` is `ostree-container …`, and C ostree starts that with `container` in front.
            (Self::Ostree | Self::OstreeContainer, "container") => {
                argv.remove(argv.iter().position(|arg| arg == verb)?);
                Some((Self::OstreeContainer, argv))
            }
            // The program of ostree-ext has both.
            (Self::OstreeContainer, "tar") => Some((Self::OstreeRs, argv)),
            // Whoever installs only the other names has to get at these.
            (Self::Ostree | Self::OstreeContainer, "completions" | "man") => Some((Self::OstreeRs, argv)),
            _ => None,
        }
    }
}
