//! The tree of an image, read from a commit's: breadth first, which is the order of inodes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::ops::Range;

use ostree_format::{
    DirEntry, DirMeta, DirMetaId, DirTreeId, DirTreeRef, FileHeader, FileId, FileKind, RootDir, S_IFLNK,
    S_IFREG, Xattrs,
};

use super::FileDigests;
use super::inode::{Data, Holes, Inode, S_IFCHR};
use super::xattrs::{Table, Xattr, refusal, selinux_label};
use crate::base::io::{Cancellable, Exact};
use crate::base::{Ctx, Pool, VerityDigest, VerityHasher, measure_verity, with_pool};
use crate::store::{Content, Error, FileObject, ObjectRead, Result, load_dirmeta};

/// Directories that the root of a system needs.
const ROOT_DIRS: [&str; 5] = ["usr", "etc", "boot", "var", "sysroot"];
/// More are refused: a damaged commit of a few objects could name any number.
const MAX_INODES: usize = 1 << 23;
const MAX_NAME_BYTES: usize = 255;
const MAX_TARGET_BYTES: usize = 4095;
/// Objects that one task of a thread reads.
const OBJECTS_PER_TASK: usize = 32;

/// All names and inodes of an image.
#[derive(Debug)]
pub(super) struct Tree {
    /// Breadth first; the root is the first, and the children of a directory follow each other, sorted by name.
    pub(super) nodes: Vec<Node>,
    /// Inodes as they differ: directories with the same dirmeta, and names of the same object, share one.
    pub(super) inodes: Vec<Inode>,
    pub(super) xattrs: Table,
}

/// A name, which in an image has an inode of its own: hard links are none there.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Box<str>,
    pub(super) parent: u32,
    /// Where the description of the inode stands in [`Tree::inodes`].
    inode: u32,
    /// The entries of a directory, in [`Tree::nodes`].
    pub(super) children: Range<u32>,
}

impl Tree {
    pub(super) fn inode(&self, node: &Node) -> &Inode {
        &self.inodes[node.inode as usize]
    }

    /// The number of links to a node: a directory's own, and the `..` of those in it.
    pub(super) fn links(&self, node: &Node) -> u32 {
        match self.inode(node).data {
            Data::Dir => 2 + u32::try_from(self.subdirs(node)).unwrap_or(u32::MAX - 2),
            _ => 1,
        }
    }

    fn subdirs(&self, dir: &Node) -> usize {
        let children = &self.nodes[dir.children.start as usize..dir.children.end as usize];
        children.iter().filter(|child| matches!(self.inode(child).data, Data::Dir)).count()
    }

    /// The entries of a directory with `.` and `..`, sorted: names, and places in [`Tree::nodes`].
    pub(super) fn entries(&self, at: usize) -> Vec<(&str, usize)> {
        let node = &self.nodes[at];
        let children = node.children.start as usize..node.children.end as usize;
        let mut entries: Vec<(&str, usize)> =
            children.map(|child| (&*self.nodes[child].name, child)).collect();
        for own in [(".", at), ("..", node.parent as usize)] {
            let place = entries.partition_point(|(name, _)| *name < own.0);
            entries.insert(place, own);
        }
        entries
    }
}

/// What a name stands for, before everything is read.
#[derive(Clone, Copy)]
enum Target {
    Dir(DirEntry),
    File(FileId),
    /// A directory of [`ROOT_DIRS`] that the commit lacks.
    EmptyDir,
    Whiteout,
}

/// Reads the tree of a commit.
pub(super) fn read<S: ObjectRead + ?Sized>(
    store: &S,
    root: RootDir,
    digests: FileDigests,
    ctx: &Ctx,
) -> Result<Tree> {
    let mut names = Names::default();
    names.read(store, root, ctx)?;
    let loaded = load_all(store, &names.files, digests, ctx)?;
    names.finish(loaded, root.meta)
}

/// Names read so far; inodes are numbered, and the content of files is not yet known.
#[derive(Default)]
struct Names {
    nodes: Vec<Node>,
    xattrs: Table,
    files: Vec<FileId>,
    file_numbers: HashMap<FileId, u32>,
    dirs: Vec<DirMeta>,
    dir_numbers: HashMap<Option<DirMetaId>, u32>,
    /// Nodes whose inode is that of a file, and not of a directory.
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dir,
    File,
    Whiteout,
}

