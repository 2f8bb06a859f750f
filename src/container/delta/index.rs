//! Deltas as flatpak looks for them: the index under the tag `_deltaindex` of the image's repository.
//!
//! ```text
//! _deltaindex ► index {manifests:[{annotations:{….target: digest of an image's manifest}}, …]}
//!                 └► manifest {config: {} of the type application/vnd.redhat.delta.config.v1+json,
//!                              annotations:{….target}, layers:[{application/vnd.tar-diff,
//!                                  annotations:{….from: an old layer's diffid, ….to: a new one's}}, …]}
//! ```
//! A delta is from one layer to one layer here, by streams of version 1. Deltas to the same image from other layers stay
//! in its manifest, deltas to other images in the index. Source: flatpak/flatpak-oci-specs, image-deltas.md, and
//! flatpak's common/flatpak-oci-registry.c, which compares diffids.

use std::collections::HashMap;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, ImageManifestBuilder, MediaType};
use serde_json::json;

use super::artifact::{FROM, TARGET, TO, annotate, is_delta};
use super::create::{Created, DeltaOptions, put_delta, scan};
use super::old::OldTree;
use super::record::StreamVersion;
use crate::base::Ctx;
use crate::base::io::Spool;
use crate::container::image::{
    DiffId, Digest, Error, Image, ImageDest, ImageLayer, ImageSource, RawManifest, Result, canonical_json,
    media, put_json, read_json,
};
use crate::container::place::index;

/// The tag of the index.
pub const INDEX_TAG: &str = "_deltaindex";
const CONFIG: &str = "application/vnd.redhat.delta.config.v1+json";

