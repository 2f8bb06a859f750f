//! The walk over a directory of the file system.

mod files;

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ostree_format::{
    DirMeta, DirMetaId, FileId, FileName, MetaKind, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, Xattrs,
};
use rustix::fs::{AtFlags, RawDir, Stat, fstat, statat, unlinkat};

use super::file::{Job, SmallFiles, Written, write_hashed};
use super::{DirOptions, Sealing, SourceFate, TreeStats};
use crate::base::fs::{self, DIR_BUFFER_BYTES};
use crate::base::{Ctx, Inode, Pool, read_xattrs, with_pool};
use crate::store::{Attributes, Decision, Entry, Error, Modifier, MutableTree, ObjectWrite, Result};

/// Bytes that queued and running jobs may hold together.
const QUEUE_BYTES: u64 = 16 << 20;

/// Adds everything below the open directory `dir` to `tree`: attributes of directories that exist are
/// replaced, files too. After an error `tree` is of no more use.
///
/// A `MODE PATH` line of the modifier for a directory below the root counts as matched but changes nothing,
/// as in libostree, so that the same options give the same commit.
///
/// # Errors
/// [`Error::Unsupported`] for what is neither file, directory nor symbolic link, or has a name or target that
/// is not UTF-8; [`Error::Usage`] where a file would replace a directory or the other way round; and what the
/// store gives.
pub fn add_dir<S: ObjectWrite + ?Sized>(
    store: &S,
    tree: &mut MutableTree,
    dir: OwnedFd,
    modifier: &mut Modifier,
    options: &DirOptions<'_>,
    ctx: &Ctx,
) -> Result<TreeStats> {
    // A directory of cap-std is open for paths only.
    let dir = fs::open_dir(&dir, ".").map_err(|e| Error::io("openat", "/", e))?;
    let small = SmallFiles::new();
    with_pool(ctx, QUEUE_BYTES, |pool| {
        let (sender, receiver) = channel();
        let walk = Walk {
            store,
            modifier,
            options,
            ctx,
            pool,
            small: &small,
            sender,
            receiver,
            batch: Vec::new(),
            batch_bytes: 0,
            nodes: HashMap::new(),
            next_node: 0,
            root: None,
            path: String::new(),
            stats: TreeStats::default(),
        };
        let (root, stats) = walk.run(dir, std::mem::take(tree))?;
        *tree = root;
        Ok(stats)
    })
}

type NodeId = u64;

struct Walk<'a, 'env, S: ?Sized> {
    store: &'env S,
    modifier: &'a mut Modifier,
    options: &'a DirOptions<'a>,
    ctx: &'env Ctx,
    pool: &'a Pool<'env, Error>,
    small: &'env SmallFiles<NodeId>,
    sender: Sender<Vec<Written<NodeId>>>,
    receiver: Receiver<Vec<Written<NodeId>>>,
    /// Files that wait until there are enough for a job.
    batch: Vec<(NodeId, Job)>,
    batch_bytes: u64,
    nodes: HashMap<NodeId, Node>,
    next_node: NodeId,
    /// The root directory, once it is finished.
    root: Option<MutableTree>,
    /// Path of the directory under work: empty for the root, else `/usr/bin`.
    path: String,
    stats: TreeStats,
}

/// A directory that is not finished.
struct Node {
    tree: MutableTree,
    dir: Arc<OwnedFd>,
    /// The directory above, and the name there.
    parent: Option<(NodeId, FileName)>,
    /// Files and directories still to come, and 1 while the walk is in it.
    pending: u64,
}

/// A directory that the walk is in, and what is to be entered next.
struct Frame {
    node: NodeId,
    subdirs: Vec<FileName>,
    /// Length of the path above.
    path_len: usize,
}

impl<S: ObjectWrite + ?Sized> Walk<'_, '_, S> {
    fn run(mut self, dir: OwnedFd, tree: MutableTree) -> Result<(MutableTree, TreeStats)> {
        let mut stack = Vec::new();
        stack.extend(self.enter(dir, tree, None, 0)?);
        while let Some(frame) = stack.last_mut() {
            self.ctx.cancel.check()?;
            let node = frame.node;
            match frame.subdirs.pop() {
                Some(name) => stack.extend(self.descend(node, name)?),
                None => {
                    self.path.truncate(frame.path_len);
                    stack.pop();
                    self.release(node)?;
                }
            }
        }
        self.submit()?;
        let (store, ctx, sender) = (self.store, self.ctx, self.sender.clone());
        self.small.finish(self.pool, move |finished| {
            // Nobody listens any more after an error elsewhere.
            let _ = sender.send(vec![write_hashed(finished, store, ctx)?]);
            Ok(())
        })?;
        // From here on only jobs can send, so that the end of the channel is the end of the jobs.
        self.sender = channel().0;
        while let Ok(written) = self.receiver.recv() {
            written.into_iter().try_for_each(|file| self.written(file))?;
        }
        self.pool.wait()?;
        Ok((self.root.unwrap_or_default(), self.stats))
    }

    fn descend(&mut self, parent: NodeId, name: FileName) -> Result<Option<Frame>> {
        let path_len = self.path.len();
        self.path.push('/');
        self.path.push_str(&name);
        let Some(above) = self.nodes.get_mut(&parent) else { return Ok(None) };
        let dir = fs::open_dir(&above.dir, &name).map_err(|e| Error::io("openat", &self.path, e))?;
        let tree = std::mem::take(above.tree.ensure_dir(self.store, name.clone())?);
        above.pending += 1;
        self.enter(dir, tree, Some((parent, name)), path_len)
    }

