//! Floor 1: progress, cancellation, threads, streams and files, for everything above.

mod answers;
mod causes;
pub mod compressed;
mod ctx;
mod debug;
pub mod fs;
mod inode;
pub mod io;
mod item;
mod kind;
mod par;
mod partial;
#[cfg(any(feature = "net", feature = "serve"))]
mod runtime;
mod shared_streams;
mod verity;
mod xattr;

pub use answers::Answers;
pub use causes::{WithCauses, causes};
pub use ctx::{Cancel, Cancelled, Ctx, Event, Outcome, Progress, Silent};
pub(crate) use debug::debug_fields;
pub use inode::Inode;
pub use item::Item;
pub use kind::{ErrorKind, Kind};
pub use par::{Pool, join, spawn, spawn_up_to, with_pool};
pub use partial::{AskRoom, PartialFile, PartialFiles};
#[cfg(any(feature = "net", feature = "serve"))]
pub(crate) use runtime::runtime;
pub use shared_streams::SharedStreams;
pub use verity::{VerityDigest, VerityHasher};
pub(crate) use verity::{enable_verity, enable_verity_of_written, measure_verity};
pub use xattr::{
    all_xattrs, all_xattrs_at, read_xattrs, read_xattrs_at, write_xattr, write_xattrs, write_xattrs_at,
};
