//! Files and symbolic links of a directory become content objects.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ostree_format::{FileHeader, FileId, FileKind, FileName, Finished, Xattrs};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, readlinkat, unlinkat};

use super::SourceFate;
use super::adopt::adopt;
use crate::base::io::Cancellable;
use crate::base::{Ctx, SharedStreams, read_xattrs, read_xattrs_at};
use crate::store::selinux::LABEL_XATTR;
use crate::store::{
    Attributes, Error, HashedFile, LoadedFile, ObjectWrite, Result, SMALL_FILE_BYTES, TreeFilter,
};

/// A file that the walk found.
pub(super) struct Job {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: FileName,
    /// Path from the root of the tree.
    pub(super) path: String,
    /// Owner and permissions as the modifier left them; the target of a link is not read yet.
    pub(super) header: FileHeader,
    /// Owner and mode as they were when the modifier was asked.
    pub(super) found: Attributes,
    /// Bytes of a regular file.
    pub(super) len: u64,
    pub(super) xattrs: XattrSource,
    /// Which of those that are read go into the commit.
    pub(super) filter: Option<Arc<dyn TreeFilter>>,
    /// The SELinux label that it gets.
    pub(super) label: Option<Vec<u8>>,
    pub(super) source: SourceFate,
}

/// Where the xattrs of the object come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum XattrSource {
    /// The xattrs stand in the header already.
    Header,
    /// The xattrs are read from the file.
    File,
}

/// How far a job has come.
enum Step {
    /// The object is written.
    Written(FileId),
    /// The object is in memory, to be hashed.
    Loaded(LoadedFile),
}

/// A file that was written: what it is to the caller, its name, its object.
pub(super) type Written<T> = (T, FileName, FileId);
/// Small files that are being hashed.
pub(super) type SmallFiles<T> = SharedStreams<(T, Job), LoadedFile>;

/// Writes the objects of jobs. The order is not kept, and small ones may be left to a later call or to
/// [`SmallFiles::finish`](SharedStreams::finish).
pub(super) fn write_all<T, S: ObjectWrite + ?Sized>(
    jobs: Vec<(T, Job)>,
    small: &SmallFiles<T>,
    store: &S,
    ctx: &Ctx,
) -> Result<Vec<Written<T>>> {
    small.with(|streams| {
        let mut written = Vec::with_capacity(jobs.len());
        for (tag, mut job) in jobs {
            ctx.cancel.check()?;
            let step = job.start(store, ctx);
            // A read that failed because of the cancellation is not the file's fault.
            ctx.cancel.check()?;
            match step.map_err(|e| e.of_path(&job.shown()))? {
                Step::Written(id) => written.push((tag, job.end(ctx)?, id)),
                Step::Loaded(file) => {
                    let len = job.len;
                    let finished = streams.push((tag, job), file, len);
                    written.extend(finished.map(|finished| write_hashed(finished, store, ctx)).transpose()?);
                }
            }
        }
        Ok(written)
    })
}

/// Writes the object of a small file that was hashed.
pub(super) fn write_hashed<T, S: ObjectWrite + ?Sized>(
    finished: Finished<(T, Job), LoadedFile>,
    store: &S,
    ctx: &Ctx,
) -> Result<Written<T>> {
    ctx.cancel.check()?;
    let ((tag, job), file) = HashedFile::of(finished)?;
    store.write_hashed(&file).map_err(|e| e.of_path(&job.shown()))?;
    Ok((tag, job.end(ctx)?, *file.id()))
}

impl Job {
    /// Writes the object if it is large, or reads it.
    fn start<S: ObjectWrite + ?Sized>(&mut self, store: &S, ctx: &Ctx) -> Result<Step> {
        match self.header.kind {
            FileKind::Regular => {
                let file = self.open()?;
                self.start_regular(file, store, ctx)
            }
            FileKind::Symlink(_) => self.read_link().map(Step::Loaded),
        }
    }

