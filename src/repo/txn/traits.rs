//! A transaction as a store: it sees what is staged and what is committed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use ostree_format::variant::Dict;
use ostree_format::{
    Checksum, CollectionId, CommitId, FileHeader, FileId, MAX_METADATA_BYTES, MetaKind, ObjectName,
    ObjectType, RefName, RefSpec, RepoMode,
};

use super::super::read::{loose_in, read_meta_in};
use super::super::staging::{Staging, Takeover};
use super::super::sys::{self, Linked};
use super::super::{Repo, object, refs};
use super::Transaction;
use super::names::add;
use crate::base::{Cancel, Ctx, PartialFiles};
use crate::store::{
    ArchivedFile, Begin, ClonedContent, Completeness, Error, FileObject, HashedFile, Hints, LooseFile,
    ObjectRead, ObjectWrite, OpenTxn, Refs, Result, Txn, check_new_ref, validate_meta,
};

impl ObjectRead for Transaction<'_> {
    fn contains(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.written.contains(name) || self.repo.contains(name)?)
    }

    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        // Detached metadata that an earlier transaction staged give way to the repository's own, which others may
        // have changed since then.
        if name.kind == ObjectType::CommitMeta
            && !self.pending().detached.contains(&CommitId::new(name.checksum))
            && let Some(bytes) = self.repo.read_meta(name)?
        {
            return Ok(Some(bytes));
        }
        if let Some(staged) = self.staged(name)
            && let Some(bytes) = read_meta_in(staged, name, self.repo.mode())?
        {
            return Ok(Some(bytes));
        }
        self.repo.read_meta(name)
    }

    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>> {
        if let Some(staged) = self.staged(&(*id).into())
            && let Some(file) = self.repo.format.open(staged, id)?
        {
            return Ok(Some(file));
        }
        self.repo.open_file(id)
    }

    fn loose_file(&self, id: &FileId) -> Option<LooseFile<'_>> {
        match self.staged(&(*id).into()) {
            Some(staged) => Some(loose_in(staged, &(*id).into(), self.repo.mode())),
            None => self.repo.loose_file(id),
        }
    }

    fn loose_meta(&self, name: &ObjectName) -> Option<LooseFile<'_>> {
        match self.staged(name) {
            Some(staged) => Some(loose_in(staged, name, self.repo.mode())),
            None => self.repo.loose_meta(name),
        }
    }
}

impl Transaction<'_> {
    /// Writes a metadata object under a name, by a hard link to `from` where that is possible.
    fn put_meta(
        &self,
        kind: MetaKind,
        checksum: Checksum,
        bytes: &[u8],
        from: Option<&LooseFile<'_>>,
    ) -> Result<Checksum> {
        add(&self.counters.metadata_total, 1);
        let name = ObjectName::new(checksum, kind.into());
        if self.is_stored(&name)? {
            return Ok(checksum);
        }
        if bytes.len() as u64 > MAX_METADATA_BYTES {
            return Err(Error::Unsupported(format!("{name} is larger than {MAX_METADATA_BYTES} bytes")));
        }
        validate_meta(kind, &name, bytes)?;
        let sink = self.sink()?;
        let linked = match from {
            Some(from) if self.has_same_owner(from)? => {
                object::link_meta(&sink, self.repo.mode(), &name, from)?
            }
            _ => false,
        };
        let write = || object::write_meta(&sink, self.repo.mode(), &name, bytes);
        if linked || write().map_err(|error| error.wanting(bytes.len() as u64))? == Linked::New {
            add(&self.counters.metadata_written, 1);
        }
        self.written.insert(name);
        if kind == MetaKind::Commit {
            // It lives again.
            self.repo.unlink_object(&ObjectName::new(checksum, ObjectType::TombstoneCommit))?;
        }
        Ok(checksum)
    }

    /// Whether the owner of another repository is that of this one: nobody else may change a file that
    /// both share.
    fn has_same_owner(&self, from: &LooseFile<'_>) -> Result<bool> {
        let theirs = sys::lstat(from.dir, ".").map_err(|e| Error::at(from.dir, "stat", ".", e))?;
        Ok(theirs.is_some_and(|stat| stat.st_uid == self.owner_uid))
    }
}