    /// Reads the directory: its attributes, its files, the names of its directories.
    fn enter(
        &mut self,
        dir: OwnedFd,
        mut tree: MutableTree,
        parent: Option<(NodeId, FileName)>,
        path_len: usize,
    ) -> Result<Option<Frame>> {
        let stat = fstat(&dir).map_err(|e| Error::io("fstat", self.shown_path(), e))?;
        let mut attributes = attributes_of(&stat);
        let path = if self.path.is_empty() { "/" } else { &self.path };
        if self.modifier.apply(path, &mut attributes) == Decision::Skip {
            // Only the root: whoever lists a directory asks for those in it.
            self.root = Some(tree);
            return Ok(None);
        }
        tree.set_meta(self.dirmeta(&dir, attributes)?);
        self.stats.dirs += 1;
        let node = self.next_node;
        self.next_node += 1;
        let dir = Arc::new(dir);
        self.nodes.insert(node, Node { tree, dir: dir.clone(), parent, pending: 1 });
        let subdirs = self.list(node, &dir)?;
        Ok(Some(Frame { node, subdirs, path_len }))
    }

    fn dirmeta(&mut self, dir: &OwnedFd, attributes: Attributes) -> Result<DirMetaId> {
        let Attributes { uid, gid, mode } = attributes;
        let mut xattrs = match self.modifier.keeps_xattrs() {
            true => read_xattrs(dir).map_err(|e| Error::io("reading xattrs of", self.shown_path(), e))?,
            false => Xattrs::EMPTY,
        };
        self.modifier.apply_to_xattrs(self.shown_path(), mode, &mut xattrs);
        let bytes = DirMeta::new(uid, gid, mode, xattrs).to_bytes();
        Ok(DirMetaId::new(self.store.write_meta(MetaKind::DirMeta, &bytes)?))
    }

    /// Hands every file of the directory to the pool; returns the directories.
    fn list(&mut self, node: NodeId, dir: &Arc<OwnedFd>) -> Result<Vec<FileName>> {
        let mut subdirs = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); DIR_BUFFER_BYTES];
        let mut entries = RawDir::new(dir.as_fd(), &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|e| Error::io("getdents64", self.shown_path(), e))?;
            let bytes = entry.file_name().to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            let name = std::str::from_utf8(bytes).ok().and_then(|name| FileName::new(name).ok());
            let Some(name) = name else {
                let (path, name) = (&self.path, String::from_utf8_lossy(bytes));
                return Err(Error::Unsupported(format!("Invalid UTF-8 in filename: {path}/{name}")));
            };
            let path_len = self.path.len();
            self.path.push('/');
            self.path.push_str(&name);
            let stat = statat(&**dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| Error::io("fstatat", &self.path, e))?;
            match stat.st_mode & S_IFMT {
                S_IFDIR => subdirs.extend(self.take_dir(dir, name, &stat)?),
                S_IFREG | S_IFLNK => self.file(node, dir, name, &stat)?,
                _ => {
                    let path = &self.path;
                    return Err(Error::Unsupported(format!("Not a regular file or symlink: {path}")));
                }
            }
            self.path.truncate(path_len);
        }
        Ok(subdirs)
    }

    /// Asks the modifier about the directory at `self.path`; returns its name if it is to be entered.
    fn take_dir(&mut self, dir: &Arc<OwnedFd>, name: FileName, stat: &Stat) -> Result<Option<FileName>> {
        if self.options.exclude == Some(Inode::from(stat)) {
            return Ok(None);
        }
        match self.modifier.apply(&self.path, &mut attributes_of(stat)) {
            Decision::Take => Ok(Some(name)),
            Decision::Skip => {
                self.consume(dir, &name)?;
                Ok(None)
            }
        }
    }

    fn consume(&self, dir: &Arc<OwnedFd>, name: &FileName) -> Result<()> {
        match self.options.source {
            SourceFate::Keep => Ok(()),
            SourceFate::Consume => {
                fs::remove_all(dir, name).map_err(|e| Error::io("unlinkat", &self.path, e))
            }
        }
    }

    fn set_file(&mut self, node: NodeId, name: FileName, id: FileId) -> Result<()> {
        match self.nodes.get_mut(&node) {
            Some(node) => node.tree.set_file(self.store, name, id),
            None => Ok(()),
        }
    }

    fn written(&mut self, (node, name, id): Written<NodeId>) -> Result<()> {
        self.set_file(node, name, id)?;
        self.release(node)
    }

    /// One thing less to wait for; a directory that waits for nothing goes into the one above.
    fn release(&mut self, mut id: NodeId) -> Result<()> {
        loop {
            let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
            node.pending -= 1;
            if node.pending > 0 {
                return Ok(());
            }
            let Some(mut node) = self.nodes.remove(&id) else { return Ok(()) };
            if self.options.sealing == Sealing::AsFinished {
                node.tree.seal(self.store)?;
            }
            let Some((parent, name)) = node.parent else {
                self.root = Some(node.tree);
                return Ok(());
            };
            let Some(above) = self.nodes.get_mut(&parent) else { return Ok(()) };
            if let Some(Entry::Dir(place)) = above.tree.get(self.store, &name)? {
                *place = node.tree;
            }
            if self.options.source == SourceFate::Consume {
                unlinkat(&*above.dir, name.as_str(), AtFlags::REMOVEDIR)
                    .map_err(|e| Error::io("unlinkat", name.as_str(), e))?;
            }
            id = parent;
        }
    }

    fn shown_path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }
}

fn attributes_of(stat: &Stat) -> Attributes {
    Attributes { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode }
}
