//! Layers that lie somewhere as files: those of a commit's objects, of which what the store has is not read, and others.
//! Where the store can share their blocks, content becomes objects without being written.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chosen;
use super::missing::{Listed, Wanted};
use crate::base::Ctx;
use crate::container::blob::read_unpacked;
use crate::container::image::{EntryVisitor, Error, ImageLayer, Result, UnpackedLayer};
use crate::container::pull::take::Taking;
use crate::container::store::{Fetched, Way, WhyWhole};
use crate::store::Txn;
use crate::tar::{Clones, EntryRole, StreamHolds, role_of};
use ostree_format::ObjectType;

/// Lets `consume` read the entries of a layer that the store lacks; also says how many bytes that were, and which content
/// objects the layer has. Objects are verified by their checksums, so that its diffid is of no use.
pub(super) fn read_missing<T>(
    unpacked: &dyn UnpackedLayer,
    layer: &ImageLayer,
    wanted: Wanted<'_>,
    taking: &Taking<'_>,
    clones: &Clones<'_>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read, StreamHolds) -> Result<T>,
) -> Result<(T, Fetched, Option<Listed>)> {
    chosen(layer.descriptor.digest().as_ref(), Way::Objects, ctx);
    let (mut listed, txn, bytes) = (Listed::new(), taking.txn, AtomicU64::new(0));
    let mut missing = Missing { wanted, txn, clones, listed: &mut listed };
    let value = read_unpacked(unpacked, &layer.descriptor, None, &mut missing, ctx, |stream| {
        consume(&mut Counted { stream, bytes: &bytes }, StreamHolds::WhatIsMissing)
    })?;
    let fetched = Fetched { bytes: bytes.load(Ordering::Relaxed), way: Way::Objects };
    Ok((value, fetched, Some(listed)))
}

/// Lets `consume` read the tar stream of a layer of files, which has to have its diffid.
pub(super) fn read_files<T>(
    unpacked: &dyn UnpackedLayer,
    layer: &ImageLayer,
    clones: &Clones<'_>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
) -> Result<(T, Fetched)> {
    let (descriptor, diff_id) = (&layer.descriptor, Some(&layer.diff_id));
    let value = read_unpacked(unpacked, descriptor, diff_id, &mut All(clones), ctx, consume)?;
    Ok((value, Fetched { bytes: descriptor.size(), way: Way::Whole(WhyWhole::Files) }))
}

/// Reads every entry.
struct All<'a>(&'a Clones<'a>);

impl EntryVisitor for All<'_> {
    fn content(&mut self, file: File, offset: u64) -> File {
        self.0.content(file, offset)
    }
}

/// Reads the entries that the store lacks.
struct Missing<'a> {
    wanted: Wanted<'a>,
    txn: &'a dyn Txn,
    clones: &'a Clones<'a>,
    listed: &'a mut Listed,
}

impl EntryVisitor for Missing<'_> {
    fn wants(&mut self, path: &[u8]) -> Result<bool> {
        let role = std::str::from_utf8(path).ok().and_then(role_of);
        brings(role, self.wanted, self.txn, self.listed)
    }

    fn content(&mut self, file: File, offset: u64) -> File {
        self.clones.content(file, offset)
    }
}

/// Whether an entry brings what the store lacks. Files of the checkout, which are links to objects, bring nothing.
fn brings(role: Option<EntryRole>, wanted: Wanted<'_>, txn: &dyn Txn, listed: &mut Listed) -> Result<bool> {
    Ok(match role {
        None | Some(EntryRole::Ignored) => false,
        Some(EntryRole::Meta(name)) => match name.kind {
            ObjectType::DirTree | ObjectType::DirMeta => !txn.contains(&name)?,
            _ => true,
        },
        Some(EntryRole::Xattrs(_)) => true,
        Some(EntryRole::XattrsOf(id)) => !txn.contains(&id.into())?,
        Some(EntryRole::File(id)) => {
            if let Wanted::Content(expected) = wanted {
                if !expected.contains(&id) {
                    return Err(Error::Image(format!(
                        "the layer has object {id}, which is not its commit's"
                    )));
                }
                listed.insert(id);
            }
            !txn.contains(&id.into())?
        }
    })
}

/// Counts what is read.
struct Counted<'a> {
    stream: &'a mut dyn Read,
    bytes: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.stream.read(buf)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
