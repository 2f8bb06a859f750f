//! Metadata objects, each verified unless the source is believed.

use std::sync::atomic::Ordering;

use ostree_format::{Checksum, MetaKind, ObjectName, ObjectType};

use super::{Counters, Trust};
use crate::base::Ctx;
use crate::store::{Error, ObjectRead, Result, Txn};

/// Copies metadata objects; shared by the threads.
#[derive(Clone, Copy)]
pub(super) struct MetaCopy<'env> {
    pub(super) from: &'env dyn ObjectRead,
    pub(super) txn: &'env dyn Txn,
    pub(super) trust: Trust,
    pub(super) counters: &'env Counters,
    pub(super) ctx: &'env Ctx,
}

impl MetaCopy<'_> {
    /// Copies an object unless the target has it.
    pub(super) fn copy(&self, name: ObjectName, kind: MetaKind) -> Result<()> {
        match self.txn.contains(&name)? {
            true => Ok(()),
            false => self.write(name, kind, &self.load(name)?),
        }
    }

    /// The bytes of an object, which the target has from now on.
    pub(super) fn ensure(&self, name: ObjectName, kind: MetaKind) -> Result<Vec<u8>> {
        if let Some(bytes) = self.txn.read_meta(&name)? {
            return Ok(bytes);
        }
        let bytes = self.load(name)?;
        self.write(name, kind, &bytes)?;
        Ok(bytes)
    }

    /// An object of the source, verified unless that is believed.
    pub(super) fn load(&self, name: ObjectName) -> Result<Vec<u8>> {
        self.ctx.cancel.check()?;
        let bytes = self.from.read_meta(&name)?.ok_or(Error::NotFound(name))?;
        if self.trust == Trust::Source {
            return Ok(bytes);
        }
        let actual = Checksum::of(&bytes);
        match actual == name.checksum {
            true => Ok(bytes),
            false => Err(Error::Mismatch { expected: name, actual }),
        }
    }

    /// Writes an object that was loaded.
    pub(super) fn write(&self, name: ObjectName, kind: MetaKind, bytes: &[u8]) -> Result<()> {
        debug_assert_eq!(ObjectType::from(kind), name.kind);
        match (self.trust, self.from.loose_meta(&name)) {
            (Trust::Source, from) => self.txn.take_meta(kind, &name.checksum, bytes, from.as_ref())?,
            (Trust::Linked, Some(from)) => self.txn.link_meta(kind, bytes, &from).map(drop)?,
            _ => self.txn.write_meta(kind, bytes).map(drop)?,
        }
        self.counters.metadata.fetch_add(1, Ordering::Relaxed);
        self.ctx.object_done(bytes.len() as u64);
        Ok(())
    }
}
