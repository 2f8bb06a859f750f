//! Commits pushed to another process through a pair of pipes, such as those of ssh: objects before refs, only what is
//! missing, every object verified before it is stored.
//!
//! ```text
//! send                                               Receiver, in a transaction
//!      ◄─ "ostree-rs push, protocol 1\n" ───────────
//!      ── the same line; then, as one zstd stream: ─►
//!      ── Offer    depth, refs with their commits ──►
//!      ◄─ Have     what these refs name there ──────
//!      ── Go       no ref would lose its commit ────►
//!      ◄─ Want     names of objects, many at once ──   walk from the commits: metadata first;
//!      ── Meta, File + Chunk …, Missing, in order ──►  what is there already is not asked for
//!      ◄─ Done     committed: objects, then refs ───
//! ```
//! A frame is a letter, a length of four bytes, and so many bytes; each kind has its own largest length. Who fails says
//! why in a frame `Failed`, which may come at any time. Not more than `WINDOW` objects are asked for and not yet
//! answered, so neither side waits for one that waits for it, and a line's delay is paid once for hundreds of objects.
//!
//! What the receiver has got is left to the next transaction when the connection breaks off: the next push goes on from
//! there. A sender that gives wrong bytes is refused, and nothing of that push stays.

mod arrival;
mod error;
mod files;
mod frame;
mod message;
mod receive;
mod send;
mod wanted;

pub use error::{Error, Result};
pub use receive::Receiver;
pub use send::send;

/// The number of objects that may be asked for and not yet answered.
const WINDOW: usize = 1024;
