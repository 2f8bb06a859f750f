//! Files of an image in a directory that anybody may have filled.

use std::fs::File as StdFile;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use cap_std::fs::{Dir, File};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::container::image::{Error, MAX_JSON_BYTES, Result};

/// Opens a regular file; `None` if it is not there. A symbolic link is followed wherever it leads, as podman and skopeo do:
/// rules_oci of Bazel makes layouts whose blobs are links to those of the base, in another layout. What a blob holds is
/// checked against its digest, whichever file it is. Never waits, as a pipe would let us do without end, and opens no
/// device.
pub(in crate::container) fn open_regular(dir: &Dir, path: &Path) -> Result<Option<File>> {
    let open = |how: OFlags| match openat(dir, path, how | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(StdFile::from(file))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::at(dir, "open", path)(errno.into())),
    };
    let Some(found) = open(OFlags::PATH)? else { return Ok(None) };
    check_regular(dir, path, &found)?;
    let Some(file) = open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)? else { return Ok(None) };
    check_regular(dir, path, &file)?;
    Ok(Some(File::from_std(file)))
}

fn check_regular(dir: &Dir, path: &Path, file: &StdFile) -> Result<()> {
    if file.metadata().map_err(Error::at(dir, "stat", path))?.is_file() {
        return Ok(());
    }
    let no_file = io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
    Err(Error::at(dir, "open", path)(no_file))
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
