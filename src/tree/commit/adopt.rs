//! A file that is consumed becomes its own object, where the store keeps files as they are: it is read once
//! and gets another name, instead of being copied.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use ostree_format::{Checksum, FileHeader, FileId, FileName, RepoMode};
use rustix::fs::{Mode, fchmod, fstat};
use rustix::io::Errno;

use crate::base::Cancel;
use crate::base::read_xattrs;
use crate::store::{Error, LooseFile, ObjectWrite, Result, is_user_only};

/// Bytes that are hashed at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Gives the open regular file `name` in `dir` the name of the object with this header; `None` if the store
/// keeps objects in another way, or the file does not look like the object. Its position is undefined then.
pub(super) fn adopt<S: ObjectWrite + ?Sized>(
    store: &S,
    dir: &OwnedFd,
    name: &FileName,
    file: &File,
    header: &FileHeader,
    cancel: &Cancel,
) -> Result<Option<FileId>> {
    // Which object is asked about does not matter for how it would be kept.
    let Some(mode) = store.loose_file(&FileId::new(Checksum::EMPTY)).map(|loose| loose.mode) else {
        return Ok(None);
    };
    let failed = |op| move |e: io::Error| Error::io(op, name.as_str(), e);
    if !prepare(mode, file, header).map_err(failed("preparing"))? {
        return Ok(None);
    }
    let mut hasher = header.hasher();
    let (mut reader, mut buffer) = (file, vec![0; BUFFER_BYTES]);
    loop {
        cancel.check()?;
        match reader.read(&mut buffer).map_err(failed("read"))? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let id = FileId::new(hasher.finish());
    let from = LooseFile { dir: dir.as_fd(), path: name.as_str().into(), mode };
    Ok(store.link_file(&id, &from)?.then_some(id))
}

/// Makes the file look as a store of this mode keeps the object, if no more than its permissions have to be
/// changed.
fn prepare(mode: RepoMode, file: &File, header: &FileHeader) -> io::Result<bool> {
    let stat = fstat(file)?;
    let permissions = stat.st_mode & 0o7777;
    match mode {
        RepoMode::Bare => Ok((stat.st_uid, stat.st_gid, permissions)
            == (header.uid, header.gid, header.permissions)
            && read_xattrs(file)? == header.xattrs),
        RepoMode::BareUserOnly => {
            let is_canonical = is_user_only(header);
            if !is_canonical || permissions == header.permissions {
                return Ok(is_canonical);
            }
            match fchmod(file, Mode::from_raw_mode(header.permissions)) {
                Err(Errno::PERM) => Ok(false),
                changed => changed.map(|()| true).map_err(io::Error::from),
            }
        }
        RepoMode::BareUser | RepoMode::BareSplitXattrs | RepoMode::Archive => Ok(false),
    }
}
