//! Content objects as archives keep them.
//!
//! ```text
//! framed header: size, owner, mode, xattrs, link target    the content as a raw deflate stream
//! ```

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use ostree_format::{ArchiveHeader, FileId, FileKind, ObjectName};

use super::{Error, FileObject, Result};
use crate::base::io::{COPY_BYTES, Exact};

/// Writes a content object as archives keep it: the framed header, and the content compressed at `level`, from 1 to 9.
///
/// # Errors
/// [`Error::Read`] if the content cannot be read or has another length than was said; [`Error::Io`] if `out` cannot be
/// written.
pub fn pack_file(id: &FileId, object: FileObject, level: u32, out: &mut dyn Write) -> Result<()> {
    let name = || ObjectName::from(*id).to_string();
    let unwritten = |e| Error::io("write", name(), e);
    let is_regular = object.header.kind == FileKind::Regular;
    let header = ArchiveHeader { size: object.len, file: object.header.clone() };
    out.write_all(&header.to_framed()).map_err(unwritten)?;
    if !is_regular {
        return Ok(());
    }
    let mut content = Exact::new(object, header.size);
    let mut deflate = DeflateEncoder::new(out, Compression::new(level));
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match content.read(&mut buffer).map_err(|source| Error::Read { what: name(), source })? {
            0 => break,
            n => deflate.write_all(&buffer[..n]).map_err(unwritten)?,
        }
    }
    deflate.finish().map(drop).map_err(unwritten)
}
