//! Static deltas of a remote: found, fetched and applied before objects are fetched one by one.
//!
//! ```text
//! summary, index of the commit ► deltas to it ► one that starts from a commit which is here, the newest of these
//! superblock, verified by the checksum there ► parts, several ahead ► delta::apply ► walk: what is left
//! ```
//! Source: libostree ostree-repo-pull.c:2130-2480, 3240-3430.

mod files;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use ostree_format::delta::{DeltaName, Superblock};
use ostree_format::keyfile::KeyFile;
use ostree_format::variant::{Dict, Value};
use ostree_format::{Checksum, CommitId, MAX_METADATA_BYTES, ParseError};

use super::error::{Error, Result};
use super::options::{DeltaStats, DeltaUse, RemoteOptions, RemoteStats};
use super::parts::Part;
use crate::base::io::Spool;
use crate::base::{Ctx, ErrorKind, Kind};
use crate::delta::{self, Head, Sources, needed_parts};
use crate::store::{Completeness, Txn, Voucher, load_commit};
pub(super) use files::DeltaFiles;
use files::{CameSuperblock, PartFiles};

/// The deltas of a remote.
pub(super) struct RemoteDeltas<'a> {
    pub(super) files: DeltaFiles<'a>,
    pub(super) options: &'a RemoteOptions<'a>,
    /// The deltas that the summary names, and the checksums of their superblocks.
    pub(super) known: HashMap<DeltaName, Checksum>,
    /// Whether commits have indexes of the deltas that lead to them.
    pub(super) has_indexes: bool,
    /// Indexes and superblocks that came, and their bytes; not yet in anybody's statistics.
    pub(super) small_files: u64,
    pub(super) small_bytes: u64,
}

/// A commit that is wanted.
pub(super) struct Target {
    pub(super) commit: CommitId,
    /// The ref that it is wanted for, and what that names here.
    pub(super) name: Option<String>,
    pub(super) before: Option<CommitId>,
}

/// A delta that is to be applied.
struct Found {
    head: Head,
    /// What its superblock is kept in, if it is large.
    kept: Option<Arc<Part>>,
}

