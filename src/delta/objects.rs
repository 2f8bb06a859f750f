//! The objects of one part, made by a pool of threads.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ostree_format::delta::{DeltaOp, DeltaOps};
use ostree_format::{FileHeader, FileId, MAX_METADATA_BYTES, MetaKind, ObjectName, ObjectType};

use super::content::{Assembled, OldObjects, invalid as invalid_data};
use super::damaged;
use super::part::Part;
use crate::base::io::Cancellable;
use crate::base::{Ctx, Pool};
use crate::store::{Error, Result, Txn, verify_meta};

/// Objects that make one job.
const BATCH_OBJECTS: usize = 64;
/// The longest target of a symbolic link.
const MAX_TARGET_BYTES: u64 = 64 * 1024;

/// A part and what its objects are made with.
#[derive(Clone)]
pub(super) struct Work<'env> {
    pub(super) part: Arc<Part>,
    pub(super) objects: &'env [ObjectName],
    pub(super) old: OldObjects<'env>,
    pub(super) txn: &'env dyn Txn,
    /// Bytes of the content of files that were made.
    pub(super) content_bytes: &'env AtomicU64,
    pub(super) ctx: &'env Ctx,
}

/// Splits a part into jobs: the operations of some objects each. An object's operations end where it is whole, and know
/// nothing of those before.
pub(super) fn submit<'env>(pool: &Pool<'env, Error>, work: Work<'env>) -> Result<()> {
    let part = Arc::clone(&work.part);
    let mut ops = DeltaOps::new(part.ops(), work.objects);
    let (mut begin, mut first, mut made) = (0, 0, 0);
    loop {
        let op = ops
            .next()
            .transpose()
            .map_err(|source| Error::Invalid { what: "static delta".into(), source })?;
        let is_whole =
            matches!(op, Some(DeltaOp::SpliceMeta { .. } | DeltaOp::SpliceContent { .. } | DeltaOp::Close));
        made += usize::from(is_whole);
        if (op.is_none() && made > first) || made - first == BATCH_OBJECTS {
            let (work, bytes, objects) = (work.clone(), begin..ops.position(), first..made);
            pool.submit(0, move || work.run(bytes, objects))?;
            (begin, first) = (ops.position(), made);
        }
        if op.is_none() {
            break;
        }
    }
    match made == work.objects.len() {
        true => Ok(()),
        false => {
            Err(damaged("static delta", format!("a part makes {made} of {} objects", work.objects.len())))
        }
    }
}

