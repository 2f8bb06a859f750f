//! Files of an image in a directory that anybody may have filled.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::container::image::{Error, MAX_JSON_BYTES, Result};

/// Opens a regular file; `None` if it is not there. Never waits, as a pipe would let us do without end.
pub(in crate::container) fn open_regular(dir: &Dir, path: &Path) -> Result<Option<File>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = match dir.open_with(path, OpenOptions::new().read(true).custom_flags(flags)) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::at(dir, "open", path)(e)),
    };
    if !file.metadata().map_err(Error::at(dir, "stat", path))?.is_file() {
        let no_file = io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
        return Err(Error::at(dir, "open", path)(no_file));
    }
    Ok(Some(file))
}

/// Some bytes of a regular file; `None` if it is not there.
pub(in crate::container) fn file_part(
    dir: &Dir,
    path: &Path,
    part: &Range<u64>,
) -> Result<Option<Box<dyn Read + Send>>> {
    let Some(mut file) = open_regular(dir, path)? else { return Ok(None) };
    file.seek(SeekFrom::Start(part.start)).map_err(Error::at(dir, "seek in", path))?;
    Ok(Some(Box::new(file.take(part.end.saturating_sub(part.start)))))
}

/// Reads a file whole; `None` if it is not there.
pub(in crate::container) fn read_small(dir: &Dir, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_regular(dir, Path::new(name))? else { return Ok(None) };
    let mut content = Vec::new();
    file.take(MAX_JSON_BYTES + 1).read_to_end(&mut content).map_err(Error::at(dir, "read", name))?;
    if content.len() as u64 > MAX_JSON_BYTES {
        return Err(Error::TooLarge { what: name.to_owned(), limit: MAX_JSON_BYTES });
    }
    Ok(Some(content))
}