    fn read_link(&self) -> Result<LoadedFile> {
        let failed = |op| move |e: io::Error| Error::io(op, self.path.clone(), e);
        let Self { dir, name, .. } = self;
        let mut header = self.header.clone();
        let target = readlinkat(&**dir, name.as_str(), Vec::new())
            .map_err(|e| Error::io("readlinkat", self.path.clone(), e))?;
        let not_utf8 = |_| io::Error::new(io::ErrorKind::InvalidData, "the target is not UTF-8");
        let target = target.into_string().map_err(not_utf8).map_err(failed("readlinkat"))?;
        header.kind = FileKind::Symlink(target.into());
        if self.xattrs == XattrSource::File {
            header.xattrs = self.filtered(read_xattrs_at(&**dir, name).map_err(failed("reading xattrs of"))?);
        }
        set_label(&mut header, self.label.clone());
        LoadedFile::read(header, 0, &mut io::empty())
    }

    /// The xattrs that go into the commit.
    fn filtered(&self, mut xattrs: Xattrs) -> Xattrs {
        if let Some(filter) = &self.filter {
            xattrs.retain(|name, _| filter.keeps_xattr(&self.path, name));
        }
        xattrs
    }

    /// Opens a regular file. From here on it may grow: what it has now is what is committed of it.
    fn open(&mut self) -> Result<File> {
        // A file that was exchanged for a FIFO or a link since it was found must not stop us or lead astray.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(&*self.dir, self.name.as_str(), flags, Mode::empty());
        let file = File::from(opened.map_err(|e| Error::io("openat", &self.path, e))?);
        let stat = fstat(&file).map_err(|e| Error::io("fstat", &self.path, e))?;
        let now = Attributes { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode };
        // What is consumed this process changes itself: an object that was made of another name of the file.
        if self.source == SourceFate::Keep && now != self.found {
            let why =
                "it got another owner or mode, or was exchanged for another file, while the tree was read";
            return Err(Error::io("reading", &self.path, io::Error::other(why)));
        }
        self.len = stat.st_size.max(0).unsigned_abs();
        Ok(file)
    }

    fn start_regular<S: ObjectWrite + ?Sized>(&self, file: File, store: &S, ctx: &Ctx) -> Result<Step> {
        let failed = |op| move |e: io::Error| Error::io(op, self.path.clone(), e);
        let (mut header, len) = (self.header.clone(), self.len);
        if self.xattrs == XattrSource::File {
            header.xattrs = self.filtered(read_xattrs(&file).map_err(failed("reading xattrs of"))?);
        }
        set_label(&mut header, self.label.clone());
        if self.source == SourceFate::Consume {
            if let Some(id) = adopt(store, &self.dir, &self.name, &file, &header, &ctx.cancel)? {
                return Ok(Step::Written(id));
            }
            (&file).rewind().map_err(failed("lseek"))?;
        }
        if let Some(id) = store.clone_file(&header, len, &file, &ctx.cancel)? {
            return Ok(Step::Written(id));
        }
        // Of the kernel's own files that say they are empty not all are, and none may become so.
        let limit = if len == 0 { u64::MAX } else { len };
        let mut content = Cancellable::new(file.take(limit), &ctx.cancel);
        let step = match len <= SMALL_FILE_BYTES {
            true => LoadedFile::read(header, len, &mut content).map(Step::Loaded),
            false => store.write_file(&header, len, &mut content).map(Step::Written),
        };
        step.map_err(|e| match e {
            Error::Read { source, .. } => Error::Read { what: self.shown(), source },
            other => other,
        })
    }

    /// The object is written.
    fn end(self, ctx: &Ctx) -> Result<FileName> {
        if self.source == SourceFate::Consume {
            let removed = unlinkat(&*self.dir, self.name.as_str(), AtFlags::empty());
            removed.map_err(|e| Error::io("unlinkat", self.path.clone(), e))?;
        }
        ctx.object_done(self.len);
        Ok(self.name)
    }

    fn shown(&self) -> String {
        self.path.clone()
    }
}

fn set_label(header: &mut FileHeader, label: Option<Vec<u8>>) {
    if let Some(label) = label {
        header.xattrs.set(LABEL_XATTR.into(), label.into());
    }
}