impl Names {
    fn read<S: ObjectRead + ?Sized>(&mut self, store: &S, root: RootDir, ctx: &Ctx) -> Result<()> {
        let mut todo: VecDeque<(u32, DirTreeId)> = VecDeque::new();
        let top = DirEntry { tree: root.tree, meta: root.meta };
        self.add(store, "", 0, Target::Dir(top))?;
        todo.push_back((0, root.tree));
        while let Some((at, tree)) = todo.pop_front() {
            ctx.cancel.check()?;
            let first = self.count()?;
            for (name, target) in entries_of(store, tree, at == 0)? {
                let child = self.count()?;
                self.add(store, &name, at, target)?;
                if let Target::Dir(entry) = target {
                    todo.push_back((child, entry.tree));
                }
            }
            self.nodes[at as usize].children = first..self.count()?;
        }
        Ok(())
    }

    fn count(&self) -> Result<u32> {
        match self.nodes.len() {
            many if many > MAX_INODES => {
                Err(Error::Unsupported(format!("an image of more than {MAX_INODES} files")))
            }
            few => Ok(u32::try_from(few).unwrap_or(u32::MAX)),
        }
    }

    fn add<S: ObjectRead + ?Sized>(
        &mut self,
        store: &S,
        name: &str,
        parent: u32,
        target: Target,
    ) -> Result<()> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::Unsupported(format!("{name}: a name this long is for no file system")));
        }
        let (kind, inode) = match target {
            Target::Dir(entry) => {
                (Kind::Dir, self.dir(Some(entry.meta), || load_dirmeta(store, &entry.meta))?)
            }
            Target::EmptyDir => (Kind::Dir, self.dir(None, || Ok(DirMeta::new(0, 0, 0o755, Xattrs::EMPTY)))?),
            Target::Whiteout => (Kind::Whiteout, 0),
            Target::File(id) => {
                let new = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
                let number = *self.file_numbers.entry(id).or_insert(new);
                if number == new {
                    self.files.push(id);
                }
                (Kind::File, number)
            }
        };
        self.nodes.push(Node { name: name.into(), parent, inode, children: 0..0 });
        self.kinds.push(kind);
        Ok(())
    }

    fn dir(&mut self, id: Option<DirMetaId>, load: impl FnOnce() -> Result<DirMeta>) -> Result<u32> {
        if let Some(number) = self.dir_numbers.get(&id) {
            return Ok(*number);
        }
        let number = u32::try_from(self.dirs.len()).unwrap_or(u32::MAX);
        let meta = load()?;
        if let (Some(why), Some(id)) = (refusal(&meta.xattrs), id) {
            return Err(Error::Unsupported(format!("{id}.dirmeta: {why}")));
        }
        self.dirs.push(meta);
        self.dir_numbers.insert(id, number);
        Ok(number)
    }

    /// Numbers the inodes of all kinds: the root's own, the whiteouts', directories, files.
    fn finish(self, files: Vec<Loaded>, root: DirMetaId) -> Result<Tree> {
        let Self { mut nodes, mut xattrs, files: ids, dirs, dir_numbers, kinds, .. } = self;
        let root = dir_numbers.get(&Some(root)).map_or_else(
            || DirMeta::new(0, 0, 0o755, Xattrs::EMPTY),
            |number| dirs[*number as usize].clone(),
        );
        let dir_inode = |meta: &DirMeta, xattrs| {
            let DirMeta { mode, uid, gid, .. } = *meta;
            Inode { mode, uid, gid, xattrs, data: Data::Dir }
        };
        let label = xattrs.of(&selinux_label(&root.xattrs), []);
        let whiteout = Inode {
            mode: S_IFCHR | 0o644,
            uid: root.uid,
            gid: root.gid,
            xattrs: label,
            data: Data::Whiteout,
        };
        let mut inodes = vec![dir_inode(&root, xattrs.of(&root.xattrs, [Xattr::Opaque])), whiteout];
        for meta in &dirs {
            inodes.push(dir_inode(meta, xattrs.of(&meta.xattrs, [])));
        }
        let first_file = u32::try_from(inodes.len()).unwrap_or(u32::MAX);
        for (id, file) in ids.iter().zip(files) {
            inodes.push(file.inode(*id, &mut xattrs));
        }
        for (at, (node, kind)) in nodes.iter_mut().zip(kinds).enumerate() {
            node.inode = match (at, kind) {
                (0, _) => 0,
                (_, Kind::Whiteout) => 1,
                (_, Kind::Dir) => node.inode + 2,
                (_, Kind::File) => node.inode + first_file,
            };
            xattrs.used(&inodes[node.inode as usize].xattrs);
        }
        Ok(Tree { nodes, inodes, xattrs })
    }
}

