//! Floor 3: tar streams, read and written over the store traits.
//!
//! ```text
//! Reader, Writer    entries in and out, of any tar stream
//! ```
//! Nothing here knows a repository on disk.

mod entry;
mod error;
mod export;
mod layout;
mod number;
mod pax;
mod reader;
mod writer;

pub use entry::{Entry, EntryKind, split_path};
pub use error::{ContentErrorKind, EntryErrorKind, Error, FormatErrorKind, Result};
pub use export::{
    ChunkContent, ExportOptions, XattrDialect, export_chunk, export_commit, export_final_chunk,
};
pub use reader::{BLOCK_BYTES, EndMarker, EntryContent, MAX_NAME_BYTES, Reader};
pub use writer::Writer;
