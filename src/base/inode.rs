//! The identity of files.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Stat, fstat};

/// The identity of a file or directory, whatever its names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inode {
    /// The device, `st_dev`.
    pub device: u64,
    /// The number on the device, `st_ino`.
    pub number: u64,
}

impl Inode {
    /// The identity of an open file or directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::from(&fstat(file)?))
    }
}

impl From<&Stat> for Inode {
    fn from(stat: &Stat) -> Self {
        Self { device: stat.st_dev, number: stat.st_ino }
    }
}

impl From<&std::fs::Metadata> for Inode {
    fn from(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

impl From<&cap_std::fs::Metadata> for Inode {
    fn from(metadata: &cap_std::fs::Metadata) -> Self {
        use cap_std::fs::MetadataExt as _;
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}
