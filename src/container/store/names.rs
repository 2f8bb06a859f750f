//! The names of images and layers among the refs.
//!
//! ```text
//! letters, digits, '-'      as they are
//! '_'                       "__"
//! '/'                       as it is behind a letter or digit, if something follows
//! anything else             "_HEX_": ':' is "_3A_"
//! ```
//! Source: ostree-ext refescape.rs:16-75.

use std::fmt::Write;
use std::str::FromStr;

use ostree_format::{CommitId, ParseError, RefName, RefSpec};

use crate::container::image::{Digest, Error, ImageReference, Result};

/// The prefix of the layers' refs.
pub const LAYERS: &str = "ostree/container/blob";
/// The prefix of the refs of commits that lie on a base, for which no layer's ref stands.
pub(super) const COMMITS: &str = "ostree/container/commit";
/// The prefix of the images' refs.
pub const IMAGES: &str = "ostree/container/image";

const WHAT: &str = "escaped ref";

/// The ref below `prefix` whose name is `text`, escaped.
///
/// # Errors
/// If `text` is empty or holds NUL.
pub fn escape_ref(prefix: &str, text: &str) -> Result<RefSpec, ParseError> {
    if text.is_empty() {
        return Err(ParseError::invalid(WHAT, 0, "the text is empty"));
    }
    if let Some(at) = text.find('\0') {
        return Err(ParseError::invalid(WHAT, at, "a NUL in the text"));
    }
    let (mut out, mut chars) = (format!("{prefix}/"), text.chars().peekable());
    let mut after_word = false;
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_alphanumeric() => out.push(c),
            '/' if after_word && chars.peek().is_some() => out.push(c),
            '-' => out.push(c),
            '_' => out.push_str("__"),
            // Writing to a string cannot fail.
            other => drop(write!(out, "_{:02X}_", u32::from(other))),
        }
        after_word = c.is_ascii_alphanumeric();
    }
    Ok(out.parse::<RefName>()?.into())
}

/// The text that is escaped in the ref `name` below `prefix`; `None` if the ref lies elsewhere.
///
/// # Errors
/// If it was not made by [`escape_ref`].
pub fn unescape_ref(prefix: &str, name: &RefName) -> Result<Option<String>, ParseError> {
    let Some(text) = name.as_str().strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) else {
        return Ok(None);
    };
    let wrong = |at| ParseError::invalid(WHAT, at, format!("'{name}' is not the name of an image or layer"));
    let (mut out, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let at = name.as_str().len() - rest.len() - 1;
        match c {
            '_' if rest.starts_with('_') => {
                rest = &rest[1..];
                out.push('_');
            }
            '_' => {
                let (hex, after) = rest.split_once('_').ok_or_else(|| wrong(at))?;
                let c = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
                out.push(c.ok_or_else(|| wrong(at))?);
                rest = after;
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '/') => out.push(c),
            _ => return Err(wrong(at)),
        }
    }
    Ok(Some(out))
}

/// The ref of the layer whose blob has this digest.
///
/// # Errors
/// None in practice: every digest has a ref.
pub fn layer_ref(digest: &Digest) -> Result<RefSpec> {
    let text = digest.to_string();
    escape_ref(LAYERS, &text).map_err(|source| Error::Reference { text, source })
}

/// The ref that keeps the commit of an image on a base.
///
/// # Errors
/// None in practice: every checksum is the name of a ref.
pub(in crate::container) fn commit_ref(commit: &CommitId) -> Result<RefSpec> {
    let text = commit.to_string();
    escape_ref(COMMITS, &text).map_err(|source| Error::Reference { text, source })
}

/// The ref of an image.
///
/// # Errors
/// [`Error::Reference`] if the name cannot be that of a ref.
pub fn image_ref(image: &ImageReference) -> Result<RefSpec> {
    let text = image.to_string();
    escape_ref(IMAGES, &text).map_err(|source| Error::Reference { text, source })
}

/// The image that a ref is for; `None` if it is not a ref of an image.
///
/// # Errors
/// [`Error::Reference`] if the ref lies among the images, but names none.
pub fn image_of_ref(refspec: &RefSpec) -> Result<Option<ImageReference>> {
    parse_below(IMAGES, refspec)
}

/// The digest of the layer that a ref is for; `None` if it is not a ref of a layer.
///
/// # Errors
/// [`Error::Reference`] if the ref lies among the layers, but names none.
pub fn layer_of_ref(refspec: &RefSpec) -> Result<Option<Digest>> {
    parse_below(LAYERS, refspec)
}

/// The commit on a base that a ref keeps; `None` if it is not such a ref.
pub(super) fn commit_of_ref(refspec: &RefSpec) -> Result<Option<CommitId>> {
    parse_below(COMMITS, refspec)
}

fn parse_below<T: FromStr<Err = ParseError>>(prefix: &str, refspec: &RefSpec) -> Result<Option<T>> {
    let wrong = |source| Error::Reference { text: refspec.to_string(), source };
    if refspec.remote.is_some() {
        return Ok(None);
    }
    let text = unescape_ref(prefix, &refspec.name).map_err(wrong)?;
    text.map(|text| text.parse()).transpose().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from ostree-ext's own tests and images.
    #[test]
    fn escapes_as_ostree_ext() {
        for (text, escaped) in [
            ("foo", "foo"),
            ("foo/bar/baz", "foo/bar/baz"),
            ("foo/bar/baz/", "foo/bar/baz_2F_"),
            ("foo//", "foo/_2F_"),
            ("docker://quay.io/exampleos/latest:tag", "docker_3A__2F__2F_quay_2E_io/exampleos/latest_3A_tag"),
            ("f_b", "f__b"),
            ("oci:/DIR/oci:single", "oci_3A__2F_DIR/oci_3A_single"),
            ("☃", "_2603_"),
        ] {
            let name = escape_ref("x", text).unwrap();
            assert_eq!(name.to_string(), format!("x/{escaped}"));
            assert_eq!(unescape_ref("x", &name.name).unwrap().as_deref(), Some(text));
            assert_eq!(unescape_ref("y", &name.name).unwrap(), None);
        }
        assert!(escape_ref("x", "").is_err());
        for bad in ["x/a.b", "x/a_zz_", "x/a_3A"] {
            assert!(unescape_ref("x", &bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
