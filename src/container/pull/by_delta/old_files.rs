//! The files of a commit, as deltas name them.
//!
//! ```text
//! path ► where the commit has it ► dirtrees, some of them kept ► object ┬ a file: read at any place
//!                                                                       └ compressed: read on, or again, or kept whole
//! ```
//! Nothing is verified: the diffid of what the delta makes tells whether the files were right.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use ostree_format::{CommitId, DirTree, DirTreeId, FileId, FileKind};

use crate::container::convert::places_of;
use crate::container::delta::{OldFile, OldFiles};
use crate::container::image::Result;
use crate::store::{Content, FileObject, ObjectRead, load_commit, load_dirtree};

/// The entries of dirtrees that are kept: some 100 bytes each.
const MAX_KEPT_ENTRIES: usize = 64 * 1024;
/// The largest compressed file that is read in any other order than from its start.
const MAX_KEPT_BYTES: u64 = 512 * 1024 * 1024;

/// The files of a commit in a store.
pub(super) struct CommitFiles<'a> {
    store: &'a dyn ObjectRead,
    root: DirTreeId,
    trees: RefCell<HashMap<DirTreeId, Rc<DirTree>>>,
    /// The entries of `trees`.
    kept: Cell<usize>,
    /// The bytes that may still be read: a delta may ask for the same again and again.
    left: Cell<u64>,
}

impl<'a> CommitFiles<'a> {
    /// The files of `commit`, of which at most `max_bytes` are read.
    pub(super) fn open(store: &'a dyn ObjectRead, commit: &CommitId, max_bytes: u64) -> Result<Self> {
        let root = load_commit(store, commit)?.root.tree;
        Ok(Self { store, root, trees: RefCell::default(), kept: Cell::new(0), left: Cell::new(max_bytes) })
    }

    fn tree(&self, id: DirTreeId) -> Result<Rc<DirTree>> {
        if let Some(tree) = self.trees.borrow().get(&id) {
            return Ok(Rc::clone(tree));
        }
        let tree = Rc::new(load_dirtree(self.store, &id)?);
        let entries = tree.files.len() + tree.dirs.len() + 1;
        let mut trees = self.trees.borrow_mut();
        if self.kept.get() + entries > MAX_KEPT_ENTRIES {
            trees.clear();
            self.kept.set(0);
        }
        self.kept.set(self.kept.get() + entries);
        trees.insert(id, Rc::clone(&tree));
        Ok(tree)
    }

    /// The file or symbolic link at a path.
    fn find(&self, path: &str) -> Result<Option<FileId>> {
        let (mut dir, mut names) = (self.root, path.split('/').peekable());
        while let Some(name) = names.next() {
            let tree = self.tree(dir)?;
            if names.peek().is_none() {
                return Ok(tree.files.get(name).copied());
            }
            match tree.dirs.get(name) {
                Some(below) => dir = below.tree,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn regular(&self, path: &str) -> Result<Option<(FileId, FileObject)>> {
        let Some(id) = self.find(path)? else { return Ok(None) };
        let file = self.store.open_file(&id)?;
        Ok(file.filter(|file| file.header.kind == FileKind::Regular).map(|file| (id, file)))
    }

    /// Notes that so many bytes are read.
    fn count(&self, bytes: u64) -> io::Result<()> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or_else(|| io::Error::other("the delta reads old files without end"))?);
        Ok(())
    }
}

impl OldFiles for CommitFiles<'_> {
    fn open(&self, path: &[u8]) -> Result<Option<Box<dyn OldFile + '_>>> {
        let Ok(path) = std::str::from_utf8(path) else { return Ok(None) };
        for place in places_of(path) {
            let Some((id, file)) = self.regular(&place)? else { continue };
            let (size, content) = (file.len, file.content);
            return Ok(Some(match content {
                Content::File(file) => Box::new(Plain { files: self, file, size }),
                Content::Empty => {
                    Box::new(Packed { files: self, id, size: 0, at: 0, how: How::Kept(Vec::new()) })
                }
                Content::Stream(stream) => {
                    Box::new(Packed { files: self, id, size, at: 0, how: How::Stream(stream) })
                }
            }));
        }
        Ok(None)
    }
}

/// An object that is a file of its own.
struct Plain<'a> {
    files: &'a CommitFiles<'a>,
    file: File,
    size: u64,
}

impl OldFile for Plain<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.file.read_at(buf, offset)?;
        self.files.count(n as u64)?;
        Ok(n)
    }
}

/// An object that is kept compressed.
struct Packed<'a> {
    files: &'a CommitFiles<'a>,
    id: FileId,
    size: u64,
    /// How far the stream was read.
    at: u64,
    how: How,
}

enum How {
    /// Read in order.
    Stream(Box<dyn Read + Send>),
    /// The whole content, since it was asked for in another order.
    Kept(Vec<u8>),
}

impl Packed<'_> {
    /// Begins again.
    fn again(&mut self) -> io::Result<Box<dyn Read + Send>> {
        let file = self.files.store.open_file(&self.id).map_err(io::Error::other)?;
        self.at = 0;
        match file.map(|file| file.content) {
            Some(Content::Stream(stream)) => Ok(stream),
            Some(Content::File(file)) => Ok(Box::new(file)),
            Some(Content::Empty) => Ok(Box::new(io::empty())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Brings the stream to `offset`, or takes in all of the file.
    fn seek(&mut self, offset: u64) -> io::Result<()> {
        if matches!(self.how, How::Kept(_)) || offset == self.at {
            return Ok(());
        }
        if offset < self.at {
            let stream = self.again()?;
            if offset > 0 {
                let mut whole = Vec::new();
                stream.take(MAX_KEPT_BYTES + 1).read_to_end(&mut whole)?;
                self.files.count(whole.len() as u64)?;
                if whole.len() as u64 > MAX_KEPT_BYTES {
                    return Err(io::Error::other("the old file is too large to be read in this order"));
                }
                self.how = How::Kept(whole);
                return Ok(());
            }
            self.how = How::Stream(stream);
            return Ok(());
        }
        let How::Stream(stream) = &mut self.how else { return Ok(()) };
        let skipped = io::copy(&mut stream.take(offset - self.at), &mut io::sink())?;
        self.at += skipped;
        self.files.count(skipped)
    }
}

impl OldFile for Packed<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.seek(offset)?;
        match &mut self.how {
            How::Kept(whole) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
                let n = (whole.len() - start).min(buf.len());
                buf[..n].copy_from_slice(&whole[start..start + n]);
                Ok(n)
            }
            // The file ended before it.
            How::Stream(_) if self.at != offset => Ok(0),
            How::Stream(stream) => {
                let n = stream.read(buf)?;
                self.at += n as u64;
                self.files.count(n as u64)?;
                Ok(n)
            }
        }
    }
}