/// The entries of a directory, sorted by name; the root gets those that an image adds.
fn entries_of<S: ObjectRead + ?Sized>(
    store: &S,
    id: DirTreeId,
    is_root: bool,
) -> Result<Vec<(Box<str>, Target)>> {
    let bytes = store.read_meta(&id.into())?.ok_or(Error::NotFound(id.into()))?;
    let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
    let files = tree.files().map(|(name, id)| (name.into(), Target::File(id)));
    let dirs = tree.dirs().map(|(name, entry)| (name.into(), Target::Dir(entry)));
    let mut entries: Vec<(Box<str>, Target)> = files.chain(dirs).collect();
    if is_root {
        let there: BTreeSet<Box<str>> = entries.iter().map(|(name, _)| name.clone()).collect();
        let dirs = ROOT_DIRS.iter().map(|name| (Box::from(*name), Target::EmptyDir));
        // The directories of objects are in the layer below, and not to be seen.
        let whiteouts = (0..=u8::MAX).map(|n| (format!("{n:02x}").into(), Target::Whiteout));
        entries.extend(dirs.chain(whiteouts).filter(|(name, _)| !there.contains(name)));
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Error::Unsupported(format!("{id}.dirtree: two entries are named {}", pair[0].0))),
        None => Ok(entries),
    }
}

/// What was read of an object.
struct Loaded {
    header: FileHeader,
    len: u64,
    digest: Option<VerityDigest>,
}

impl Loaded {
    fn inode(self, id: FileId, table: &mut Table) -> Inode {
        let FileHeader { uid, gid, permissions, kind, xattrs } = self.header;
        let (mode, data, added) = match kind {
            FileKind::Symlink(target) => (S_IFLNK, Data::Symlink(target), None),
            FileKind::Regular if self.len == 0 => (S_IFREG, Data::File(0), None),
            FileKind::Regular => {
                let added = [Xattr::Metacopy(self.digest), Xattr::Redirect(id)];
                (S_IFREG, Data::File(self.len), Some(added))
            }
        };
        let xattrs = table.of(&xattrs, added.into_iter().flatten());
        Inode { mode: mode | permissions, uid, gid, xattrs, data }
    }
}

/// Reads every object once, on several threads.
fn load_all<S: ObjectRead + ?Sized>(
    store: &S,
    ids: &[FileId],
    digests: FileDigests,
    ctx: &Ctx,
) -> Result<Vec<Loaded>> {
    let mut loaded: Vec<Option<Loaded>> = Vec::new();
    loaded.resize_with(ids.len(), || None);
    with_pool(ctx, u64::MAX, |pool: &Pool<'_, Error>| {
        for (ids, slots) in ids.chunks(OBJECTS_PER_TASK).zip(loaded.chunks_mut(OBJECTS_PER_TASK)) {
            pool.submit(0, move || {
                ids.iter().zip(slots).try_for_each(|(id, slot)| {
                    *slot = Some(load(store, id, digests, ctx)?);
                    Ok(())
                })
            })?;
        }
        pool.wait()
    })?;
    // The pool has filled all of them, or failed.
    Ok(loaded.into_iter().flatten().collect())
}

fn load<S: ObjectRead + ?Sized>(store: &S, id: &FileId, digests: FileDigests, ctx: &Ctx) -> Result<Loaded> {
    ctx.cancel.check()?;
    let mut object = store.open_file(id)?.ok_or(Error::NotFound((*id).into()))?;
    let refused = |why| Err(Error::Unsupported(format!("{id}.file: {why}")));
    if let Some(why) = refusal(&object.header.xattrs) {
        return refused(why);
    }
    let (header, len) = (object.header.clone(), object.len);
    if header.symlink_target().is_some_and(|target| target.len() > MAX_TARGET_BYTES) {
        return refused("a link with a target this long is for no file system".into());
    }
    if Holes::of(len).chunks > Holes::MAX_CHUNKS {
        return refused(format!("{len} bytes are too many for an image"));
    }
    let digest = match header.kind {
        FileKind::Regular if len > 0 => {
            digest(&mut object, digests, ctx).map_err(|e| Error::io("Reading", format!("{id}.file"), e))?
        }
        _ => None,
    };
    ctx.object_done(len);
    Ok(Loaded { header, len, digest })
}

/// The digest of an object's content, if it is to stand in the image.
fn digest(object: &mut FileObject, digests: FileDigests, ctx: &Ctx) -> io::Result<Option<VerityDigest>> {
    let known = match &object.content {
        // What the kernel cannot tell is computed.
        Content::File(file) if digests != FileDigests::Omit => measure_verity(file).unwrap_or_default(),
        _ => None,
    };
    if known.is_some() || digests != FileDigests::Record {
        return Ok(known);
    }
    let (len, mut hasher) = (object.len, VerityHasher::new());
    io::copy(&mut Exact::new(Cancellable::new(object, &ctx.cancel), len), &mut hasher)?;
    Ok(Some(hasher.finish()))
}
