//! A stream that holds a commit, entry by entry.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use ostree_format::variant::Dict;
use ostree_format::{Commit, CommitId, FileId, MetaKind, ObjectName, ObjectType, RootDir};

use super::super::content::{ContentWriter, POOL_BYTES, SmallFiles, read_meta};
use super::super::entry::TarEntry;
use super::super::error::{ContentErrorKind, EntryErrorKind, Error, Result};
use super::super::layout::EntryRole;
use super::super::reader::Reader;
use super::named::{Seen, complete_metadata, is_metadata, name_children};
use super::{ImportOptions, ImportedCommit, StreamHolds};
use crate::base::{Ctx, Pool, with_pool};
use crate::store::{self, CommitBytes, Completeness, Txn, require_voucher};

pub(super) fn read_commit(
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
            content: ContentWriter::new(txn, pool, &small, options.clones, ctx),
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