/// Writes deltas from the layers of `old` to those of `new` that it lacks, and adds them to what `existing`, the source
/// of the index that is there, lists. `dest` is the place of the index, under its tag. Each layer is compared with the
/// one that had its place; where that saves nothing, there is no delta.
///
/// # Errors
/// What the four say; [`Error::Unsupported`] if what is there is no index; as for [`create`](super::create).
pub fn create_index(
    old: (&Image, &dyn ImageSource),
    new: (&Image, &dyn ImageSource),
    existing: Option<&dyn ImageSource>,
    dest: &dyn ImageDest,
    options: &DeltaOptions,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Created> {
    let options = DeltaOptions { version: StreamVersion::V1, ..*options };
    let (old_layers, target) = (old.0.layers()?, new.0.digest);
    let mut created = Created { manifest: target, reused: 0, deltas: 0, whole: 0, bytes: 0, full_bytes: 0 };
    let mut deltas = Vec::new();
    for (place, layer) in new.0.layers()?.iter().enumerate() {
        let from = old_layers.get(place).or(old_layers.last());
        let Some(from) = from.filter(|_| old_layers.iter().all(|old| old.diff_id != layer.diff_id)) else {
            created.reused += 1;
            continue;
        };
        created.full_bytes += layer.descriptor.size();
        match delta((from, old.1), (layer, new.1), dest, &options, spool, ctx)? {
            Some(descriptor) => {
                created.deltas += 1;
                created.bytes += descriptor.size();
                deltas.push(descriptor);
            }
            None => created.whole += 1,
        }
    }
    let mut list = existing.map(read).transpose()?.unwrap_or_default();
    if let (Some(source), Some(before)) = (existing, list.iter().find(|entry| is_to(entry, &target))) {
        let before: ImageManifest = read_json(source, "manifest", before)?;
        let others = before.layers().iter().filter(|layer| !deltas.iter().any(|new| is_same_way(new, layer)));
        deltas.extend(others.cloned().collect::<Vec<_>>());
    }
    let manifest = manifest(deltas, target, dest)?;
    dest.put_instance(&manifest)?;
    list.retain(|entry| !is_to(entry, &target));
    let mut entry = manifest.digest.descriptor(manifest.media_type.clone(), manifest.bytes.len() as u64)?;
    annotate(&mut entry, &[(TARGET, target.to_string())]);
    list.push(entry);
    let mut whole = index::empty()?;
    whole.set_manifests(list);
    let bytes = canonical_json(&whole)?;
    created.manifest = Digest::of(&bytes);
    let raw = RawManifest { bytes, media_type: MediaType::ImageIndex, digest: created.manifest };
    dest.put_manifest(&raw, None)?;
    Ok(created)
}

/// The entries of the index that is there.
fn read(source: &dyn ImageSource) -> Result<Vec<Descriptor>> {
    entries(&source.manifest()?)
}

fn entries(raw: &RawManifest) -> Result<Vec<Descriptor>> {
    if !media::is_index(&raw.media_type) {
        return Err(Error::Unsupported(format!(
            "{INDEX_TAG} is no index but of the type {}",
            raw.media_type
        )));
    }
    let index: ImageIndex = serde_json::from_slice(&raw.bytes).map_err(Error::json(INDEX_TAG))?;
    Ok(index.manifests().clone())
}

/// The deltas to layers of the image with the manifest `target` that `source` lists under the tag; none if nothing is
/// there.
///
/// # Errors
/// What the source says; as for [`create_index`].
pub(super) fn listed(source: &dyn ImageSource, target: &Digest) -> Result<Vec<ListedDelta>> {
    let Some(raw) = source.tagged(INDEX_TAG)? else { return Ok(Vec::new()) };
    let entries = entries(&raw)?;
    let Some(entry) = entries.iter().find(|entry| is_to(entry, target)) else { return Ok(Vec::new()) };
    let raw = source.manifest_of(entry)?;
    let manifest: ImageManifest =
        serde_json::from_slice(&raw.bytes).map_err(Error::json(format!("manifest {}", raw.digest)))?;
    let listed = manifest.layers().iter().filter(|layer| is_delta(layer)).filter_map(|layer| {
        let named = |key| annotation(layer, key)?.parse().ok();
        Some(ListedDelta { descriptor: layer.clone(), from: named(FROM)?, to: named(TO)? })
    });
    Ok(listed.collect())
}

/// A delta from one layer to another, by their diffids.
pub(super) struct ListedDelta {
    pub(super) descriptor: Descriptor,
    pub(super) from: DiffId,
    pub(super) to: DiffId,
}

/// The delta from one layer to another, if it is smaller than the latter.
fn delta(
    old: (&ImageLayer, &dyn ImageSource),
    new: (&ImageLayer, &dyn ImageSource),
    dest: &dyn ImageDest,
    options: &DeltaOptions,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Option<Descriptor>> {
    let tree = OldTree::merge(scan(std::slice::from_ref(old.0), old.1, spool, ctx)?);
    let scanned = scan(std::slice::from_ref(new.0), new.1, spool, ctx)?;
    let Some(scanned) = scanned.first() else { return Ok(None) };
    let mut descriptor = put_delta(scanned, &tree, new.0, dest, options, spool, ctx)?;
    if let Some(descriptor) = &mut descriptor {
        annotate(descriptor, &[(FROM, old.0.diff_id.to_string()), (TO, new.0.diff_id.to_string())]);
    }
    Ok(descriptor)
}

fn manifest(deltas: Vec<Descriptor>, target: Digest, dest: &dyn ImageDest) -> Result<RawManifest> {
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(put_json(dest, MediaType::from(CONFIG), &json!({}))?)
        .layers(deltas)
        .annotations(HashMap::from([(TARGET.to_owned(), target.to_string())]))
        .build()
        .map_err(Error::image)?;
    let bytes = canonical_json(&manifest)?;
    let digest = Digest::of(&bytes);
    Ok(RawManifest { bytes, media_type: MediaType::ImageManifest, digest })
}

fn annotation<'d>(descriptor: &'d Descriptor, key: &str) -> Option<&'d str> {
    descriptor.annotations().as_ref()?.get(key).map(String::as_str)
}

fn is_to(entry: &Descriptor, target: &Digest) -> bool {
    annotation(entry, TARGET) == Some(&*target.to_string())
}

/// Whether two deltas are from the same layer to the same layer.
fn is_same_way(a: &Descriptor, b: &Descriptor) -> bool {
    is_delta(a) && is_delta(b) && [FROM, TO].iter().all(|key| annotation(a, key) == annotation(b, key))
}