impl Work<'_> {
    fn run(&self, bytes: Range<usize>, objects: Range<usize>) -> Result<()> {
        let names = &self.objects[objects];
        let mut ops = DeltaOps::new(&self.part.ops()[bytes], names);
        for name in names {
            self.ctx.cancel.check()?;
            let is_there = self.txn.contains(name)?;
            ops = self.object(name, ops, is_there)?;
            self.ctx.object_done(0);
        }
        Ok(())
    }

    /// Makes one object, unless it is there; gives back the operations behind it.
    fn object<'a, 'o>(
        &self,
        name: &ObjectName,
        mut ops: DeltaOps<'a, 'o>,
        is_there: bool,
    ) -> Result<DeltaOps<'a, 'o>> {
        let part = &*self.part;
        let invalid = |source| Error::Invalid { what: "static delta".into(), source };
        let failed = |source| Error::Read { what: format!("{name} from a static delta"), source };
        let unfinished = || damaged("static delta", format!("{name} is not closed"));
        let mut source = None;
        loop {
            match ops.next().ok_or_else(unfinished)?.map_err(invalid)? {
                DeltaOp::SpliceMeta { len, offset } => {
                    if !is_there {
                        let bytes = part.payload(offset, len, MAX_METADATA_BYTES).map_err(failed)?;
                        self.write_meta(name, &bytes)?;
                    }
                    return Ok(ops);
                }
                DeltaOp::SpliceContent { mode, xattrs, len, offset } => {
                    if !is_there {
                        self.splice(name, (mode, xattrs), len, offset)?;
                    }
                    return Ok(ops);
                }
                DeltaOp::SetSource { offset } => source = Some(offset),
                DeltaOp::UnsetSource => source = None,
                DeltaOp::Open { mode, xattrs, len } => {
                    let (rest, most) = after_close(ops.clone()).map_err(invalid)?;
                    if !is_there {
                        require_content(name, len, most)?;
                        let mut content = Assembled::new(part, ops, len, self.old);
                        if let Some(offset) = source {
                            content.set_source(offset).map_err(failed)?;
                        }
                        let no_link = || Err(invalid_data("a symbolic link is not put together"));
                        let header = part.header(mode, xattrs, no_link).map_err(failed)?;
                        self.write_file(name, &header, len, &mut content)?;
                    }
                    return Ok(rest);
                }
                DeltaOp::Write { .. } | DeltaOp::Patch { .. } | DeltaOp::Close => {
                    return Err(damaged("static delta", format!("{name} is not opened")));
                }
            }
        }
    }

    /// Writes an object whose content stands in the payload, or the target of a symbolic link.
    fn splice(&self, name: &ObjectName, mode: (u64, u64), len: u64, offset: u64) -> Result<()> {
        let part = &*self.part;
        let failed = |source| Error::Read { what: format!("{name} from a static delta"), source };
        let target = || part.payload(offset, len, MAX_TARGET_BYTES);
        let header = part.header(mode.0, mode.1, target).map_err(failed)?;
        require_content(name, len, part.payload_bytes().saturating_sub(offset))?;
        let len = if header.symlink_target().is_some() { 0 } else { len };
        self.write_file(name, &header, len, &mut part.content(offset, len))
    }

    fn write_file(
        &self,
        name: &ObjectName,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        if name.kind != ObjectType::File {
            return Err(damaged("static delta", format!("{name} is made as a file")));
        }
        let cancel = &self.ctx.cancel;
        let mut content = Cancellable::new(content, cancel);
        let written = self.txn.write_file_as(&FileId::new(name.checksum), header, len, &mut content);
        written.map_err(|error| match (cancel.check(), error) {
            (Err(cancelled), _) => cancelled.into(),
            (_, Error::Read { source, .. }) => {
                Error::Read { what: format!("{name} from a static delta"), source }
            }
            (_, error) => error,
        })?;
        self.content_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    fn write_meta(&self, name: &ObjectName, bytes: &[u8]) -> Result<()> {
        let kind = match name.kind {
            // Commits stand in superblocks, are judged, and marked as partial until they are whole: another one would count
            // as whole here, without its files.
            ObjectType::DirTree => MetaKind::DirTree,
            ObjectType::DirMeta => MetaKind::DirMeta,
            _ => return Err(damaged("static delta", format!("{name} is no object that a delta can hold"))),
        };
        verify_meta(name, bytes)?;
        self.txn.write_meta(kind, bytes).map(drop)
    }
}

/// Checks that there is as much content as is announced, before room is made for it.
fn require_content(name: &ObjectName, len: u64, most: u64) -> Result<()> {
    match len <= most {
        true => Ok(()),
        false => {
            Err(damaged("static delta", format!("{name} has {len} bytes, but the part gives {most} at most")))
        }
    }
}

/// The operations behind the one that closes the object which is open, and the bytes that those before make at most: a patch
/// holds as many as come out of it.
fn after_close<'a, 'o>(mut ops: DeltaOps<'a, 'o>) -> ostree_format::Result<(DeltaOps<'a, 'o>, u64)> {
    let mut most = 0_u64;
    for op in ops.by_ref() {
        match op? {
            DeltaOp::Close => break,
            DeltaOp::Write { len, .. } | DeltaOp::Patch { len, .. } => most = most.saturating_add(len),
            _ => {}
        }
    }
    Ok((ops, most))
}
