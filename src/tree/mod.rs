//! Floor 3: trees of the file system become commits, commits become trees of the file system.
//!
//! ```text
//! directory ─┐                                         ┌─▶ directory
//! commit ────┼─▶ MutableTree ─▶ write_commit ─▶ store ─┤   by hard links where the store allows,
//! tar stream ┘                                         │   by copies otherwise
//! (crate::tar)                                         └─▶ checkout()
//! ```

mod checkout;
mod commit;

pub use checkout::{
    CheckoutOptions, DirectoryModes, Linking, MissingSubpath, Overwrite, Ownership, PassthroughWhiteouts,
    PlainFiles, Relabel, Sync, Whiteouts, checkout,
};
pub use commit::{
    Bootable, CommitOptions, DevInoTrust, DirOptions, RefBindings, Sealing, SourceFate, TreeStats,
    add_commit, add_dir, bootable_metadata, write_commit,
};