impl RemoteDeltas<'_> {
    /// Applies a delta to `target`, if there is one that helps.
    pub(super) fn apply(
        &mut self,
        target: &Target,
        txn: &dyn Txn,
        voucher: &dyn Voucher,
        spool: &Spool<'_>,
        stats: &mut RemoteStats,
        ctx: &Ctx,
    ) -> Result<()> {
        let found = self.find(target, txn, ctx)?;
        stats.metadata_fetched += mem::take(&mut self.small_files);
        stats.moved_bytes += mem::take(&mut self.small_bytes);
        let Some(Found { head, kept }) = found else { return Ok(()) };
        let block = &head.superblock;
        let done_before = stats.deltas.parts_done;
        count(block, txn, &mut stats.deltas)?;
        let needed = needed_parts(block, txn)?;
        let parts = PartFiles::new(&self.files, block, needed, self.options.parts.clone(), ctx);
        let part = |number| parts.part(number);
        let sources = Sources { part: &part, old: txn, voucher: Some(voucher), spool };
        let applied = delta::apply(&head, &sources, txn, ctx);
        stats.moved_bytes += parts.moved_bytes();
        let remove = || {
            parts.remove();
            kept.iter().for_each(|superblock| superblock.remove());
        };
        match applied {
            Ok(applied) => {
                remove();
                let done = block.parts.len() + block.fallbacks.len() - applied.missing.len();
                stats.deltas.parts_done = done_before + done as u64;
                stats.deltas.content_bytes += applied.content_bytes;
                Ok(())
            }
            Err(error) => {
                // What is damaged is of no use to a later pull either.
                if error.kind() == ErrorKind::Damaged {
                    remove();
                }
                Err(parts.into_error().unwrap_or_else(|| error.into()))
            }
        }
    }

    /// Says what a delta to `target` would bring.
    pub(super) fn look(
        &mut self,
        target: &Target,
        txn: &dyn Txn,
        stats: &mut DeltaStats,
        ctx: &Ctx,
    ) -> Result<()> {
        match self.find(target, txn, ctx)? {
            Some(found) => {
                found.kept.iter().for_each(|superblock| superblock.remove());
                count(&found.head.superblock, txn, stats)
            }
            None => Ok(()),
        }
    }

    /// The superblock of the best delta to `target`, if one is needed and there.
    fn find(&mut self, target: &Target, txn: &dyn Txn, ctx: &Ctx) -> Result<Option<Found>> {
        let to = target.commit;
        if txn.contains(&to.into())? && txn.completeness(&to)? == Completeness::Complete {
            return Ok(None);
        }
        if self.has_indexes {
            self.read_index(&to, ctx)?;
        }
        let deltas = self.options.deltas;
        let none = || match deltas {
            DeltaUse::Required => Err(Error::NoDelta { from: target.name.clone().unwrap_or_default(), to }),
            DeltaUse::IfThere | DeltaUse::Never => Ok(None),
        };
        let name = match self.newest_start(&to, txn)? {
            Some(from) => DeltaName { from: Some(from), to },
            None => DeltaName { from: None, to },
        };
        let Some(expected) = self.known.get(&name) else { return none() };
        // Who has an earlier commit of the ref needs less than all of the objects.
        if name.from.is_none() && target.before.is_some() {
            return Ok(None);
        }
        let came = self.files.superblock(&name.superblock_path(), expected, self.options, ctx)?;
        let Some(CameSuperblock { file, kept, moved_bytes }) = came else { return none() };
        let is_right = file.checksum(&ctx.cancel)? == *expected;
        (self.small_files, self.small_bytes) = (self.small_files + 1, self.small_bytes + moved_bytes);
        if !is_right {
            kept.iter().for_each(|superblock| superblock.remove());
            return Err(Error::WrongDelta(name));
        }
        let head = delta::read_head(file, None)?;
        let found = head.superblock.name();
        if found != name {
            kept.iter().for_each(|superblock| superblock.remove());
            return Err(Error::OtherDelta { expected: name, found: Box::new(found) });
        }
        tracing::debug!(%name, "static delta found");
        Ok(Some(Found { head, kept }))
    }

    /// A file that tells of deltas, if it is there.
    fn small(&mut self, path: &str, ctx: &Ctx) -> Result<Option<Vec<u8>>> {
        let came = self.files.small(path, MAX_METADATA_BYTES, ctx)?;
        if let Some(bytes) = &came {
            self.small_files += 1;
            self.small_bytes += bytes.len() as u64;
        }
        Ok(came)
    }

    /// The newest complete commit here from which a delta leads to `to`.
    fn newest_start(&self, to: &CommitId, txn: &dyn Txn) -> Result<Option<CommitId>> {
        let mut newest: Option<(u64, CommitId)> = None;
        for from in self.known.keys().filter(|name| name.to == *to).filter_map(|name| name.from) {
            if !txn.contains(&from.into())? || txn.completeness(&from)? != Completeness::Complete {
                continue;
            }
            newest = newest.max(Some((load_commit(txn, &from)?.timestamp, from)));
        }
        Ok(newest.map(|(_, from)| from))
    }

    /// Learns of the deltas in the index of a commit, if there is one. What cannot be read is none, as for C ostree: some
    /// servers answer with a page, and the status 200, for every file that they lack.
    fn read_index(&mut self, to: &CommitId, ctx: &Ctx) -> Result<()> {
        let name = to.checksum().to_base64();
        let path = format!("delta-indexes/{}/{}.index", &name[..2], &name[2..]);
        let Some(bytes) = self.small(&path, ctx)? else { return Ok(()) };
        match deltas_in(&bytes) {
            Ok(deltas) => self.known.extend(deltas),
            Err(error) => tracing::debug!(path, %error, "not an index of static deltas"),
        }
        Ok(())
    }
}

/// The deltas in an index, and the digests of their superblocks.
fn deltas_in(index: &[u8]) -> std::result::Result<Vec<(DeltaName, Checksum)>, ParseError> {
    let deltas = Dict::parse(index)?.get_dict("ostree.static-deltas")?.unwrap_or_default();
    let mut known = Vec::new();
    for (name, digest) in deltas {
        if let (Ok(name), Value::Bytes(digest)) = (name.parse(), digest) {
            known.push((name, Checksum::from_slice("static delta", 0, &digest)?));
        }
    }
    Ok(known)
}

/// Whether the config of a remote says that commits have indexes of deltas.
pub(super) fn has_indexes(config: &[u8]) -> bool {
    let config = KeyFile::parse(config).ok();
    config.and_then(|config| config.get_bool("core", "indexed-deltas").ok().flatten()).unwrap_or(false)
}

/// Counts what a delta says that it holds, and what of it is here.
fn count(block: &Superblock, txn: &dyn Txn, stats: &mut DeltaStats) -> Result<()> {
    let add = |sum: &mut u64, bytes: u64| *sum = sum.saturating_add(bytes);
    stats.parts += (block.parts.len() + block.fallbacks.len()) as u64;
    for entry in &block.parts {
        add(&mut stats.bytes, entry.file_bytes);
        add(&mut stats.unpacked_bytes, entry.unpacked_bytes);
        let mut is_here = true;
        for object in &entry.objects {
            is_here &= txn.contains(object)?;
        }
        if is_here {
            stats.parts_done += 1;
            add(&mut stats.bytes_done, entry.file_bytes);
        }
    }
    for fallback in &block.fallbacks {
        add(&mut stats.bytes, fallback.archived_bytes);
        add(&mut stats.unpacked_bytes, fallback.unpacked_bytes);
        if txn.contains(&fallback.object)? {
            add(&mut stats.bytes_done, fallback.archived_bytes);
        }
    }
    Ok(())
}
