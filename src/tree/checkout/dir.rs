//! Directories: made before what is in them, finished after it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ostree_format::{DirEntry, DirMeta, DirMetaId, DirTreeRef, FileId, FileName, S_IFDIR, S_IFMT, Xattrs};
use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, fchown, fsync, futimens, mkdirat,
    openat, statat,
};
use rustix::io::Errno;

use super::file::not_given;
use super::queue::Queue;
use super::target::CheckoutTarget;
use super::{CheckoutOptions, DirectoryModes, Linking, Overwrite, Ownership, Sync, Whiteouts};
use crate::base::{Ctx, fs, write_xattrs};
use crate::store::selinux::LABEL_XATTR;
use crate::store::{Error, ObjectRead, Result, load_dirmeta};

/// A regular file of this name says that what was in the directory before does not count.
const OPAQUE_WHITEOUT: &str = ".wh..wh..opq";
/// Files of one directory that one task does; more are shared with other threads.
const FILES_PER_TASK: usize = 512;

/// A checkout under way.
pub(super) struct Run<'a, S: ?Sized> {
    pub(super) store: &'a S,
    pub(super) options: &'a CheckoutOptions,
    pub(super) ctx: &'a Ctx,
    /// Whether the destination may share blocks with the store; tried until it is refused.
    pub(super) reflinks: AtomicBool,
    /// Numbers temporary files.
    pub(super) temporary: AtomicU64,
    /// Few dirmetas differ.
    dirmetas: Mutex<HashMap<DirMetaId, Arc<DirMeta>>>,
    queue: Queue<Task>,
}

/// A directory that is there but not finished.
pub(super) struct Dir {
    pub(super) fd: OwnedFd,
    /// Path from the root of the tree, with a slash at both ends.
    pub(super) path: String,
    /// What it becomes, if this checkout made it.
    meta: Option<Arc<DirMeta>>,
    /// Tasks to be done before it is finished.
    pending: AtomicUsize,
    parent: Option<Arc<Dir>>,
}

enum Task {
    Dir(Arc<Dir>, FileName, DirEntry),
    Files(Arc<Dir>, Vec<(Box<str>, FileId)>),
}

impl<'a, S: ObjectRead + ?Sized> Run<'a, S> {
    pub(super) fn new(store: &'a S, options: &'a CheckoutOptions, ctx: &'a Ctx) -> Self {
        let (reflinks, temporary) = (AtomicBool::new(true), AtomicU64::new(0));
        let (dirmetas, queue) = (Mutex::default(), Queue::new());
        Self { store, options, ctx, reflinks, temporary, dirmetas, queue }
    }

    pub(super) fn start(&self, target: CheckoutTarget, parent: BorrowedFd<'_>, name: &Path) -> Result<()> {
        match target {
            CheckoutTarget::Dir(entry) => {
                self.dir(None, parent, name, "/".into(), entry)?;
                self.queue.run(self.ctx.jobs.get(), &|task| match task {
                    Task::Dir(above, name, entry) => {
                        let path = format!("{}{name}/", above.path);
                        self.dir(Some(above.clone()), above.fd.as_fd(), Path::new(name.as_str()), path, entry)
                    }
                    Task::Files(dir, files) => {
                        files.iter().try_for_each(|(name, id)| self.file(&dir, name, id))?;
                        self.done(dir)
                    }
                })
            }
            CheckoutTarget::File(file, id) => {
                let fd = match mkdirat(parent, name, Mode::RWXU) {
                    Ok(()) => open_made(parent, name)?,
                    Err(Errno::EXIST) => open_destination(parent, name)?,
                    Err(e) => return Err(Error::at(parent, "mkdirat", name, e)),
                };
                let (path, pending) = ("/".into(), AtomicUsize::new(1));
                self.wanted_file(&Dir { fd, path, meta: None, pending, parent: None }, &file, &id)
            }
        }
    }

