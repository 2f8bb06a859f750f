//! The times at which data is made to reach the disk.

use ostree_format::RepoConfig;

/// Whether and when data is made to reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Never: `core.fsync=false`.
    Never,
    /// The whole file system is synced, once in each transaction.
    Transaction,
    /// Each object is synced before it gets its name: `core.per-object-fsync`.
    Object,
}

impl Fsync {
    /// What the config asks for.
    pub(super) const fn of(config: &RepoConfig) -> Self {
        match (config.fsync, config.per_object_fsync) {
            (false, _) => Self::Never,
            (true, false) => Self::Transaction,
            (true, true) => Self::Object,
        }
    }
}
