//! The blobs of layers: compressed and read on several threads, hashed on the way, in bounded memory.
//!
//! ```text
//! compress ─► encoders (zstd), deflate (gzip), chunked (zstd:chunked)      decompress ◄─ layer_format
//! known: layers of other images, which need not be made again      made: streams that are made here, and read at once;
//! unpacked: those of layers that lie somewhere as files
//! ```

mod blocks;
mod buffers;
pub(super) mod chunked;
mod compress;
mod decompress;
mod deflate;
mod encoders;
pub(super) mod known;
mod layer_format;
mod made;
mod unpacked;

pub use compress::{WrittenLayer, write_layer};
pub use decompress::{MAX_ZSTD_WINDOW_LOG, read_layer};
pub(in crate::container) use layer_format::FORMAT_BYTES;
pub use layer_format::LayerFormat;
pub(super) use layer_format::compression_of;

#[cfg(feature = "net")]
pub(super) use buffers::{Buffer, Buffers};
pub(super) use compress::{Scratch, write_layer_with};
pub(super) use decompress::{Reported, read_layer_passing, read_objects};
pub(super) use known::KnownLayers;
pub(super) use made::read_made;
pub(super) use unpacked::read_unpacked;