    /// Makes a directory, does its files, and queues its directories.
    fn dir(
        &self,
        above: Option<Arc<Dir>>,
        parent: BorrowedFd<'_>,
        name: &Path,
        path: String,
        entry: DirEntry,
    ) -> Result<()> {
        self.ctx.cancel.check()?;
        if self.options.skip.contains(&path) {
            return above.map_or(Ok(()), |above| self.done(above));
        }
        let bytes = self.store.read_meta(&entry.tree.into())?.ok_or(Error::NotFound(entry.tree.into()))?;
        let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(entry.tree))?;
        let meta = self.dirmeta(entry.meta)?;
        let process = self.options.whiteouts == Whiteouts::Process;
        let opaque = process && tree.files().any(|(name, _)| name == OPAQUE_WHITEOUT);
        let made = self.make(parent, name, opaque)?;
        let fd = match (made, &above) {
            (true, _) => open_made(parent, name)?,
            (false, None) => open_destination(parent, name)?,
            (false, Some(_)) => open_below(parent, name)?,
        };
        if made && self.options.ownership == Ownership::Commit {
            let xattrs = self.labeled(&path, meta.mode, &meta.xattrs);
            write_xattrs(&fd, &xattrs).map_err(|e| Error::at(&fd, "Processing dirmeta of", ".", e))?;
        }
        let meta = made.then_some(meta);
        let dir = Arc::new(Dir { fd, path, meta, pending: AtomicUsize::new(1), parent: above });
        self.files(&dir, &tree, process)?;
        let dirs: Vec<_> = tree.dirs().collect();
        dir.pending.fetch_add(dirs.len(), Ordering::Relaxed);
        self.queue.push(dirs.into_iter().rev().filter_map(|(name, entry)| {
            // The parser has checked the name.
            Some(Task::Dir(dir.clone(), FileName::new(name).ok()?, entry))
        }));
        self.done(dir)
    }

    /// Does the files of a directory, those of a large one with the help of other threads. Whiteouts act on what
    /// stands in the directory when it is their turn, so they keep the order.
    fn files(&self, dir: &Arc<Dir>, tree: &DirTreeRef<'_>, in_order: bool) -> Result<()> {
        if in_order || self.ctx.jobs.get() == 1 || tree.files().nth(FILES_PER_TASK).is_none() {
            return tree.files().try_for_each(|(name, id)| self.file(dir, name, &id));
        }
        let mut files = tree.files();
        loop {
            let some: Vec<_> = files.by_ref().take(FILES_PER_TASK).map(|(n, id)| (n.into(), id)).collect();
            if some.is_empty() {
                return Ok(());
            }
            dir.pending.fetch_add(1, Ordering::Relaxed);
            self.queue.push([Task::Files(dir.clone(), some)]);
        }
    }

    /// The xattrs of a file or directory, with the label that it is to get instead of its own.
    pub(super) fn labeled<'x>(&self, path: &str, mode: u32, xattrs: &'x Xattrs) -> Cow<'x, Xattrs> {
        let Some(labels) = &self.options.labels else { return Cow::Borrowed(xattrs) };
        let Some(label) = labels.label(path, mode) else { return Cow::Borrowed(xattrs) };
        let mut xattrs = xattrs.clone();
        xattrs.set(LABEL_XATTR.into(), label);
        Cow::Owned(xattrs)
    }

    fn dirmeta(&self, id: DirMetaId) -> Result<Arc<DirMeta>> {
        let known = || self.dirmetas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meta) = known().get(&id) {
            return Ok(meta.clone());
        }
        let meta = Arc::new(load_dirmeta(self.store, &id)?);
        known().insert(id, meta.clone());
        Ok(meta)
    }

    /// Makes a directory that nobody else can enter yet; `false` if it is there already.
    fn make(&self, parent: BorrowedFd<'_>, name: &Path, opaque: bool) -> Result<bool> {
        let io = |op| move |e: std::io::Error| Error::at(parent, op, name, e);
        let text = name.to_str().unwrap_or_default();
        if opaque {
            match text {
                "." => fs::clear_dir(parent).map_err(io("unlinkat"))?,
                _ => fs::remove_all(parent, text).map_err(io("unlinkat"))?,
            }
        } else if self.options.whiteouts == Whiteouts::Process
            && self.options.overwrite == Overwrite::UnionFiles
        {
            match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if stat.st_mode & S_IFMT != S_IFDIR => {
                    fs::remove_all(parent, text).map_err(io("unlinkat"))?;
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(e) => return Err(Error::at(parent, "fstatat", name, e)),
            }
        }
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) if self.options.overwrite != Overwrite::Never => Ok(false),
            Err(Errno::EXIST) => Err(Error::Exists(name.into())),
            Err(e) => Err(Error::at(parent, "mkdirat", name, e)),
        }
    }

    /// One task less; a directory without tasks is finished, and then maybe the one above.
    fn done(&self, mut dir: Arc<Dir>) -> Result<()> {
        while dir.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish(&dir)?;
            match &dir.parent {
                None => break,
                Some(parent) => dir = parent.clone(),
            }
        }
        Ok(())
    }

    fn finish(&self, dir: &Dir) -> Result<()> {
        let io = |op| move |e: Errno| dir.failed(op, ".", e);
        if let Some(meta) = &dir.meta {
            let mask = match self.options.directory_modes {
                DirectoryModes::Commit => 0o7777,
                DirectoryModes::Canonical => 0o775,
            };
            fchmod(&dir.fd, Mode::from_raw_mode(meta.mode & mask)).map_err(io("fchmod"))?;
            if self.options.ownership == Ownership::Commit {
                fs::owner(meta.uid, meta.gid)
                    .and_then(|(uid, gid)| Ok(fchown(&dir.fd, Some(uid), Some(gid))?))
                    .map_err(|e| not_given(fs::place(&dir.fd, "."), meta.uid, meta.gid, e))?;
            }
            // The same in every checkout, except for copies, which are there to be changed.
            if self.options.linking != Linking::Never {
                let times = Timestamps {
                    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
                    last_modification: Timespec { tv_sec: 0, tv_nsec: 0 },
                };
                futimens(&dir.fd, &times).map_err(io("futimens"))?;
            }
        }
        match self.options.sync {
            Sync::Each => fsync(&dir.fd).map_err(io("fsync")),
            Sync::Later => Ok(()),
        }
    }
}

const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The caller may name a destination that is there by a symbolic link.
fn open_destination(parent: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd> {
    openat(parent, name, OPEN_DIR, Mode::empty()).map_err(|e| Error::at(parent, "openat", name, e))
}

/// A directory that was there before.
fn open_below(parent: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd> {
    openat(parent, name, OPEN_DIR | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|e| Error::at(parent, "openat", name, e))
}

/// A directory that this checkout has made, and nobody has put another in its place.
fn open_made(parent: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd> {
    fs::open_made_dir(parent, name).map_err(|e| Error::at(parent, "openat", name, e))
}
