//! What the commit that keeps a layer says of the blob that it was made of.
//!
//! ```text
//! metadata    ostree-rs.blob      sha256:HEX    the blob that was read
//!             ostree-rs.diffid    sha256:HEX    of the tar stream; of a plain layer computed when it was read
//!             ostree-rs.rules     "TOPLEVEL VAR"    how a plain layer was taken in: "leave-out factory", "keep keep" …
//! ```
//! A record counts only for the ref of its own blob. The first layer of an image brings a commit by others, who may
//! write into its metadata what they like, but not the digest of the blob in which it lies.
//!
//! What an image says of its layers is a claim. A plain layer that is here stands in for one of another image only if
//! this record says that it is the same stream, taken in by the same rules. For content objects of a commit the diffid
//! is the one that was claimed, and a mere hint of where they may be: each is what its checksum says, and a pull looks
//! at its end whether it has all of them.

use ostree_format::variant::{Dict, Value};

use crate::container::image::{DiffId, Digest};
use crate::tar::{LayerOptions, Toplevel, Var};

/// Directories that are in the tree of a plain layer, but that the layer does not list: `as`.
pub(in crate::container) const IMPLIED: &str = "ostree-rs.implied-directories";
/// Hard links of a plain layer to files of lower layers: `as`, each path followed by its target.
pub(in crate::container) const LOWER_LINKS: &str = "ostree-rs.lower-links";
/// The key under which ostree-ext notes the program that took the layer in.
pub(in crate::container) const IMPORTER: &str = "ostree.importer.version";
/// The start of the value if it was this program.
pub(in crate::container) const OURS: &str = "ostree-rs ";

const BLOB: &str = "ostree-rs.blob";
const DIFF_ID: &str = "ostree-rs.diffid";
const RULES: &str = "ostree-rs.rules";

/// The record of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) struct LayerRecord {
    /// The blob that was read.
    pub(in crate::container) blob: Digest,
    /// The diffid that the layer had when its blob was read; without rules, the one that was claimed then.
    pub(in crate::container) diff_id: DiffId,
    /// How it was taken in; `None` for the content objects of a commit.
    pub(in crate::container) rules: Option<LayerOptions>,
}

impl LayerRecord {
    /// What `metadata` says; `None` if it is not the work of this program, or of a version that did not look.
    pub(in crate::container) fn read(metadata: &Dict) -> Option<Self> {
        let blob = metadata.get_str(BLOB)?.parse().ok()?;
        let diff_id = metadata.get_str(DIFF_ID)?.parse().ok()?;
        let rules = match metadata.get_str(RULES) {
            Some(text) => Some(ALL_RULES.into_iter().find(|rules| words(*rules) == text)?),
            None => None,
        };
        Some(Self { blob, diff_id, rules })
    }

    /// Adds it to the metadata of the layer's commit.
    pub(in crate::container) fn write(&self, metadata: &mut Dict) {
        metadata.push(BLOB, Value::Str(self.blob.to_string()));
        metadata.push(DIFF_ID, Value::Str(self.diff_id.to_string()));
        if let Some(rules) = self.rules {
            metadata.push(RULES, Value::Str(words(rules).to_owned()));
        }
    }
}

const ALL_RULES: [LayerOptions; 4] = [
    LayerOptions { toplevel: Toplevel::LeaveOut, var: Var::Factory },
    LayerOptions { toplevel: Toplevel::LeaveOut, var: Var::Keep },
    LayerOptions { toplevel: Toplevel::Keep, var: Var::Factory },
    LayerOptions { toplevel: Toplevel::Keep, var: Var::Keep },
];

/// The rules as they are written.
pub(in crate::container) const fn words(rules: LayerOptions) -> &'static str {
    match (rules.toplevel, rules.var) {
        (Toplevel::LeaveOut, Var::Factory) => "leave-out factory",
        (Toplevel::LeaveOut, Var::Keep) => "leave-out keep",
        (Toplevel::Keep, Var::Factory) => "keep factory",
        (Toplevel::Keep, Var::Keep) => "keep keep",
    }
}

/// The name and version of this program, as it is noted in layers and images that it takes in.
pub(in crate::container) fn importer_version() -> String {
    format!("{OURS}{}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let (blob, diff_id) = (Digest::of(b"blob"), DiffId::new(ostree_format::Checksum::of(b"x")));
        for rules in ALL_RULES.into_iter().map(Some).chain([None]) {
            let (record, mut metadata) = (LayerRecord { blob, diff_id, rules }, Dict::new());
            record.write(&mut metadata);
            assert_eq!(LayerRecord::read(&metadata), Some(record));
        }
        assert_eq!(LayerRecord::read(&Dict::new()), None);
        let mut odd = Dict::new();
        odd.push(BLOB, Value::Str(blob.to_string()));
        odd.push(DIFF_ID, Value::Str(diff_id.to_string()));
        odd.push(RULES, Value::Str("keep".to_owned()));
        assert_eq!(LayerRecord::read(&odd), None);
    }
}
