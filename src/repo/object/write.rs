//! The common way of every object onto the disk: bytes into a file without a name, metadata, name.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use ostree_format::{Checksum, FileHeader, FileId, Hasher, ObjectName, RepoMode};
use rustix::fs::FileType;

use super::super::dir::ObjectDir;
use super::super::sys::{self, Linked, TempFile};
use super::super::verity::ObjectVerity;
use super::shared::finish_regular;
use super::{FileFormat, Links, failed};
use crate::store::{Error, Result, unreadable, wrong_length};

/// Bytes of content that are in memory at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether each object reaches the disk before it gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repo) enum ObjectSync {
    /// The transaction as a whole takes care, or nobody.
    Later,
    /// `core.per-object-fsync`.
    Each,
}

/// The directories that objects are written to.
#[derive(Debug, Clone, Copy)]
pub(in crate::repo) struct Sink<'a> {
    /// The directory for files that have no name yet.
    pub(in crate::repo) tmp: BorrowedFd<'a>,
    /// The directory in which objects get their names.
    pub(in crate::repo) objects: &'a ObjectDir,
    /// The directory in which objects lie once they are committed; may be `objects` itself.
    pub(in crate::repo) committed: &'a ObjectDir,
    /// The time at which objects are synced to the disk.
    pub(in crate::repo) sync: ObjectSync,
    /// The size from which on content gets a payload link, if any does.
    pub(in crate::repo) payload_links_from: Option<u64>,
    /// Whether the kernel is to verify objects from now on.
    pub(in crate::repo) verity: &'a ObjectVerity,
}

/// The content of a file on its way into an object.
pub(in crate::repo) enum Body<'b, 'r> {
    /// All of it.
    Bytes(&'b [u8]),
    /// Piece by piece.
    Stream(&'b mut Source<'r>),
}

impl Body<'_, '_> {
    /// The size of the content in bytes.
    pub(in crate::repo) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(source) => source.left,
        }
    }

    /// Hands over every piece.
    pub(in crate::repo) fn for_each(self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let source = match self {
            Self::Bytes(bytes) => return take(bytes),
            Self::Stream(source) => source,
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match source.next(&mut buffer)? {
                0 => return Ok(()),
                n => take(&buffer[..n])?,
            }
        }
    }

    /// Writes it into a file as it is.
    pub(in crate::repo) fn copy_to(self, mut out: &File) -> Result<()> {
        self.for_each(&mut |bytes| {
            out.write_all(bytes).map_err(|e| Error::at(out, "write an object in", ".", e))
        })
    }
}

/// A stream of known length, which is hashed as it is read unless its id is believed.
pub(in crate::repo) struct Source<'r> {
    read: &'r mut dyn Read,
    left: u64,
    identity: Identity,
    /// Sees the content alone, where a payload link needs its checksum.
    payload: Option<Hasher>,
}

impl<'r> Source<'r> {
    /// The content of the file with this header; `payload` sees it, too.
    pub(in crate::repo) fn new(
        header: &FileHeader,
        len: u64,
        read: &'r mut dyn Read,
        payload: Option<Hasher>,
    ) -> Self {
        Self { read, left: len, identity: Identity::Computed(header.hasher()), payload }
    }

    /// The content of a file that is believed to be the object `id`.
    pub(in crate::repo) fn believed(
        id: FileId,
        len: u64,
        read: &'r mut dyn Read,
        payload: Option<Hasher>,
    ) -> Self {
        Self { read, left: len, identity: Identity::Believed(id), payload }
    }

    /// The next piece; 0 at the end, which is checked to be where it should be.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).clamp(1, buffer.len());
            let n = match self.read.read(&mut buffer[..most]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(unreadable)?,
            };
            if (n == 0) != (self.left == 0) {
                return Err(wrong_length(self.left, n as u64));
            }
            self.left -= n as u64;
            if let Identity::Computed(hasher) = &mut self.identity {
                hasher.update(&buffer[..n]);
            }
            if let Some(payload) = &mut self.payload {
                payload.update(&buffer[..n]);
            }
            return Ok(n);
        }
    }

    /// The id, once everything was read, and the checksum of the content alone, if it was asked for.
    pub(in crate::repo) fn finish(self) -> (FileId, Option<Checksum>) {
        let id = match self.identity {
            Identity::Computed(hasher) => FileId::new(hasher.finish()),
            Identity::Believed(id) => id,
        };
        (id, self.payload.map(Hasher::finish))
    }
}

