//! Reads commits and content objects from streams of ostree-ext's format, versions 0 and 1.
//!
//! ```text
//! entry ──▶ Place ──┬─ commit, commitmeta   kept; the caller's hook decides before anything is written
//!                   ├─ dirtree, dirmeta     expected, since a parent named it; it names others
//!                   ├─ file                 expected, its xattrs came directly before it
//!                   └─ all else             its path is checked, nothing else
//! ```
//! Every object's checksum is verified. What no object before it named is refused, so that only what the
//! commit reaches is written. The commit itself is written last. If anything fails, the caller drops the
//! transaction. Memory: some 40 bytes for each object, and what the limits on metadata and xattrs allow.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use ostree_format::variant::Dict;
use ostree_format::{
    Commit, CommitId, DirMeta, DirTree, DirTreeRef, FileId, FileName, MetaKind, ObjectName, ObjectType,
    RootDir, Xattrs,
};

use super::content::{ContentWriter, POOL_BYTES, SmallFiles, read_meta};
use super::entry::TarEntry;
use super::error::{ContentErrorKind, EntryErrorKind, Error, Result};
use super::layout::EntryRole;
use super::on_base::XattrsOf;
use super::reader::Reader;
use crate::base::{Ctx, Pool, with_pool};
use crate::store::{
    self, CommitBytes, Completeness, ObjectRead, ObjectWrite, Reachable, Txn, Voucher, require_voucher,
    walk_commit,
};

/// Options for taking in a commit.
#[derive(Default, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// The voucher that is asked about the commit before anything is written; `None` accepts any commit.
    pub voucher: Option<&'a dyn Voucher>,
    /// What the stream holds of the commit.
    pub holds: StreamHolds,
}

/// What a stream holds of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StreamHolds {
    /// The metadata, and content: an object comes behind one in the stream that names it.
    #[default]
    Everything,
    /// What the store lacks: metadata that is there names objects of the stream, too.
    WhatIsMissing,
    /// The metadata, the content that a base lacks, and the xattrs of all other that has any.
    WhatIsNotInBase,
}

/// A commit whose content may partly lie in other streams.
#[derive(Debug)]
pub struct ImportedCommit {
    /// The commit.
    pub commit: CommitId,
    /// Content objects that it reaches.
    pub files: HashSet<FileId>,
    /// Content objects that the commit reaches and that were not in this stream.
    pub elsewhere: HashSet<FileId>,
    /// Xattrs of content that is in a base: see [`StreamHolds::WhatIsNotInBase`].
    pub xattrs: XattrsOf,
}

/// Imports a stream that holds a whole commit. Objects that are not in the stream have to be in the store.
///
/// # Errors
/// [`Error::Format`], [`Error::Entry`], [`Error::Read`] for a malformed stream; [`Error::Content`] if it
/// holds no commit or not all of it; [`Error::Store`] with [`store::Error::Refused`] if nobody vouches for it, and for
/// what the store says.
pub fn import_commit(
    input: &mut dyn Read,
    txn: &dyn Txn,
    options: &ImportOptions<'_>,
    ctx: &Ctx,
) -> Result<CommitId> {
    let imported = read_commit(input, txn, options, ctx)?;
    let mut missing = Vec::new();
    for id in &imported.elsewhere {
        if !txn.contains(&(*id).into())? {
            missing.push(*id);
        }
    }
    if let Some(first) = missing.iter().min() {
        return Err(Error::Content(ContentErrorKind::Incomplete((*first).into(), missing.len())));
    }
    // An interrupted pull may have left its mark.
    if txn.completeness(&imported.commit)? != Completeness::Complete {
        txn.set_partial(&imported.commit, Completeness::Complete)?;
    }
    Ok(imported.commit)
}

/// Imports the first layer of an image: a commit with all its metadata and some of its content. The commit
/// is marked as partial if content is missing, unless all of it was in the store before; that mark is the
/// caller's to take away.
///
/// # Errors
/// As [`import_commit`]; missing content is not an error.
pub fn import_commit_layer(
    input: &mut dyn Read,
    txn: &dyn Txn,
    options: &ImportOptions<'_>,
    ctx: &Ctx,
) -> Result<ImportedCommit> {
    read_commit(input, txn, options, ctx)
}

