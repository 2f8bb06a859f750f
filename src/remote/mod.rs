//! Commits pulled from an archive repository of ostree: behind a web server, or a directory of this machine.
//!
//! ```text
//! server     where the repository is: addresses, headers; requests for its files
//!   mirrors, metalink   several servers with the same files
//! summary    the list of its refs: asked for only if it changed, judged before it is believed, cached
//! wanted     refs and commits that the caller names ► commits
//! plan       both of them: what a pull will bring, before anything is written
//! judge      each commit: signatures, bindings to refs, time
//! deltas     what a static delta saves of the next step
//! walk       commit ► dirtrees, dirmetas, content objects, many requests at once
//! content    what came is verified in memory or from its file, then written
//! parts      files for large objects, with which a later pull goes on
//! ```
//! Objects are believed by their checksums, and commits by whoever vouches for them; the server is believed in nothing,
//! unless a mirror is told to take content as it comes.
//! Semantics as `ostree pull`: libostree ostree-repo-pull.c.

mod content;
mod deltas;
mod error;
mod judge;
mod local;
mod metalink;
mod mirrors;
mod options;
mod parts;
mod plan;
mod server;
mod summary;
mod walk;
mod wanted;

pub use error::{Error, Result};
pub use judge::refuse_older;
pub use local::LocalArchive;
pub use options::{
    Bindings, DeltaStats, DeltaUse, PartsDir, RemoteOptions, RemoteStats, ServerTrust, SummaryJudge,
    Timestamps,
};
pub use plan::{Origin, RemotePlan, fetch_summary};
pub use server::RemoteServer;
pub use summary::{FetchedSummary, SummaryCache};
pub use wanted::{FoundRef, WantedRef, WantedRefs};