/// Where the id of a stream comes from.
enum Identity {
    Computed(Hasher),
    Believed(FileId),
}

impl Sink<'_> {
    /// A hasher for the content of a file of `len` bytes, if that gets a payload link.
    pub(in crate::repo) fn payload_hasher(&self, len: u64) -> Option<Hasher> {
        self.payload_links_from.filter(|least| len >= *least && len > 0).map(|_| Hasher::new())
    }

    /// Gives a finished file the object's name.
    pub(super) fn place(&self, mut file: TempFile<'_>, name: &ObjectName, mode: RepoMode) -> Result<Linked> {
        let path = name.loose_path(mode);
        self.verity.protect(file.file_mut(), self.objects, &path)?;
        if self.sync == ObjectSync::Each {
            sys::sync_file(file.file()).map_err(|e| self.objects.failed("fsync", &path, e))?;
        }
        self.objects.ensure_parent(name)?;
        file.link(self.objects.as_fd(), &path).map_err(|e| self.objects.failed("link", &path, e))
    }
}

/// Writes a content object that is a regular file on disk. Where its id is known only at the end of the
/// stream, `is_there` is asked then; if the object is, nothing is kept, and there is no [`Linked`].
pub(in crate::repo) fn write_regular(
    sink: &Sink<'_>,
    format: &dyn FileFormat,
    header: &FileHeader,
    content: Regular<'_, '_>,
    is_there: &dyn Fn(&FileId) -> Result<bool>,
) -> Result<(FileId, Option<Linked>)> {
    let file = TempFile::new(sink.tmp).map_err(|e| Error::at(sink.tmp, "create a file in", ".", e))?;
    let (id, payload) = match content {
        Regular::Known(id, bytes) => {
            format.check(&id, header)?;
            format.write_body(file.file(), header, Body::Bytes(bytes))?;
            (id, sink.payload_hasher(bytes.len() as u64).map(|_| Checksum::of(bytes)))
        }
        Regular::Unknown(mut source) => {
            format.write_body(file.file(), header, Body::Stream(&mut source))?;
            let (id, payload) = source.finish();
            if is_there(&id)? {
                return Ok((id, None));
            }
            (id, payload)
        }
    };
    let linked = finish_regular(sink, format, header, file, &id, payload)?;
    Ok((id, Some(linked)))
}

