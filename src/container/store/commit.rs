//! The commit that stands for an image.
//!
//! ```text
//! parent      the commit in the image, if there is one
//! tree        all layers together
//! timestamp   when the image was made: annotation of the manifest, or configuration; else 0
//! metadata    ostree.container.image-config   the configuration, as canonical JSON
//!             ostree.importer.version
//!             ostree.manifest                 the manifest, as canonical JSON
//!             ostree.manifest-digest          sha256:…, of the manifest as it was
//!             ostree-rs.diffids               those of its layers: none was believed to be here without a record
//!             ostree-rs.var                   "keep": plain layers were taken in with their `var`
//!             ostree.bootable, ostree.linux   of an image that never was ostree's: that it has a kernel, and which
//! ```
//! The same image gives the same commit. Source: ostree-ext container/store.rs:1448-1610.

use chrono::DateTime;
use oci_spec::image::ANNOTATION_CREATED;
use ostree_format::variant::{Dict, Value};
use ostree_format::{Commit, CommitId, RootDir};

use super::record::{IMPORTER, importer_version};
use crate::container::image::{Documents, Error, Image, Result, canonical_json, lenient};
use crate::store::ObjectWrite;
use crate::tar::Var;

const DIGEST: &str = "ostree.manifest-digest";
const MANIFEST: &str = "ostree.manifest";
const CONFIG: &str = "ostree.container.image-config";
/// The diffids of the layers, and that all of them were read: `as`.
pub(super) const READ_LAYERS: &str = "ostree-rs.diffids";
/// What became of `var` in plain layers, if they were not taken in by the rule that works with every libostree.
const VAR: &str = "ostree-rs.var";
const KEPT: &str = "keep";

/// The keys under which an image is kept in some metadata.
pub(super) struct MetadataKeys {
    pub(super) digest: &'static str,
    pub(super) manifest: &'static str,
    pub(super) config: &'static str,
}

const KEYS: MetadataKeys = MetadataKeys { digest: DIGEST, manifest: MANIFEST, config: CONFIG };

/// Writes the commit that stands for `image`, whose layers together are `root`; `more` is what its metadata says about
/// booting, or about the layers.
pub(in crate::container) fn write_merge_commit(
    store: &(impl ObjectWrite + ?Sized),
    image: &Image,
    base: Option<CommitId>,
    root: RootDir,
    more: Dict,
) -> Result<CommitId> {
    let mut entries: Vec<_> =
        entries(image, &KEYS)?.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    entries.extend(more);
    entries.push((IMPORTER.to_owned(), Value::Str(importer_version())));
    let diff_ids: Vec<_> = image.layers()?.iter().map(|layer| layer.diff_id.to_string()).collect();
    entries.push((READ_LAYERS.to_owned(), Value::strv(diff_ids.iter().map(String::as_str))));
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    let metadata = entries.into_iter().collect();
    let commit = Commit {
        metadata,
        parent: base,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: created_secs(image).unwrap_or(0),
        root,
    };
    Ok(store.write_commit(&commit)?)
}

/// What the metadata of a merge commit says of plain layers that were taken in with this treatment of `var`.
pub(in crate::container) fn layers_metadata(var: Var) -> Dict {
    let mut metadata = Dict::new();
    if var == Var::Keep {
        metadata.push(VAR, Value::Str(KEPT.to_owned()));
    }
    metadata
}

/// The treatment of `var` in the plain layers of a merge commit of this program.
pub(super) fn var_of_layers(metadata: &Dict) -> Var {
    if metadata.get_str(VAR) == Some(KEPT) { Var::Keep } else { Var::Factory }
}

/// The time at which the image was made, in seconds since 1970.
fn created_secs(image: &Image) -> Option<u64> {
    let annotation = image.manifest.annotations().as_ref().and_then(|all| all.get(ANNOTATION_CREATED));
    let text = annotation.or(image.config.created().as_ref())?;
    u64::try_from(DateTime::parse_from_rfc3339(text).ok()?.timestamp()).ok()
}

/// What the metadata of the commit `id` says of its image; `None` if it stands for none.
pub(super) fn parse_merge(id: &CommitId, metadata: &Dict) -> Result<Option<Image>> {
    parse(&format!("commit {id}"), metadata, &KEYS)
}

/// What `metadata` says of an image under `keys`.
pub(super) fn parse(whose: &str, metadata: &Dict, keys: &MetadataKeys) -> Result<Option<Image>> {
    let Some(digest) = metadata.get_str(keys.digest) else { return Ok(None) };
    let missing = || Error::Image(format!("{whose} has {} and no {}", keys.digest, keys.manifest));
    let manifest = metadata.get_str(keys.manifest).ok_or_else(missing)?;
    // Early versions of ostree-ext wrote none, or "null".
    let config = metadata.get_str(keys.config).filter(|text| *text != "null");
    Ok(Some(Image {
        digest: digest.parse().map_err(|source| Error::Reference { text: digest.to_owned(), source })?,
        manifest: lenient::manifest(manifest.as_bytes(), format!("{} of {whose}", keys.manifest))?,
        config: lenient::configuration(
            config.unwrap_or("{}").as_bytes(),
            format!("{} of {whose}", keys.config),
        )?,
        documents: Documents { manifest: manifest.into(), config: config.unwrap_or("{}").into() },
    }))
}

/// The entries for `image` under `keys`, sorted by key.
pub(super) fn entries(image: &Image, keys: &MetadataKeys) -> Result<Vec<(&'static str, Value)>> {
    let canonical = |what: &str, bytes: &[u8]| -> Result<Value> {
        let value: serde_json::Value = serde_json::from_str(&String::from_utf8_lossy(bytes))
            .map_err(Error::json(format!("{what} of {}", image.digest)))?;
        let text = String::from_utf8(canonical_json(&value)?);
        Ok(Value::Str(text.map_err(|_| Error::Image(format!("{what} of {} is not UTF-8", image.digest)))?))
    };
    let mut entries = vec![
        (keys.digest, Value::Str(image.digest.to_string())),
        (keys.manifest, canonical("manifest", &image.documents.manifest)?),
        (keys.config, canonical("config", &image.documents.config)?),
    ];
    entries.sort_by_key(|(key, _)| *key);
    Ok(entries)
}
