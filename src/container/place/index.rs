//! `index.json` of a layout: which images it holds and what they are called.
//!
//! ```text
//! {"schemaVersion":2,"manifests":[{"mediaType","digest","size","platform",
//!     "annotations":{"org.opencontainers.image.ref.name":"TAG"}}]}
//! ```

use std::collections::HashMap;

#[cfg(feature = "net")]
use oci_spec::image::ImageManifest;
use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageIndexBuilder, MediaType, OciLayout};

#[cfg(feature = "net")]
use crate::container::image::RawManifest;
use crate::container::image::{Error, Result, lenient};

pub(in crate::container) const INDEX_JSON: &str = "index.json";
pub(in crate::container) const OCI_LAYOUT: &str = "oci-layout";
pub(in crate::container) const BLOBS: &str = "blobs/sha256";
/// What the file `oci-layout` holds.
pub(in crate::container) const LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Checks the content of the file `oci-layout`.
pub(in crate::container) fn check_layout_version(content: &[u8]) -> Result<()> {
    let layout: OciLayout = serde_json::from_slice(content).map_err(Error::json(OCI_LAYOUT))?;
    match layout.image_layout_version().as_str() {
        "1.0.0" => Ok(()),
        other => Err(Error::Unsupported(format!("{OCI_LAYOUT} says version {other:?}, where 1.0.0 is read"))),
    }
}

/// An index without entries.
pub(in crate::container) fn empty() -> Result<ImageIndex> {
    ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(Vec::new())
        .build()
        .map_err(|e| Error::Image(e.to_string()))
}

pub(in crate::container) fn parse(content: &[u8]) -> Result<ImageIndex> {
    lenient::index(content, INDEX_JSON)
}

/// The N of `@N`, by which an image is named that is number N among several. No tag begins so.
pub(in crate::container) fn number(name: &str) -> Option<usize> {
    name.strip_prefix('@')?.parse().ok()
}

/// Refuses what cannot be the name of an image to be written: the number of one that is there, and what the image
/// specification does not allow (annotations.md, `org.opencontainers.image.ref.name`), so that skopeo cannot read it.
pub(in crate::container) fn check_is_name(name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    if let Some(number) = number(name) {
        return Err(Error::Usage(format!("@{number} names an image that is there, not one to be written")));
    }
    // Registries let a tag begin so, and flatpak's index of deltas does.
    let words = name.strip_prefix('_').unwrap_or(name);
    if words.split('/').all(is_component) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{name:?} cannot be the name of an image: letters and digits, and between them single characters of -._:@+ \
         or --, in parts with / between them"
    )))
}

/// Whether `part` is made of letters and digits, with separators between them.
fn is_component(part: &str) -> bool {
    let words = part.replace("--", "-");
    words
        .split(['-', '.', '_', ':', '@', '+'])
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The entry called `tag`, or that of number N for `@N`; without a tag the only entry there is, or the only one
/// without a tag.
pub(in crate::container) fn find<'a>(index: &'a ImageIndex, tag: Option<&str>) -> Result<&'a Descriptor> {
    let entries = index.manifests();
    let name = |(n, entry)| tag_of(entry).map_or_else(|| format!("@{n}"), str::to_owned);
    let known = || entries.iter().enumerate().map(name).collect();
    if let Some(tag) = tag {
        let named = match number(tag) {
            Some(number) => entries.get(number),
            None => entries.iter().find(|d| tag_of(d) == Some(tag)),
        };
        return named.ok_or_else(|| Error::TagNotFound { tag: tag.to_owned(), known: known() });
    }
    if let [only] = &entries[..] {
        return Ok(only);
    }
    let mut untagged = entries.iter().filter(|d| tag_of(d).is_none());
    match (untagged.next(), untagged.next()) {
        (Some(only), None) => Ok(only),
        _ if entries.is_empty() => Err(Error::NotALayout("it holds no image".to_owned())),
        _ => Err(Error::Ambiguous { known: known() }),
    }
}

/// Lets `tag` name `entry`; every other entry stays.
pub(in crate::container) fn insert(index: &mut ImageIndex, mut entry: Descriptor, tag: Option<&str>) {
    let annotation = tag.map(|t| HashMap::from([(ANNOTATION_REF_NAME.to_owned(), t.to_owned())]));
    entry.set_annotations(annotation);
    let mut entries = index.manifests().clone();
    entries.retain(|d| tag_of(d) != tag);
    entries.push(entry);
    index.set_manifests(entries);
}

/// The entry of an artifact in the list of what refers to an image.
#[cfg(feature = "net")]
pub(in crate::container) fn referrer(artifact: &RawManifest) -> Result<Descriptor> {
    let manifest: ImageManifest = serde_json::from_slice(&artifact.bytes)
        .map_err(Error::json(format!("manifest {}", artifact.digest)))?;
    let mut entry = artifact.digest.descriptor(artifact.media_type.clone(), artifact.bytes.len() as u64)?;
    entry.set_artifact_type(manifest.artifact_type().clone());
    entry.set_annotations(manifest.annotations().clone());
    Ok(entry)
}

fn tag_of(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations().as_ref()?.get(ANNOTATION_REF_NAME).map(String::as_str)
}
