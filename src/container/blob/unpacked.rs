//! Reads layers that lie somewhere as files: their tar streams are made again.

use std::io::Read;

use oci_spec::image::Descriptor;

use super::made::read_stream;
use crate::base::{Ctx, Item};
use crate::container::image::{DiffId, Digest, EntryVisitor, Error, Result, UnpackedLayer};

/// Lets `consume` read the tar stream of a layer, or those entries of it that `visitor` wants. With `diff_id` it has to
/// be the stream with that: where it is not, the file that was changed is named.
///
/// # Errors
/// What `consume` and `visitor` return; [`Error::StoredLayer`], [`Error::DiffIdMismatch`], [`Error::Cancelled`].
pub(in crate::container) fn read_unpacked<T>(
    unpacked: &dyn UnpackedLayer,
    layer: &Descriptor,
    diff_id: Option<&DiffId>,
    visitor: &mut dyn EntryVisitor,
    ctx: &Ctx,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let digest = Digest::of_descriptor(layer)?;
    let item = Item::start(ctx, digest.to_string(), Some(layer.size()));
    let read = read_stream(digest, diff_id, ctx, |out| unpacked.write(visitor, out), consume);
    if let Err(Error::DiffIdMismatch { .. }) = read {
        unpacked.check()?;
    }
    let value = read?;
    // What was read is no part of the blob, by whose bytes the whole is counted.
    ctx.bytes_done(layer.size());
    item.advance(layer.size());
    item.done();
    Ok(value)
}