/// Imports a layer that holds content objects and nothing else; returns them. Others than those in
/// `expected` are refused; `None` lets all in.
///
/// # Errors
/// As [`import_commit`].
pub fn import_objects(
    input: &mut dyn Read,
    store: &dyn ObjectWrite,
    expected: Option<&HashSet<FileId>>,
    ctx: &Ctx,
) -> Result<BTreeSet<FileId>> {
    let small = SmallFiles::new();
    with_pool(ctx, POOL_BYTES, |pool| {
        let mut reader = Reader::new(input);
        let mut content = ContentWriter::new(store, pool, &small, ctx);
        let mut seen = BTreeSet::new();
        while let Some(entry) = reader.next_entry()? {
            ctx.cancel.check()?;
            match EntryRole::of(&entry)? {
                EntryRole::Ignored => {}
                EntryRole::Meta(_) => return Err(entry.error(EntryErrorKind::Unexpected)),
                EntryRole::Xattrs(checksum) => content.xattrs(checksum, &entry, &mut reader)?,
                EntryRole::XattrsOf(id) => content.xattrs_of(id, &entry, &mut reader)?,
                EntryRole::File(id) => {
                    if expected.is_some_and(|expected| !expected.contains(&id)) {
                        return Err(entry.error(EntryErrorKind::Unexpected));
                    }
                    if !seen.insert(id) {
                        return Err(entry.error(EntryErrorKind::Duplicate));
                    }
                    content.file(id, &entry, &mut reader)?;
                }
            }
        }
        content.finish()?;
        Ok(seen)
    })
}

/// Checks that everything a commit reaches is in the store. Nothing is verified: who wrote it has.
///
/// # Errors
/// [`Error::Content`] names one missing object and says how many there are.
pub fn check_complete(store: &dyn ObjectRead, commit: &CommitId) -> Result<()> {
    let mut missing = Vec::new();
    let walked = walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        if !store.contains(&name)? {
            missing.push(name);
        }
        Ok(())
    });
    if let Err(store::Error::NotFound(name)) = walked {
        return Err(Error::Content(ContentErrorKind::Incomplete(name, missing.len() + 1)));
    }
    walked?;
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Error::Content(ContentErrorKind::Incomplete(*first, missing.len()))),
    }
}

/// The commit with which ostree-ext keeps the objects of a layer: a flat directory that names each by its
/// checksum. It is the same for the same objects and `metadata`. Source: ostree-ext tar/import.rs:757-795.
///
/// # Errors
/// [`Error::Store`].
pub fn write_object_set(
    store: &dyn ObjectWrite,
    objects: &BTreeSet<FileId>,
    metadata: Dict,
) -> Result<CommitId> {
    let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
    let meta = store.write_dirmeta(&meta)?;
    let mut tree = DirTree::default();
    for id in objects {
        let name = FileName::new(id.checksum().hex().as_str()).map_err(store::Error::corrupt(*id))?;
        tree.files.insert(name, *id);
    }
    let tree = store.write_dirtree(&tree)?;
    let commit = Commit {
        metadata,
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root: RootDir { tree, meta },
    };
    Ok(store.write_commit(&commit)?)
}

fn read_commit(
    input: &mut dyn Read,
    txn: &dyn Txn,
    options: &ImportOptions<'_>,
    ctx: &Ctx,
) -> Result<ImportedCommit> {
    let small = SmallFiles::new();
    with_pool(ctx, POOL_BYTES, |pool| {
        let mut reader = Reader::new(input);
        let mut import = Import {
            txn,
            options,
            pool,
            ctx,
            head: None,
            decided: false,
            objects: HashMap::new(),
            content: ContentWriter::new(txn, pool, &small, ctx),
        };
        if options.holds == StreamHolds::WhatIsNotInBase {
            import.content.keep_xattrs();
        }
        while let Some(entry) = reader.next_entry()? {
            ctx.cancel.check()?;
            import.entry(&entry, &mut reader)?;
        }
        import.finish()
    })
}

/// The commit object and its detached metadata, not yet written.
struct Head {
    id: CommitId,
    commit: Vec<u8>,
    root: RootDir,
    detached: Option<(Vec<u8>, Dict)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Another object names the object.
    Named,
    /// Another object names the object, which is metadata that the store has.
    Stored,
    /// The object was in the stream.
    Here,
}

struct Import<'p, 'env> {
    txn: &'env dyn Txn,
    options: &'env ImportOptions<'env>,
    pool: &'p Pool<'env, Error>,
    ctx: &'env Ctx,
    head: Option<Head>,
    decided: bool,
    objects: HashMap<ObjectName, Seen>,
    content: ContentWriter<'p, 'env>,
}

