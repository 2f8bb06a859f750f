//! A store in memory, for tests and for trees that are never kept.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostree_format::variant::Dict;
use ostree_format::{
    Checksum, Commit, CommitId, DirMeta, DirTreeRef, FileHeader, FileId, MetaKind, ObjectName, ObjectType,
    RefSpec,
};

use super::{
    Begin, Completeness, Content, Error, FileObject, ObjectRead, ObjectWrite, OpenTxn, Refs, Result, Txn,
};
use crate::base::Ctx;

/// Keeps everything in memory; changes are visible at once. Clones share what they keep.
#[derive(Debug, Clone, Default)]
pub struct MemStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    meta: BTreeMap<ObjectName, Vec<u8>>,
    files: BTreeMap<FileId, (FileHeader, Vec<u8>)>,
    refs: BTreeMap<RefSpec, CommitId>,
    partial: BTreeMap<CommitId, Completeness>,
}

impl MemStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is one insert or remove, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that `bytes` are a valid object of `kind`, and names it.
pub(crate) fn check_meta(kind: MetaKind, bytes: &[u8]) -> Result<ObjectName> {
    let name = ObjectName::new(Checksum::of(bytes), kind.into());
    validate_meta(kind, &name, bytes)?;
    Ok(name)
}

/// Checks that the bytes of `name` are a valid object of `kind`.
pub(crate) fn validate_meta(kind: MetaKind, name: &ObjectName, bytes: &[u8]) -> Result<()> {
    match kind {
        MetaKind::Commit => Commit::parse(bytes).map(drop),
        MetaKind::DirTree => DirTreeRef::parse(bytes).map(drop),
        MetaKind::DirMeta => DirMeta::parse(bytes).map(drop),
    }
    .map_err(Error::corrupt(*name))
}

impl ObjectRead for MemStore {
    fn contains(&self, name: &ObjectName) -> Result<bool> {
        let inner = self.lock();
        Ok(match name.kind {
            ObjectType::File => inner.files.contains_key(&FileId::new(name.checksum)),
            _ => inner.meta.contains_key(name),
        })
    }

    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        Ok(self.lock().meta.get(name).cloned())
    }

    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>> {
        Ok(self.lock().files.get(id).map(|(header, content)| FileObject {
            header: header.clone(),
            len: content.len() as u64,
            content: Content::Stream(Box::new(Cursor::new(content.clone()))),
        }))
    }
}

impl ObjectWrite for MemStore {
    fn write_meta(&self, kind: MetaKind, bytes: &[u8]) -> Result<Checksum> {
        let name = check_meta(kind, bytes)?;
        self.lock().meta.insert(name, bytes.to_vec());
        Ok(name.checksum)
    }

    fn write_file(&self, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<FileId> {
        self.put_file(None, header, len, content)
    }

    fn write_file_as(
        &self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.put_file(Some(id), header, len, content).map(drop)
    }
}

impl MemStore {
    fn put_file(
        &self,
        expected: Option<&FileId>,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<FileId> {
        let mut bytes = Vec::new();
        let read = |source| Error::Read { what: "file content".into(), source };
        content.take(len.saturating_add(1)).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 != len {
            let why = format!("expected {len} bytes, got {} or more", bytes.len());
            return Err(read(std::io::Error::new(std::io::ErrorKind::InvalidData, why)));
        }
        let id = header.id_with(&bytes);
        if let Some(expected) = expected.filter(|expected| **expected != id) {
            return Err(Error::Mismatch { expected: (*expected).into(), actual: *id.checksum() });
        }
        self.lock().files.insert(id, (header.clone(), bytes));
        Ok(id)
    }
}

impl Refs for MemStore {
    fn resolve(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        Ok(self.lock().refs.get(refspec).copied())
    }

    fn list(&self) -> Result<BTreeMap<RefSpec, CommitId>> {
        Ok(self.lock().refs.clone())
    }

    fn commits_with_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        let inner = self.lock();
        let commits = inner.meta.keys().filter(|name| name.kind == ObjectType::Commit);
        let fitting = commits.filter(|name| name.checksum.hex().as_str().starts_with(digits));
        Ok(fitting.map(|name| CommitId::new(name.checksum)).collect())
    }
}

impl Begin for MemStore {
    /// The store itself: nothing is rolled back.
    fn begin(&self, _: &Ctx) -> Result<Box<dyn OpenTxn + '_>> {
        Ok(Box::new(self.clone()))
    }
}

impl OpenTxn for MemStore {
    fn commit(self: Box<Self>, _: &Ctx) -> Result<()> {
        Ok(())
    }

    fn suspend(self: Box<Self>) {}
}

impl Txn for MemStore {
    fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()> {
        let mut inner = self.lock();
        match target {
            Some(id) => inner.refs.insert(refspec.clone(), id),
            None => inner.refs.remove(refspec),
        };
        Ok(())
    }

    fn set_detached(&self, commit: &CommitId, metadata: &Dict) -> Result<()> {
        let name = ObjectName::commitmeta(commit);
        let mut inner = self.lock();
        match metadata.is_empty() {
            true => inner.meta.remove(&name),
            false => inner.meta.insert(name, metadata.to_bytes()),
        };
        Ok(())
    }

    fn set_partial(&self, commit: &CommitId, state: Completeness) -> Result<()> {
        self.lock().partial.insert(*commit, state);
        Ok(())
    }

    fn completeness(&self, commit: &CommitId) -> Result<Completeness> {
        Ok(self.lock().partial.get(commit).copied().unwrap_or(Completeness::Complete))
    }
}
