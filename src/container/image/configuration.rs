//! Image configurations as all sorts of programs write them, read as podman reads them.
//!
//! ```text
//! null               as if it was not there
//! no os, no rootfs   empty
//! ```
//! Only what is asked for is looked at: the document itself stays as it is (see [`Documents`](super::Documents)).
//! Source: Go's `encoding/json`, by which containers/image reads them into structs.

use oci_spec::image::ImageConfiguration;
use serde_json::{Map, Value, json};

use super::error::{Error, Result};

/// Objects in objects with something to be read are at most so deep: `config`, its `Labels`.
const DEPTH: usize = 3;

/// Reads the configuration that errors call `what`.
pub(in crate::container) fn parse(bytes: &[u8], what: impl Into<String>) -> Result<ImageConfiguration> {
    let error = Error::json(what);
    let mut document: Map<String, Value> = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(source) => return Err(error(source)),
    };
    drop_nulls(&mut document, DEPTH);
    for key in ["architecture", "os"] {
        document.entry(key).or_insert_with(|| "".into());
    }
    if let Value::Object(rootfs) = document.entry("rootfs").or_insert_with(|| json!({})) {
        rootfs.entry("type").or_insert_with(|| "layers".into());
        rootfs.entry("diff_ids").or_insert_with(|| json!([]));
    }
    serde_json::from_value(Value::Object(document)).map_err(error)
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
            (r#"{"rootfs":{"diff_ids":["sha256:aa"]},"history":null}"#, 1),
            (
                r#"{"architecture":null,"os":"","config":null,"rootfs":{"type":"layers","diff_ids":["sha256:aa"]}}"#,
                1,
            ),
            (r#"{"config":{"Labels":null,"Env":null,"Volumes":null},"rootfs":{"diff_ids":null}}"#, 0),
            (r#"{"config":{"Labels":{"a":"b","c":null}},"history":[{"created_by":null},{}]}"#, 0),
        ] {
            let config = parse(text.as_bytes(), "config").unwrap();
            assert_eq!(config.rootfs().diff_ids(), &vec![id; diff_ids], "{text}");
        }
        for text in ["", "[]", "null", r#"{"rootfs":1}"#, r#"{"rootfs":{"diff_ids":[1]}}"#] {
            assert!(matches!(parse(text.as_bytes(), "config"), Err(Error::Json { .. })), "{text}");
        }
    }
}
