//! Documents of images as all sorts of programs write them, read as podman reads them.
//!
//! ```text
//! null                               as if it was not there
//! no os, rootfs, layers, manifests   empty, and so are a media type and what a platform lacks
//! no schemaVersion                   2
//! no UTF-8 in a configuration        U+FFFD instead
//! ```
//! Only what is asked for is looked at: the document itself stays as it is (see [`Documents`](super::Documents)).
//! Source: Go's `encoding/json`, by which containers/image reads them into structs.

use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::{Error, Result};

/// Objects in objects with something to be read are at most so deep: `config`, its `Labels`.
const DEPTH: usize = 3;

/// Reads the configuration that errors call `what`.
pub(in crate::container) fn configuration(
    bytes: &[u8],
    what: impl Into<String>,
) -> Result<ImageConfiguration> {
    let text = String::from_utf8_lossy(bytes);
    read(text.as_bytes(), what, |document| {
        for key in ["architecture", "os"] {
            document.entry(key).or_insert_with(|| "".into());
        }
        if let Value::Object(rootfs) = document.entry("rootfs").or_insert_with(|| json!({})) {
            rootfs.entry("type").or_insert_with(|| "layers".into());
            rootfs.entry("diff_ids").or_insert_with(|| json!([]));
        }
    })
}

/// Reads the manifest that errors call `what`.
pub(in crate::container) fn manifest(bytes: &[u8], what: impl Into<String>) -> Result<ImageManifest> {
    read(bytes, what, |document| {
        complete_document(document, "layers");
        document.get_mut("config").map(complete_descriptor);
    })
}

/// Reads the index that errors call `what`.
pub(in crate::container) fn index(bytes: &[u8], what: impl Into<String>) -> Result<ImageIndex> {
    read(bytes, what, |document| complete_document(document, "manifests"))
}

/// Reads a document as it is, or else without what is null and with what `complete` adds to it. If that does not help
/// it is told what is wrong with it as it is.
fn read<T: DeserializeOwned>(
    bytes: &[u8],
    what: impl Into<String>,
    complete: impl FnOnce(&mut Map<String, Value>),
) -> Result<T> {
    serde_json::from_slice(bytes).or_else(|wrong| {
        let completed = || {
            let document: Option<Map<String, Value>> = serde_json::from_slice(bytes).ok()?;
            let mut document = document.unwrap_or_default();
            drop_nulls(&mut document, DEPTH);
            complete(&mut document);
            serde_json::from_value(Value::Object(document)).ok()
        };
        completed().ok_or_else(|| Error::json(what)(wrong))
    })
}

/// Completes a manifest or an index, whose descriptors are in `list`.
fn complete_document(document: &mut Map<String, Value>, list: &str) {
    document.entry("schemaVersion").or_insert_with(|| 2.into());
    if let Value::Array(list) = document.entry(list).or_insert_with(|| json!([])) {
        list.iter_mut().for_each(complete_descriptor);
    }
}

fn complete_descriptor(descriptor: &mut Value) {
    if let Value::Object(descriptor) = descriptor {
        descriptor.entry("mediaType").or_insert_with(|| "".into());
        if let Some(Value::Object(platform)) = descriptor.get_mut("platform") {
            for key in ["architecture", "os"] {
                platform.entry(key).or_insert_with(|| "".into());
            }
        }
    }
}

fn drop_nulls(object: &mut Map<String, Value>, depth: usize) {
    object.retain(|_, value| !value.is_null());
    if depth > 1 {
        for value in object.values_mut() {
            match value {
                Value::Object(inner) => drop_nulls(inner, depth - 1),
                Value::Array(entries) => {
                    let objects = entries.iter_mut().filter_map(Value::as_object_mut);
                    objects.for_each(|entry| drop_nulls(entry, depth - 1));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_the_wild() {
        let id = "sha256:aa";
        for (text, diff_ids) in [
            (r#"{}"#, 0),
            ("null", 0),
            (r#"{"rootfs":{"diff_ids":["sha256:aa"]},"history":null}"#, 1),
            (
                r#"{"architecture":null,"os":"","config":null,"rootfs":{"type":"layers","diff_ids":["sha256:aa"]}}"#,
                1,
            ),
            (r#"{"config":{"Labels":null,"Env":null,"Volumes":null},"rootfs":{"diff_ids":null}}"#, 0),
            (r#"{"config":{"Labels":{"a":"b","c":null}},"history":[{"created_by":null},{}]}"#, 0),
        ] {
            let config = configuration(text.as_bytes(), "config").unwrap();
            assert_eq!(config.rootfs().diff_ids(), &vec![id; diff_ids], "{text}");
        }
        for text in ["", "[]", "1", r#"{"rootfs":1}"#, r#"{"rootfs":{"diff_ids":[1]}}"#] {
            assert!(matches!(configuration(text.as_bytes(), "config"), Err(Error::Json { .. })), "{text}");
        }
    }
}
