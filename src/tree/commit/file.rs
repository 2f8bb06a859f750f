//! One file or symbolic link of a directory becomes a content object.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ostree_format::{FileHeader, FileId, FileKind, FileName};
use rustix::fs::{AtFlags, Mode, OFlags, openat, readlinkat, unlinkat};

use super::Source;
use super::adopt::adopt;
use crate::base::io::Cancellable;
use crate::base::{Ctx, read_xattrs, read_xattrs_at};
use crate::store::selinux::LABEL_XATTR;
use crate::store::{Error, ObjectWrite, Result};

/// A file that the walk found.
pub(super) struct Job {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: FileName,
    /// Path from the root of the tree, for errors.
    pub(super) path: PathBuf,
    /// Owner and permissions as the modifier left them; the target of a link is not read yet.
    pub(super) header: FileHeader,
    /// Bytes of a regular file.
    pub(super) len: u64,
    pub(super) xattrs: XattrSource,
    /// The SELinux label that it gets.
    pub(super) label: Option<Vec<u8>>,
    pub(super) source: Source,
}

/// Where the xattrs of the object come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum XattrSource {
    /// They stand in the header already.
    Header,
    /// From the file.
    File,
}

impl Job {
    /// Writes the object.
    pub(super) fn run<S: ObjectWrite + ?Sized>(self, store: &S, ctx: &Ctx) -> Result<(FileName, FileId)> {
        ctx.cancel.check()?;
        let Self { dir, name, path, mut header, len, xattrs, label, source } = self;
        let failed = |op| {
            let path = path.clone();
            move |e: io::Error| Error::io(op, path, e)
        };
        let id = if header.kind == FileKind::Regular {
            // A file that was exchanged for a FIFO or a link since it was found must not stop us or lead astray.
            let flags =
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let fd = openat(&*dir, name.as_str(), flags, Mode::empty())
                .map_err(|e| Error::io("openat", path.clone(), e))?;
            if xattrs == XattrSource::File {
                header.xattrs = read_xattrs(&fd).map_err(failed("reading xattrs of"))?;
            }
            set_label(&mut header, label);
            let file = File::from(fd);
            let adopted = match source {
                Source::Consume => adopt(store, &dir, &name, &file, &header, &ctx.cancel)?,
                Source::Keep => None,
            };
            if let Some(id) = adopted {
                consume(&dir, &name, &path)?;
                ctx.object_done(len);
                return Ok((name, id));
            }
            if source == Source::Consume {
                (&file).rewind().map_err(failed("lseek"))?;
            }
            let mut content = Cancellable::new(file, &ctx.cancel);
            store.write_file(&header, len, &mut content).map_err(|e| match e {
                Error::Read { source, .. } => Error::Read { what: path.display().to_string(), source },
                other => other,
            })
        } else {
            let target = readlinkat(&*dir, name.as_str(), Vec::new())
                .map_err(|e| Error::io("readlinkat", path.clone(), e))?;
            let target = target
                .into_string()
                .map_err(|e| failed("readlinkat")(io::Error::new(io::ErrorKind::InvalidData, e)))?;
            header.kind = FileKind::Symlink(target.into());
            if xattrs == XattrSource::File {
                header.xattrs = read_xattrs_at(&*dir, &name).map_err(failed("reading xattrs of"))?;
            }
            set_label(&mut header, label);
            store.write_file(&header, 0, &mut io::empty())
        };
        // A read that failed because of the cancellation is not the file's fault.
        ctx.cancel.check()?;
        let id = id.map_err(|e| e.of_path(&path.display().to_string()))?;
        if source == Source::Consume {
            consume(&dir, &name, &path)?;
        }
        ctx.object_done(len);
        Ok((name, id))
    }
}

fn set_label(header: &mut FileHeader, label: Option<Vec<u8>>) {
    if let Some(label) = label {
        header.xattrs.set(LABEL_XATTR.into(), label.into());
    }
}

fn consume(dir: &OwnedFd, name: &FileName, path: &Path) -> Result<()> {
    unlinkat(dir, name.as_str(), AtFlags::empty()).map_err(|e| Error::io("unlinkat", path, e))
}