/// The content of a regular file.
pub(in crate::repo) enum Regular<'b, 'r> {
    /// The bytes are in memory, and the id is known.
    Known(FileId, &'b [u8]),
    /// A stream.
    Unknown(Box<Source<'r>>),
}

/// The permissions of every symbolic link on disk.
const LINK_PERMISSIONS: u32 = 0o777;

/// Writes a content object that is a symbolic link on disk.
pub(in crate::repo) fn write_link(
    sink: &Sink<'_>,
    format: &dyn FileFormat,
    id: &FileId,
    header: &FileHeader,
    target: &str,
) -> Result<Linked> {
    format.check(id, header)?;
    check_link(format.mode(), id, header)?;
    let name =
        sys::temporary_symlink(sink.tmp, target, "tmplink.").map_err(failed(&sink.tmp, "symlink", id))?;
    let object = ObjectName::from(*id);
    let path = object.loose_path(format.mode());
    let written = format.seal_link(sink, id, header, &name).and_then(|()| {
        sink.objects.ensure_parent(&object)?;
        sys::rename_new(sink.tmp, &name, sink.objects.as_fd(), &path)
            .map_err(|e| sink.objects.failed("rename", &path, e))
    });
    if !matches!(written, Ok(true)) {
        let _ = sys::unlink(sink.tmp, &name);
    }
    // Another thread may have been faster.
    Ok(if written? { Linked::New } else { Linked::Existed })
}

/// Other permissions would be lost, and the object no longer have its checksum.
fn check_link(mode: RepoMode, id: &FileId, header: &FileHeader) -> Result<()> {
    match header.permissions {
        LINK_PERMISSIONS => Ok(()),
        _ => Err(Error::Unsupported(format!(
            "Content object {id}: a symbolic link with mode 0{:o}, which mode {mode} cannot keep: on disk all have \
             0120777; use a repository of mode bare-user or archive",
            header.mode()
        ))),
    }
}

/// Writes a file with the bytes of any other object: mode 0644, current owner.
pub(in crate::repo) fn write_meta(
    sink: &Sink<'_>,
    mode: RepoMode,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<Linked> {
    let file = meta_file(sink, name, bytes)?;
    sink.place(file, name, mode)
}

/// Writes the bytes of a metadata object in place of a file that has its name.
pub(in crate::repo) fn replace_meta(
    sink: &Sink<'_>,
    mode: RepoMode,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<()> {
    let file = meta_file(sink, name, bytes)?;
    let path = name.loose_path(mode);
    sink.objects.ensure_parent(name)?;
    let sync = sink.sync == ObjectSync::Each;
    file.replace(sink.objects.as_fd(), &path, sync).map_err(|e| sink.objects.failed("replace", &path, e))
}

fn meta_file<'a>(sink: &Sink<'a>, name: &ObjectName, bytes: &[u8]) -> Result<TempFile<'a>> {
    let failed = |op| move |e| Error::at(sink.tmp, op, name.to_string(), e);
    let file = TempFile::new(sink.tmp).map_err(failed("create"))?;
    file.file().write_all(bytes).map_err(failed("write"))?;
    sys::set_mode(file.file(), 0o644).map_err(failed("chmod"))?;
    Ok(file)
}

/// Gives a file of another repository of the same mode the object's name here; `false` if no hard link is
/// possible, or the kernel has to verify objects here: nobody knows whether it does so there.
pub(in crate::repo) fn link_loose(
    sink: &Sink<'_>,
    format: &dyn FileFormat,
    id: &FileId,
    from: &crate::store::LooseFile<'_>,
) -> Result<bool> {
    let Some(path) = linkable(sink, from) else { return Ok(false) };
    let name = ObjectName::from(*id);
    // Anything may lie there: what cannot be the file of an object is left to whoever opens it, and will say so.
    let stat = sys::lstat(from.dir, path).map_err(failed(&from.dir, "stat", id))?;
    let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
    let fits = match kind {
        Some(FileType::Symlink) => format.links() == Links::AsLinks,
        kind => kind == Some(FileType::RegularFile),
    };
    if !fits {
        return Ok(false);
    }
    sink.objects.ensure_parent(&name)?;
    if !format.link_companions(sink, id, from)? {
        return Ok(false);
    }
    match sys::link(from.dir, path, sink.objects.as_fd(), &name.loose_path(format.mode())) {
        Ok(_) => Ok(true),
        Err(e) if is_not_linkable(&e) => Ok(false),
        Err(e) => Err(failed(sink.objects, "link", id)(e)),
    }
}

/// Hard-links a metadata object, which looks the same in every mode, from another repository; `false` as for
/// [`link_loose`].
pub(in crate::repo) fn link_meta(
    sink: &Sink<'_>,
    mode: RepoMode,
    name: &ObjectName,
    from: &crate::store::LooseFile<'_>,
) -> Result<bool> {
    let Some(path) = linkable(sink, from) else { return Ok(false) };
    sink.objects.ensure_parent(name)?;
    let to = name.loose_path(mode);
    match sys::link(from.dir, path, sink.objects.as_fd(), &to) {
        Ok(_) => Ok(true),
        Err(e) if is_not_linkable(&e) => Ok(false),
        Err(e) => Err(sink.objects.failed("link", &to, e)),
    }
}

/// The path of a file that may become an object of this repository, too.
fn linkable<'p>(sink: &Sink<'_>, from: &'p crate::store::LooseFile<'_>) -> Option<&'p str> {
    from.path.to_str().filter(|_| !sink.verity.is_required())
}

/// Whether the error says that this file cannot have another name there: another file system, too many
/// links, not permitted, not there at all.
fn is_not_linkable(e: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, NotFound, PermissionDenied, TooManyLinks, Unsupported};
    matches!(e.kind(), CrossesDevices | NotFound | PermissionDenied | TooManyLinks | Unsupported)
}
