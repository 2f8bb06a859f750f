//! The tables of a store: `images.json` and `layers.json`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::Dir;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::disk::open_regular;
use super::driver::Driver;
use super::lock::SharedLock;
use super::{check_id, first_file};
use crate::base::Ctx;
use crate::container::image::{Error, Result, StoredLayerProblem};

/// A table may not be larger. It has some 2000 bytes for each image, and may have some for each user in a layer.
const MAX_TABLE_BYTES: u64 = 256 * 1024 * 1024;
/// Layers on top of each other: overlay mounts 500 at most.
const MAX_LAYERS: usize = 4096;

/// An image.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImageRow {
    pub(super) id: String,
    #[serde(default)]
    digest: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) names: Vec<String>,
    #[serde(default, rename = "layer")]
    pub(super) top_layer: String,
    /// JSON in JSON.
    #[serde(default)]
    pub(super) metadata: String,
    #[serde(default, rename = "big-data-digests", deserialize_with = "or_default")]
    documents: BTreeMap<String, String>,
}

/// A layer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LayerRow {
    pub(super) id: String,
    #[serde(default)]
    parent: String,
    /// The diffid, unless the layer was made of parts of a blob that nobody has seen as a whole.
    #[serde(default, rename = "diff-digest")]
    pub(super) diff_id: String,
}

impl ImageRow {
    /// Whether one of its manifests has this digest.
    pub(super) fn has_manifest(&self, digest: &str) -> bool {
        let manifests = self.documents.iter().filter(|(key, _)| key.starts_with("manifest"));
        self.digest == digest || manifests.map(|(_, of)| of).any(|of| of == digest)
    }
}

/// The images of a directory; none if it has no such table.
pub(super) fn images(root: &Dir, driver: Driver, ctx: &Ctx) -> Result<Vec<ImageRow>> {
    let dir = format!("{}-images", driver.name());
    let _lock = SharedLock::take(root, &format!("{dir}/images.lock"), ctx)?;
    let rows: Vec<ImageRow> = table(root, &format!("{dir}/images.json"))?;
    rows.iter().try_for_each(|row| check_id(&row.id))?;
    Ok(rows)
}

/// The layers of all directories of a store.
pub(super) struct LayerTable(HashMap<String, LayerRow>);

impl LayerTable {
    pub(super) fn read(roots: &[Dir], driver: Driver, ctx: &Ctx) -> Result<Self> {
        let dir = format!("{}-layers", driver.name());
        let mut all = HashMap::new();
        // What stands in an earlier directory counts.
        for root in roots.iter().rev() {
            let _lock = SharedLock::take(root, &format!("{dir}/layers.lock"), ctx)?;
            for file in ["volatile-layers.json", "layers.json"] {
                let rows: Vec<LayerRow> = table(root, &format!("{dir}/{file}"))?;
                all.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
            }
        }
        Ok(Self(all))
    }

    /// A layer and all below it, the lowest first.
    pub(super) fn chain(&self, top: &str) -> Result<Vec<LayerRow>> {
        let (mut chain, mut seen, mut id) = (Vec::new(), HashSet::new(), top);
        while !id.is_empty() {
            check_id(id)?;
            if !seen.insert(id) || chain.len() == MAX_LAYERS {
                return Err(Error::Image(format!("layer {id} is below itself, or below too many others")));
            }
            let missing = || Error::StoredLayer { layer: id.to_owned(), why: StoredLayerProblem::Missing };
            let row = self.0.get(id).ok_or_else(missing)?;
            chain.push(row.clone());
            id = &row.parent;
        }
        chain.reverse();
        Ok(chain)
    }
}

/// The name of the file that holds the document with this key.
pub(super) fn file_of_key(key: &str) -> String {
    let plain = |b: u8| b == b'.' || b.is_ascii_digit() || b.is_ascii_lowercase();
    match key.bytes().all(plain) {
        true => key.to_owned(),
        false => format!("={}", STANDARD.encode(key)),
    }
}

/// The file with what a layer's stream has beside the content of files.
pub(super) fn split_of(roots: &[Dir], driver: Driver, id: &str) -> Result<Option<cap_std::fs::File>> {
    first_file(roots, &format!("{}-layers/{id}.tar-split.gz", driver.name()))
}

fn table<T: DeserializeOwned>(root: &Dir, path: &str) -> Result<Vec<T>> {
    let Some(file) = open_regular(root, path.as_ref())? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    file.take(MAX_TABLE_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > MAX_TABLE_BYTES {
        return Err(Error::TooLarge { what: path.to_owned(), limit: MAX_TABLE_BYTES });
    }
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Option<Vec<T>> = serde_json::from_slice(&bytes).map_err(Error::json(path))?;
    Ok(rows.unwrap_or_default())
}

/// `null` is what Go writes for a list without items.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_documents() {
        assert_eq!(file_of_key("manifest"), "manifest");
        assert_eq!(file_of_key("sha256:ab"), "=c2hhMjU2OmFi");
        assert_eq!(file_of_key("manifest-sha256:ab"), "=bWFuaWZlc3Qtc2hhMjU2OmFi");
    }
}
