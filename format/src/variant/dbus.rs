//! Two kinds of text that D-Bus gives a type of its own.

use std::fmt;

use super::ty::Type;
use crate::{ParseError, Result};

/// A D-Bus object path: `/`, or `/` and parts of `[A-Za-z0-9_]+` between single slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectPath(String);

/// A D-Bus signature: complete types one after another, without maybes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature(String);

impl ObjectPath {
    /// An object path.
    ///
    /// # Errors
    /// If `path` is not `/`, or has an empty part or another character than `[A-Za-z0-9_/]`.
    pub fn new(path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        let error = |at| Err(ParseError::invalid("object path", at, "not a D-Bus object path"));
        let Some(rest) = path.strip_prefix('/') else { return error(0) };
        if let Some(at) = path.bytes().position(|c| !(c.is_ascii_alphanumeric() || c == b'_' || c == b'/')) {
            return error(at);
        }
        if !rest.is_empty() && rest.split('/').any(str::is_empty) {
            return error(path.find("//").unwrap_or(path.len() - 1));
        }
        Ok(Self(path))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Signature {
    /// A signature, which may be empty.
    ///
    /// # Errors
    /// If `text` is not a sequence of complete D-Bus types.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if let Some(at) = text.bytes().position(|c| !b"ybnqihuxtdvasog(){}".contains(&c)) {
            return Err(ParseError::invalid("signature", at, "not a D-Bus signature"));
        }
        let mut pos = 0;
        while pos < text.len() {
            pos = Type::parse_prefix(text.as_bytes(), pos)?.1;
        }
        Ok(Self(text))
    }

    /// The signature as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
