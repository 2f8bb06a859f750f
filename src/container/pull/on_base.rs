//! Pulls a commit that lies on the layers of a base: see [`build_on_base`](crate::container::build::build_on_base).
//!
//! ```text
//! last layer ► signature ► commit, metadata, xattrs of everything, content that the base lacks
//!              └ what is missing now? ► layers of the base, from the highest down, until it is nothing
//!                                       entry at a path that wants an object ► its checksum ► object
//! ```
//! Layers of the base are fetched only while objects are missing: a newer commit on the same base needs none; and of a
//! zstd:chunked layer only the files are fetched that may be what is missing. A damaged layer is not the end, but a missing
//! object is: then both are named.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use ostree_format::{CommitId, FileId};

use super::by_delta::Deltas;
use super::fetch::objects_only;
use super::objectwise::read_wanted;
use super::options::Vouching;
use crate::base::{Ctx, ErrorKind, Item, Kind};
use crate::container::blob::read_objects;
use crate::container::image::{CommitOnBase, DiffId, Digest, Error, ImageLayer, Result};
use crate::container::store::{Fetched, PulledLayer, Way, WhyWhole, is_whole};
use crate::container::trust::Admitted;
use crate::store::{self, Completeness, Txn, Voucher, vouch_stored};
use crate::tar::{
    BaseSearch, ImportOptions, ImportedCommit, StreamHolds, WantedFiles, check_complete, import_commit_layer,
};

/// Takes the commit in, with everything that belongs to it; tells of every layer, lowest first, what was fetched for it.
pub(super) fn take_on_base(
    txn: &dyn Txn,
    source: &Admitted<'_>,
    image: &CommitOnBase,
    vouching: Vouching<'_>,
    ctx: &Ctx,
) -> Result<Vec<PulledLayer>> {
    let voucher = vouching.decided(source)?;
    let bytes = image.base.iter().chain([&image.top]).map(|layer| layer.descriptor.size()).sum();
    ctx.phase("Pulling image", None, Some(bytes));
    let mut fetched = HashMap::new();
    if !is_here(txn, &image.commit, voucher)? {
        let (imported, top) = fetch_top(txn, source, image, voucher, ctx)?;
        fetched.insert(image.top.diff_id, top);
        let missing = missing(txn, &imported)?;
        let base = Base { txn, source, image, missing, fetched: &mut fetched, ctx };
        base.find(&imported)?;
        check_complete(txn, &image.commit)?;
    }
    if txn.completeness(&image.commit)? != Completeness::Complete {
        txn.set_partial(&image.commit, Completeness::Complete)?;
    }
    let report = |layer: &ImageLayer| {
        let digest = Digest::of_descriptor(&layer.descriptor)?;
        let Fetched { bytes, way } = fetched.get(&layer.diff_id).copied().unwrap_or_else(|| {
            ctx.bytes_done(layer.descriptor.size());
            Item::reused(ctx, digest.to_string(), layer.descriptor.size());
            Fetched { bytes: 0, way: Way::Reused }
        });
        Ok(PulledLayer { digest, bytes, way })
    };
    image.base.iter().chain([&image.top]).map(report).collect()
}

/// Whether the store has the whole commit, and it is vouched for. If it is not, the image may bring a signature that
/// the store lacks.
fn is_here(txn: &dyn Txn, commit: &CommitId, voucher: Option<&dyn Voucher>) -> Result<bool> {
    if !txn.contains(&(*commit).into())? || !is_whole(txn, commit)? {
        return Ok(false);
    }
    match voucher.map_or(Ok(()), |voucher| vouch_stored(txn, commit, voucher)) {
        Err(store::Error::Refused { .. }) => Ok(false),
        vouched => Ok(vouched.map(|()| true)?),
    }
}

/// Fetches the layer with the commit, or a delta that makes it.
fn fetch_top(
    txn: &dyn Txn,
    source: &Admitted<'_>,
    image: &CommitOnBase,
    voucher: Option<&dyn Voucher>,
    ctx: &Ctx,
) -> Result<(ImportedCommit, Fetched)> {
    let objects = objects_only(ctx);
    let mut import = |stream: &mut dyn Read| {
        let import = ImportOptions { voucher, holds: StreamHolds::WhatIsNotInBase, clones: None };
        Ok(import_commit_layer(stream, txn, &import, &objects)?)
    };
    let deltas = Deltas::new(source, source.image()?, txn);
    let by_delta = match deltas.of(&image.top)? {
        Some(delta) => deltas.read(&delta, &image.top, 0, ctx, &mut import)?,
        None => None,
    };
    let (imported, fetched) = match by_delta {
        Some(read) => read,
        None => {
            let imported = read_objects(source, &image.top.descriptor, ctx, import)?;
            (imported, whole(&image.top, WhyWhole::OnBase))
        }
    };
    match imported.commit == image.commit {
        true => Ok((imported, fetched)),
        false => Err(Error::Image(format!(
            "the labels promise commit {}, the image holds {}",
            image.commit, imported.commit
        ))),
    }
}