impl Import<'_, '_> {
    fn entry<R: Read>(&mut self, entry: &TarEntry, reader: &mut Reader<R>) -> Result<()> {
        let place = EntryRole::of(entry)?;
        match place {
            EntryRole::Ignored => return Ok(()),
            EntryRole::Meta(name) if name.kind == ObjectType::Commit => {
                return self.commit(&name, entry, reader);
            }
            EntryRole::Meta(name) if name.kind == ObjectType::CommitMeta => {
                return self.commitmeta(&name, entry, reader);
            }
            _ => self.decide(entry)?,
        }
        match place {
            EntryRole::Xattrs(checksum) => self.content.xattrs(checksum, entry, reader),
            EntryRole::XattrsOf(id) => {
                if self.options.holds == StreamHolds::WhatIsNotInBase {
                    self.expect_xattrs(id, entry)?;
                }
                self.content.xattrs_of(id, entry, reader)
            }
            EntryRole::File(id) => {
                self.expect(id.into(), entry)?;
                self.content.file(id, entry, reader)
            }
            EntryRole::Meta(name) => {
                self.expect(name, entry)?;
                self.meta(name, read_meta(&name, entry, reader)?)
            }
            EntryRole::Ignored => Ok(()),
        }
    }

    fn commit<R: Read>(&mut self, name: &ObjectName, entry: &TarEntry, reader: &mut Reader<R>) -> Result<()> {
        if self.head.is_some() {
            return Err(entry.error(EntryErrorKind::Duplicate));
        }
        let commit = read_meta(name, entry, reader)?;
        let root = Commit::parse(&commit).map_err(store::Error::corrupt(*name))?.root;
        self.head = Some(Head { id: CommitId::new(name.checksum), commit, root, detached: None });
        Ok(())
    }

    fn commitmeta<R: Read>(
        &mut self,
        name: &ObjectName,
        entry: &TarEntry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        match &mut self.head {
            Some(head) if *name == ObjectName::commitmeta(&head.id) && !self.decided => {
                if head.detached.is_some() {
                    return Err(entry.error(EntryErrorKind::Duplicate));
                }
                let bytes = read_meta(name, entry, reader)?;
                let dict = Dict::parse(&bytes).map_err(store::Error::corrupt(*name))?;
                head.detached = Some((bytes, dict));
                Ok(())
            }
            // It has to follow its commit directly.
            _ => Err(entry.error(EntryErrorKind::Unexpected)),
        }
    }

    /// Before the first object that would be written: commit and detached metadata are known, or never.
    fn decide(&mut self, entry: &TarEntry) -> Result<()> {
        if self.decided {
            return Ok(());
        }
        let Some(head) = &self.head else { return Err(entry.error(EntryErrorKind::Unexpected)) };
        verify(self.options, head)?;
        self.decided = true;
        let root = head.root;
        self.name_root(root)
    }

    /// The first two objects that are expected.
    fn name_root(&mut self, root: RootDir) -> Result<()> {
        let root = [root.tree.into(), root.meta.into()];
        self.objects.extend(root.map(|name| (name, Seen::Named)));
        self.look_behind(root.to_vec())
    }

    /// Where the stream leaves out what the store has: names what is behind metadata that was named just now.
    fn look_behind(&mut self, mut news: Vec<ObjectName>) -> Result<()> {
        if self.options.holds != StreamHolds::WhatIsMissing {
            return Ok(());
        }
        while let Some(name) = news.pop() {
            if !is_metadata(&name) {
                continue;
            }
            self.ctx.cancel.check()?;
            let Some(bytes) = self.txn.read_meta(&name)? else { continue };
            self.objects.insert(name, Seen::Stored);
            if name.kind == ObjectType::DirTree {
                news.extend(name_children(&mut self.objects, &name, &bytes)?);
            }
        }
        Ok(())
    }

    fn expect(&mut self, name: ObjectName, entry: &TarEntry) -> Result<()> {
        match self.objects.get_mut(&name) {
            None => Err(entry.error(EntryErrorKind::Unexpected)),
            Some(Seen::Here) => Err(entry.error(EntryErrorKind::Duplicate)),
            Some(seen) => {
                *seen = Seen::Here;
                Ok(())
            }
        }
    }

    /// Xattrs that are kept belong to a file of the commit.
    fn expect_xattrs(&self, id: FileId, entry: &TarEntry) -> Result<()> {
        match self.objects.contains_key(&id.into()) {
            true => Ok(()),
            false => Err(entry.error(EntryErrorKind::Unexpected)),
        }
    }

