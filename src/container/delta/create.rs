//! Makes deltas: of one tar stream, and of an image with all its layers.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::artifact::{self, Documents};
use super::choose::Chooser;
use super::encode::{Strength, encode};
use super::old::OldTree;
use super::record::StreamVersion;
use super::scan::Scanned;
use super::write::Packing;
use crate::base::io::{Hashing, Spool};
use crate::base::{Ctx, join, spawn};
use crate::container::blob::read_layer;
use crate::container::image::{DiffId, Digest, Error, Image, ImageDest, ImageLayer, ImageSource, Result};

/// The least distance to which a stream may refer back, in bytes, as a power of two.
const MIN_WINDOW_LOG: u32 = 18;
/// The greatest one: whoever reads a stream needs that memory. Twice as much makes streams a thousandth smaller.
const MAX_WINDOW_LOG: u32 = 25;

/// How much work is put into a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// A small delta in little time.
    #[default]
    Usual,
    /// The smallest delta, which takes several times as long.
    Best,
}

/// Options for making deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaOptions {
    /// The version of the streams.
    pub version: StreamVersion,
    /// How much work is put into them.
    pub effort: Effort,
}

impl Default for DeltaOptions {
    /// Version 2, a small delta in little time.
    fn default() -> Self {
        Self { version: StreamVersion::V2, effort: Effort::Usual }
    }
}

impl DeltaOptions {
    /// What this means for a new stream of so many bytes.
    fn strength(&self, new_bytes: u64) -> Strength {
        let (patch_level, level) = match self.effort {
            Effort::Usual => (12, 10),
            Effort::Best => (19, 19),
        };
        let window_log = new_bytes.next_power_of_two().trailing_zeros().clamp(MIN_WINDOW_LOG, MAX_WINDOW_LOG);
        let packing = Packing { level, window_log };
        Strength { version: self.version, patch_level, packing }
    }
}

/// What a delta was found to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The digest of the artifact's manifest.
    pub manifest: Digest,
    /// The layers of the new image that the old one has.
    pub reused: usize,
    /// The layers that are in the artifact as deltas.
    pub deltas: usize,
    /// The layers that are in the artifact as they are, since a delta would not be smaller.
    pub whole: usize,
    /// The bytes of all layers in the artifact.
    pub bytes: u64,
    /// The bytes of the same layers in the new image.
    pub full_bytes: u64,
}