/// A layer that was fetched as a whole.
fn whole(layer: &ImageLayer, why: WhyWhole) -> Fetched {
    Fetched { bytes: layer.descriptor.size(), way: Way::Whole(why) }
}

/// The objects that are neither in the layer with the commit nor in the store.
fn missing(txn: &dyn Txn, imported: &ImportedCommit) -> Result<HashSet<FileId>> {
    let mut missing = HashSet::new();
    for id in &imported.elsewhere {
        if !txn.contains(&(*id).into())? {
            missing.insert(*id);
        }
    }
    Ok(missing)
}

/// The base of an image that is pulled.
struct Base<'a> {
    txn: &'a dyn Txn,
    source: &'a Admitted<'a>,
    image: &'a CommitOnBase,
    missing: HashSet<FileId>,
    fetched: &'a mut HashMap<DiffId, Fetched>,
    ctx: &'a Ctx,
}

impl Base<'_> {
    /// Finds everything that is missing.
    fn find(mut self, imported: &ImportedCommit) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let xattrs = imported.xattrs.clone();
        let is_missing = |id: &FileId| self.missing.contains(id);
        let wanted = WantedFiles::of_commit(self.txn, &imported.commit, is_missing, xattrs)?;
        let search = BaseSearch::new(&wanted, Some(self.txn));
        let mut damaged = None;
        let mut in_parts = Vec::new();
        for layer in self.image.base.iter().rev() {
            if self.missing.is_empty() {
                break;
            }
            match self.parts(layer, &search, &wanted)? {
                Ok(()) => in_parts.push(layer),
                Err(why) => self.whole(layer, why, &search, &mut damaged)?,
            }
            self.missing.retain(|id| !search.found(id));
        }
        // Tables may have kept silent about something.
        for layer in in_parts {
            if !self.missing.is_empty() {
                self.whole(layer, WhyWhole::WrongTable, &search, &mut damaged)?;
                self.missing.retain(|id| !search.found(id));
            }
        }
        match (wanted.iter().filter(|(_, id)| self.missing.contains(*id)).min(), damaged) {
            (Some((path, id)), damaged) => {
                let (path, source) = (path.to_owned(), damaged.map(Box::new));
                Err(Error::NotInBase { path, object: *id, source })
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(()),
        }
    }

    /// Looks into the files of a layer that may be wanted, if they can be fetched alone; or says why not.
    fn parts(
        &mut self,
        layer: &ImageLayer,
        search: &BaseSearch<'_>,
        wanted: &WantedFiles,
    ) -> Result<Result<(), WhyWhole>> {
        let objects = objects_only(self.ctx);
        let is_missing = |id: &FileId| self.missing.contains(id) && !search.found(id);
        let read = read_wanted(self.source, layer, wanted, &is_missing, self.ctx, &mut |stream| {
            Ok(search.read_layer(stream, &mut |_, _, _| Ok(()), &objects)?)
        })?;
        if let Ok(fetched) = &read {
            self.fetched.insert(layer.diff_id, *fetched);
        }
        Ok(read.map(drop))
    }

    /// Looks into a whole layer. That it is damaged is noted.
    fn whole(
        &mut self,
        layer: &ImageLayer,
        why: WhyWhole,
        search: &BaseSearch<'_>,
        damaged: &mut Option<Error>,
    ) -> Result<()> {
        self.fetched.insert(layer.diff_id, whole(layer, why));
        let objects = objects_only(self.ctx);
        let read = read_objects(self.source, &layer.descriptor, self.ctx, |stream| {
            Ok(search.read_layer(stream, &mut |_, _, _| Ok(()), &objects)?)
        });
        match read {
            Err(error) if is_damage(&error) => {
                damaged.get_or_insert(error);
                Ok(())
            }
            read => read,
        }
    }
}

/// Whether an error says that a layer is not what it was.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Layer { .. }) || error.kind() == ErrorKind::Damaged
}
