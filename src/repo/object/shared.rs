//! Content that shares its blocks with another file, where the file system can do so (btrfs, xfs).
//!
//! ```text
//! source ── FICLONE ──▶ object                      a commit of a directory, or an image of podman's store, on the same
//!                                                   file system
//! object ── FICLONE ──▶ object                      the same content under another owner, mode or xattrs
//!    └── objects/ab/cdef….payload-link ─▶ ../01/2345….file        SHA-256 of the content alone leads there
//! ```
//! Payload links are made with `core.payload-link-threshold`. Source: libostree ostree-repo-commit.c:707-876.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use ostree_format::{Checksum, FileHeader, FileId, Hasher, ObjectName, ObjectType, RepoMode};
use rustix::fs::{Mode, OFlags};

use super::super::sys::{self, Linked, TempFile};
use super::write::{Body, Sink, Source};
use super::{FileFormat, failed};
use crate::base::Cancel;
use crate::base::io::Cancellable;
use crate::store::{ClonedContent, Result};

/// Bytes that are hashed at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Makes a file that shares the blocks of `from`; `None` if that is not possible, for whatever reason: copying will
/// tell.
pub(in crate::repo) fn clone_content(sink: &Sink<'_>, from: &File) -> Option<ClonedContent> {
    let file = TempFile::unnamed(sink.tmp).ok()?;
    sys::share_blocks(&file, from).then(|| ClonedContent::new(file))
}

/// Writes a content object that is a file of `len` bytes which [`clone_content`] made. What is hashed is the object, which
/// nobody else can change; there is no [`Linked`] if it is there already.
pub(in crate::repo) fn write_cloned(
    sink: &Sink<'_>,
    format: &dyn FileFormat,
    header: &FileHeader,
    len: u64,
    content: ClonedContent,
    cancel: &Cancel,
) -> Result<(FileId, Option<Linked>)> {
    let (id, payload) = {
        let mut read = Cancellable::new(content.read(), cancel);
        let mut source = Source::new(header, len, &mut read, sink.payload_hasher(len));
        Body::Stream(&mut source).for_each(&mut |_| Ok(()))?;
        source.finish()
    };
    let is_stored = |objects: &super::super::dir::ObjectDir| objects.contains(&id.into(), format.mode());
    if is_stored(sink.objects)? || is_stored(sink.committed)? {
        return Ok((id, None));
    }
    let file = TempFile::of(content.into_file(), sink.tmp);
    finish_regular(sink, format, header, file, &id, payload).map(|linked| (id, Some(linked)))
}

/// Gives a written file, of which `payload` is the checksum of the content, all that the object has, and its name.
pub(super) fn finish_regular(
    sink: &Sink<'_>,
    format: &dyn FileFormat,
    header: &FileHeader,
    file: TempFile<'_>,
    id: &FileId,
    payload: Option<Checksum>,
) -> Result<Linked> {
    format.check(id, header)?;
    let payload = payload.map(|checksum| ObjectName::new(checksum, ObjectType::PayloadLink));
    if let Some(payload) = &payload {
        share_with_payload(sink, format.mode(), payload, &file);
    }
    format.seal(sink, id, header, file.file())?;
    let linked = sink.place(file, &(*id).into(), format.mode())?;
    if let Some(payload) = &payload {
        link_payload(sink, format.mode(), payload, id)?;
    }
    Ok(linked)
}

/// Lets a written file share the blocks of an object with the same content, if there is one: it is read, so that one
/// that was damaged does not spread. Without, the file stays as it is.
fn share_with_payload(sink: &Sink<'_>, mode: RepoMode, payload: &ObjectName, file: &TempFile<'_>) {
    for objects in [sink.objects, sink.committed] {
        let Ok(target) = sys::read_link(objects, &payload.loose_path(mode)) else { continue };
        let Some(path) = target.strip_prefix("../") else { continue };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        for place in [sink.objects, sink.committed] {
            let Ok(other) = rustix::fs::openat(place.as_fd(), path, flags, Mode::empty()) else { continue };
            let other = File::from(other);
            if checksum_of(&other).is_ok_and(|checksum| checksum == payload.checksum)
                && sys::share_blocks(file.file(), &other)
            {
                return;
            }
        }
    }
}

fn checksum_of(mut file: &File) -> io::Result<Checksum> {
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BUFFER_BYTES]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Lets the checksum of a content lead to an object that has it, unless it does already.
fn link_payload(sink: &Sink<'_>, mode: RepoMode, payload: &ObjectName, id: &FileId) -> Result<()> {
    if sink.committed.contains(payload, mode)? {
        return Ok(());
    }
    let target = format!("../{}", ObjectName::from(*id).loose_path(mode));
    let name =
        sys::temporary_symlink(sink.tmp, &target, "tmplink.").map_err(failed(&sink.tmp, "symlink", id))?;
    let path = payload.loose_path(mode);
    let renamed = sink.objects.ensure_parent(payload).and_then(|()| {
        sys::rename_new(sink.tmp, &name, sink.objects.as_fd(), &path)
            .map_err(|e| sink.objects.failed("rename", &path, e))
    });
    if !matches!(renamed, Ok(true)) {
        let _ = sys::unlink(sink.tmp, &name);
    }
    renamed.map(drop)
}