impl ObjectWrite for Transaction<'_> {
    fn write_meta(&self, kind: MetaKind, bytes: &[u8]) -> Result<Checksum> {
        self.put_meta(kind, Checksum::of(bytes), bytes, None)
    }

    fn link_meta(&self, kind: MetaKind, bytes: &[u8], from: &LooseFile<'_>) -> Result<Checksum> {
        self.put_meta(kind, Checksum::of(bytes), bytes, Some(from))
    }

    fn take_meta(
        &self,
        kind: MetaKind,
        checksum: &Checksum,
        bytes: &[u8],
        from: Option<&LooseFile<'_>>,
    ) -> Result<()> {
        self.put_meta(kind, *checksum, bytes, from).map(drop)
    }

    fn write_file(&self, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<FileId> {
        self.write_checked(None, header, len, content)
    }

    fn clone_content(&self, content: &File) -> Result<Option<ClonedContent>> {
        if self.repo.mode() == RepoMode::Archive || !self.shares_blocks() {
            return Ok(None);
        }
        Ok(object::clone_content(&self.sink()?, content))
    }

    fn write_cloned(
        &self,
        header: &FileHeader,
        len: u64,
        content: ClonedContent,
        cancel: &Cancel,
    ) -> Result<FileId> {
        self.write_shared(header, len, content, cancel)
    }

    fn write_file_as(
        &self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.write_checked(Some(id), header, len, content).map(drop)
    }

    fn take_file(&self, id: &FileId, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<()> {
        self.write_believed(id, header, len, content)
    }

    fn write_hashed(&self, file: &HashedFile) -> Result<()> {
        add(&self.counters.content_total, 1);
        self.write_known(file)
    }

    fn write_archived(&self, id: &FileId, file: ArchivedFile, cancel: &Cancel) -> Result<bool> {
        self.pass_on(id, file, cancel)
    }

    fn link_file(&self, id: &FileId, from: &LooseFile<'_>) -> Result<bool> {
        let name = ObjectName::from(*id);
        if from.mode != self.repo.mode() || !self.has_same_owner(from)? {
            return Ok(false);
        }
        if self.is_stored(&name)? {
            add(&self.counters.content_total, 1);
            return Ok(true);
        }
        if !object::link_loose(&self.sink()?, &*self.repo.format, id, from)? {
            return Ok(false);
        }
        add(&self.counters.content_total, 1);
        add(&self.counters.content_written, 1);
        self.written.insert(name);
        Ok(true)
    }
}

impl Refs for Transaction<'_> {
    fn resolve(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        let pending = self.pending().refs.get(refspec).copied();
        pending.map_or_else(|| self.repo.resolve(refspec), Ok)
    }

    fn resolve_exact(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        let pending = self.pending().refs.get(refspec).copied();
        pending.map_or_else(|| self.repo.resolve_exact(refspec), Ok)
    }

    fn list(&self) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = self.repo.list()?;
        for (refspec, target) in &self.pending().refs {
            match target {
                Some(id) => out.insert(refspec.clone(), *id),
                None => out.remove(refspec),
            };
        }
        Ok(out)
    }

    fn commits_with_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        let mut out = self.repo.commits_with_prefix(digits)?;
        if let Some(staging) = &self.staging {
            out.extend(refs::commits_in(&staging.objects, self.repo.mode(), digits)?);
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }
}

impl Begin for Repo {
    fn begin(&self, ctx: &Ctx) -> Result<Box<dyn OpenTxn + '_>> {
        Ok(Box::new(Self::begin(self, ctx)?))
    }

    fn resume(&self, ctx: &Ctx) -> Result<Box<dyn OpenTxn + '_>> {
        Ok(Box::new(Transaction::begin(self, Takeover::Journaled, ctx)?))
    }
}

impl OpenTxn for Transaction<'_> {
    fn commit(self: Box<Self>, ctx: &Ctx) -> Result<()> {
        Transaction::commit(*self, ctx).map(drop)
    }

    fn suspend(self: Box<Self>) {
        Transaction::suspend(*self);
    }
}

impl Txn for Transaction<'_> {
    fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()> {
        if target.is_some() {
            check_new_ref(refspec)?;
        }
        self.pending().refs.insert(refspec.clone(), target);
        Ok(())
    }

    fn set_collection_ref(&self, id: &CollectionId, name: &RefName, target: Option<CommitId>) -> Result<()> {
        Transaction::set_collection_ref(self, id, name, target)
    }

    fn set_detached(&self, commit: &CommitId, metadata: &Dict) -> Result<()> {
        let name = ObjectName::commitmeta(commit);
        object::replace_meta(&self.sink()?, self.repo.mode(), &name, &metadata.to_bytes())?;
        self.written.insert(name);
        self.pending().detached.insert(*commit);
        Ok(())
    }

    fn leave_tombstone(&self, commit: &CommitId) -> Result<()> {
        self.repo.write_tombstone(commit)
    }

    fn set_partial(&self, commit: &CommitId, state: Completeness) -> Result<()> {
        if state == Completeness::Complete {
            self.pending().complete.insert(*commit);
            return Ok(());
        }
        let mut pending = self.pending();
        pending.complete.remove(commit);
        if self.repo.completeness(commit)? == Completeness::Complete
            && !self.repo.contains(&(*commit).into())?
        {
            pending.newly_partial.insert(*commit);
        }
        drop(pending);
        self.repo.set_partial(commit, state)
    }

    fn completeness(&self, commit: &CommitId) -> Result<Completeness> {
        match self.pending().complete.contains(commit) {
            true => Ok(Completeness::Complete),
            false => self.repo.completeness(commit),
        }
    }

    fn hints(&self) -> Option<&dyn Hints> {
        Some(self)
    }
}

impl Hints for Transaction<'_> {
    fn cached(&self, name: &'static str) -> Option<Vec<u8>> {
        let pending = self.pending().cached.get(name).cloned();
        pending.or_else(|| self.repo.read_cached(name))
    }

    fn set_cached(&self, name: &'static str, bytes: Vec<u8>) {
        self.pending().cached.insert(name, bytes);
    }

    fn journal(&self) -> Vec<u8> {
        self.staging.as_ref().map(Staging::journal).unwrap_or_default()
    }

    fn add_to_journal(&self, line: &str) {
        if let Some(staging) = &self.staging {
            staging.add_to_journal(line);
        }
    }

    fn partial_files(&self) -> Option<PartialFiles> {
        let (dir, room) = (self.repo.dir().open_dir("tmp").ok()?, self.repo.room().ok()?);
        let room = move |bytes| room(bytes).map_err(Error::into_io);
        Some(PartialFiles::new(Arc::new(dir), Arc::new(room)))
    }
}