    /// Takes in a dirtree or dirmeta whose checksum was verified.
    fn meta(&mut self, name: ObjectName, bytes: Vec<u8>) -> Result<()> {
        let kind = if name.kind == ObjectType::DirTree {
            let news = name_children(&mut self.objects, &name, &bytes)?;
            self.look_behind(news)?;
            MetaKind::DirTree
        } else {
            MetaKind::DirMeta
        };
        let txn = self.txn;
        self.pool.submit(bytes.len() as u64, move || Ok(txn.write_meta(kind, &bytes).map(drop)?))
    }

    /// After the last entry: metadata that was not in the stream has to be in the store.
    fn finish(mut self) -> Result<ImportedCommit> {
        let xattrs = self.content.finish()?;
        let Some(head) = self.head.take() else { return Err(Error::Content(ContentErrorKind::NoCommit)) };
        if !self.decided {
            verify(self.options, &head)?;
            self.objects.insert(head.root.tree.into(), Seen::Named);
            self.objects.insert(head.root.meta.into(), Seen::Named);
        }
        complete_metadata(&mut self.objects, self.txn, self.ctx)?;
        let mut objects = std::mem::take(&mut self.objects);
        objects.retain(|name, _| name.kind == ObjectType::File);
        let files = objects.keys().map(|name| FileId::new(name.checksum)).collect();
        objects.retain(|_, seen| *seen == Seen::Named);
        let elsewhere: HashSet<_> = objects.keys().map(|name| FileId::new(name.checksum)).collect();
        drop(objects);
        let was_there =
            self.txn.contains(&head.id.into())? && self.txn.completeness(&head.id)? == Completeness::Complete;
        // Before it is there: whoever takes over what is left shall know.
        if !was_there && !elsewhere.is_empty() {
            self.txn.set_partial(&head.id, Completeness::Partial)?;
        }
        self.txn.write_meta(MetaKind::Commit, &head.commit)?;
        if let Some((_, dict)) = &head.detached {
            self.txn.set_detached(&head.id, dict)?;
        }
        Ok(ImportedCommit { commit: head.id, files, elsewhere, xattrs })
    }
}

fn verify(options: &ImportOptions<'_>, head: &Head) -> Result<()> {
    let Some(voucher) = options.voucher else { return Ok(()) };
    let detached = head.detached.as_ref().map(|(bytes, _)| &**bytes);
    Ok(require_voucher(voucher, &CommitBytes { id: head.id, bytes: &head.commit, detached })?)
}

/// Notes what a dirtree names; returns what was not named before.
fn name_children(
    objects: &mut HashMap<ObjectName, Seen>,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<Vec<ObjectName>> {
    let tree = DirTreeRef::parse(bytes).map_err(store::Error::corrupt(*name))?;
    let files = tree.files().map(|(_, file)| file.into());
    let dirs = tree.dirs().flat_map(|(_, dir)| [dir.tree.into(), dir.meta.into()]);
    let mut news = Vec::new();
    for child in files.chain(dirs) {
        objects.entry(child).or_insert_with(|| {
            news.push(child);
            Seen::Named
        });
    }
    Ok(news)
}

fn is_metadata(name: &ObjectName) -> bool {
    matches!(name.kind, ObjectType::DirTree | ObjectType::DirMeta)
}

/// Looks in the store for the metadata that was named only, and for what it names in turn.
fn complete_metadata(objects: &mut HashMap<ObjectName, Seen>, store: &dyn Txn, ctx: &Ctx) -> Result<()> {
    let mut missing: Option<(ObjectName, usize)> = None;
    let named = objects.iter().filter(|(name, seen)| is_metadata(name) && **seen == Seen::Named);
    let mut todo: Vec<_> = named.map(|(name, _)| *name).collect();
    while let Some(name) = todo.pop() {
        ctx.cancel.check()?;
        match store.read_meta(&name)? {
            Some(bytes) if name.kind == ObjectType::DirTree => {
                let news = name_children(objects, &name, &bytes)?;
                todo.extend(news.into_iter().filter(is_metadata));
            }
            Some(_) => {}
            None => {
                let (first, n) = missing.unwrap_or((name, 0));
                missing = Some((first.min(name), n + 1));
            }
        }
    }
    match missing {
        None => Ok(()),
        Some((name, n)) => Err(Error::Content(ContentErrorKind::Incomplete(name, n))),
    }
}