/// Writes the delta that makes the tar stream `new` out of the files of `old` to `out`.
///
/// # Errors
/// [`Error::Tar`] if `new` is no tar stream; [`Error::Io`]; [`Error::Cancelled`].
pub fn diff(
    new: &mut dyn Read,
    old: &OldTree,
    out: impl Write,
    options: &DeltaOptions,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<()> {
    let new = Scanned::read(new, temporary(spool)?)?;
    encode_layer(&new, old, out, options, ctx)
}

/// Writes the artifact that makes `new` out of `old` to `dest`.
///
/// # Errors
/// What the three say; [`Error::Tar`] if a layer is no tar stream; [`Error::DiffIdMismatch`], [`Error::Mismatch`] and
/// [`Error::Size`] for damaged ones; [`Error::Cancelled`].
pub fn create(
    old: (&Image, &dyn ImageSource),
    new: (&Image, &dyn ImageSource),
    dest: &dyn ImageDest,
    options: &DeltaOptions,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Created> {
    let old_layers = old.0.layers()?;
    let there: HashSet<DiffId> = old_layers.iter().map(|layer| layer.diff_id).collect();
    let (reused, missing): (Vec<_>, Vec<_>) =
        new.0.layers()?.into_iter().partition(|layer| there.contains(&layer.diff_id));
    let mut seen = HashSet::new();
    let missing: Vec<_> = missing.into_iter().filter(|layer| seen.insert(layer.diff_id)).collect();
    let all_bytes = old_layers.iter().chain(&missing).map(|layer| layer.descriptor.size()).sum();
    ctx.phase("Comparing layers", None, Some(all_bytes));
    let (scanned_old, scanned_new) = std::thread::scope(|scope| {
        let other = spawn(scope, || scan(&missing, new.1, spool, ctx));
        let scanned_old = scan(&old_layers, old.1, spool, ctx);
        // Where no thread is to be had, one comes after the other.
        (scanned_old, other.map_or_else(|_| scan(&missing, new.1, spool, ctx), join))
    });
    let (old_tree, scanned_new) = (OldTree::merge(scanned_old?), scanned_new?);
    ctx.phase("Making delta", None, None);
    let mut created = Created {
        manifest: new.0.digest,
        reused: reused.len(),
        deltas: 0,
        whole: 0,
        bytes: 0,
        full_bytes: 0,
    };
    let mut layers = Vec::new();
    for (layer, scanned) in missing.iter().zip(scanned_new) {
        let descriptor = match put_delta(&scanned, &old_tree, layer, dest, options, spool, ctx)? {
            Some(descriptor) => descriptor,
            None => {
                artifact::copy_blob(new.1, &layer.descriptor, dest, ctx)?;
                layer.descriptor.clone()
            }
        };
        match artifact::is_delta(&descriptor) {
            true => created.deltas += 1,
            false => created.whole += 1,
        }
        created.bytes += descriptor.size();
        created.full_bytes += layer.descriptor.size();
        layers.push((descriptor, Digest::of_descriptor(&layer.descriptor)?));
    }
    let documents = Documents { old: old.0, new: new.0, reused: &reused, layers };
    created.manifest = documents.write(dest)?;
    Ok(created)
}

/// Reads layers, each into a file of its own.
pub(super) fn scan(
    layers: &[ImageLayer],
    source: &dyn ImageSource,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Vec<Scanned>> {
    let read = |layer: &ImageLayer| {
        read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
            Scanned::read(stream, temporary(spool)?)
        })
    };
    layers.iter().map(read).collect()
}

/// Writes the delta of a layer as a blob, if it is smaller than the layer itself.
pub(super) fn put_delta(
    new: &Scanned,
    old: &OldTree,
    layer: &ImageLayer,
    dest: &dyn ImageDest,
    options: &DeltaOptions,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Option<oci_spec::image::Descriptor>> {
    let mut out = Hashing::new(temporary(spool)?);
    encode_layer(new, old, &mut out, options, ctx)?;
    let bytes = Hashing::bytes(&out);
    let (mut file, checksum) = out.finish();
    if bytes >= layer.descriptor.size() {
        return Ok(None);
    }
    let digest = Digest::new(checksum);
    if !dest.has_blob(&digest)? {
        file.rewind().map_err(Error::io("seek in", "temporary file"))?;
        let mut blob = dest.new_blob()?;
        io::copy(&mut file, &mut blob).map_err(Error::io("write", "delta"))?;
        blob.finish(&digest, bytes)?;
    }
    artifact::delta_descriptor(digest, bytes).map(Some)
}

fn encode_layer(
    new: &Scanned,
    old: &OldTree,
    out: impl Write,
    options: &DeltaOptions,
    ctx: &Ctx,
) -> Result<()> {
    let pieces = Chooser::new(old).pieces(new);
    encode(new, old, &pieces, out, &options.strength(new.bytes), ctx)
}

pub(super) fn temporary(spool: &Spool<'_>) -> Result<File> {
    spool().map_err(Error::io("create", "temporary file"))
}

impl OldTree {
    /// The root file system that layers make, the lowest first. Their streams are kept in files that `spool` makes.
    ///
    /// # Errors
    /// [`Error::Tar`] if a stream is none of tar; [`Error::Io`].
    pub fn of_tars(layers: &mut [&mut dyn Read], spool: &Spool<'_>) -> Result<Self> {
        let layers = layers.iter_mut().map(|layer| Scanned::read(layer, temporary(spool)?));
        Ok(Self::merge(layers.collect::<Result<_>>()?))
    }

    /// The root file system of an image, every layer of which is verified.
    ///
    /// # Errors
    /// What the source says; as for [`read_layer`]; [`Error::Tar`] if a layer is no tar stream.
    pub fn of_image(image: &Image, source: &dyn ImageSource, spool: &Spool<'_>, ctx: &Ctx) -> Result<Self> {
        Ok(Self::merge(scan(&image.layers()?, source, spool, ctx)?))
    }
}

/// The layers of an image by their diffids.
pub(super) fn by_diff_id(layers: Vec<ImageLayer>) -> HashMap<DiffId, ImageLayer> {
    layers.into_iter().map(|layer| (layer.diff_id, layer)).collect()
}
