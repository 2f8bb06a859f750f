//! Refs, refspecs and revisions.
//!
//! ```text
//! ref       exampleos/x86_64/stable      components of [\w\d][-._\w\d]*, joined by '/'; \w and \d as Unicode has them
//! refspec   [remote:]ref
//! revision  refspec | 64 hex digits | abbreviated checksum, each with any number of '^' behind it
//! ```
//! Source: libostree ostree-core.c:143-145, ostree-repo-refs.c:356-409.

use std::fmt;
use std::str::FromStr;

use crate::checksum::{Checksum, CommitId};
use crate::error::{ParseError, Result};

/// The name of a ref inside one namespace (the local one or a remote's).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Box<str>);

/// The name of a remote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteName(Box<str>);

/// The id of a collection of refs: a reversed domain name such as `org.example.Os`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(Box<str>);

/// A ref of this repository, or of one of its remotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefSpec {
    /// The remote whose ref it is; none for a local one.
    pub remote: Option<RemoteName>,
    /// The ref.
    pub name: RefName,
}

/// The ref or commit that a revision starts from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RevBase {
    /// A whole checksum.
    Commit(CommitId),
    /// Up to 63 hexadecimal digits: the abbreviation of a checksum if exactly one commit fits, else a ref
    /// of that name.
    Prefix(Box<str>),
    /// A ref.
    Ref(RefSpec),
}

/// Names a commit: `main`, `remote:main^`, `3f2a`, a whole checksum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rev {
    /// The ref or commit to start from.
    pub base: RevBase,
    /// The number of times to go on to the parent.
    pub ancestors: usize,
}

/// Letters and digits of any script: the C program's regular expressions are of Unicode.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Checks one component of a ref, which starts at `offset`.
fn check_component(what: &'static str, text: &str, offset: usize, component: &str) -> Result<()> {
    let bad = |at: usize| {
        Err(ParseError::invalid(
            what,
            offset + at,
            format!(
                "invalid {what} {text}: a component starts with a letter, digit or '_', and goes on with these, '-' or '.'"
            ),
        ))
    };
    if !component.starts_with(is_word) {
        return bad(0);
    }
    match component.find(|c| !is_word(c) && c != '-' && c != '.') {
        Some(at) => bad(at),
        None => Ok(()),
    }
}

impl RefName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RefName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        let mut offset = 0;
        for component in text.split('/') {
            check_component("ref name", text, offset, component)?;
            offset += component.len() + 1;
        }
        Ok(Self(text.into()))
    }
}

impl RemoteName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemoteName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        check_component("remote name", text, 0, text)?;
        Ok(Self(text.into()))
    }
}

impl CollectionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CollectionId {
    type Err = ParseError;

    /// Reads a name of the kind that D-Bus gives interfaces: two or more elements of `[A-Za-z_][A-Za-z0-9_]*`, at
    /// most 255 bytes.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |at| Err(ParseError::invalid("collection ID", at, format!("Invalid collection ID {text}")));
        if text.len() > 255 || !text.contains('.') {
            return bad(0);
        }
        let mut offset = 0;
        for element in text.split('.') {
            let first = element.bytes().next();
            let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if first.is_none_or(|b| b.is_ascii_digit()) || !element.bytes().all(is_word) {
                return bad(offset);
            }
            offset += element.len() + 1;
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for RefSpec {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None => Ok(Self { remote: None, name: text.parse()? }),
            Some((remote, name)) => Ok(Self { remote: Some(remote.parse()?), name: name.parse()? }),
        }
    }
}

impl From<RefName> for RefSpec {
    fn from(name: RefName) -> Self {
        Self { remote: None, name }
    }
}

impl FromStr for Rev {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        let base = text.trim_end_matches('^');
        let ancestors = text.len() - base.len();
        let is_hex = !base.is_empty() && base.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let base = match base.parse::<Checksum>() {
            Ok(sum) => RevBase::Commit(CommitId::new(sum)),
            Err(_) if is_hex && base.len() < 64 => RevBase::Prefix(base.into()),
            Err(_) => RevBase::Ref(base.parse()?),
        };
        Ok(Self { base, ancestors })
    }
}

impl From<CommitId> for Rev {
    fn from(id: CommitId) -> Self {
        Self { base: RevBase::Commit(id), ancestors: 0 }
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            RevBase::Commit(id) => write!(f, "{id}")?,
            RevBase::Prefix(digits) => f.write_str(digits)?,
            RevBase::Ref(spec) => write!(f, "{spec}")?,
        }
        (0..self.ancestors).try_for_each(|_| f.write_str("^"))
    }
}

impl fmt::Display for RefSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remote {
            Some(remote) => write!(f, "{remote}:{}", self.name),
            None => fmt::Display::fmt(&self.name, f),
        }
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}
text!(RefName, RemoteName, CollectionId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_and_revisions() {
        for good in ["main", "a/b-c/d.e", "_x", "0", "exampleos/x86_64/stable", "ä", "größe/日本-1"] {
            assert!(good.parse::<RefName>().is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "-a", ".a", "a/.b", "a b", "ä–", "a:b", "a^", "a\0"] {
            assert!(bad.parse::<RefName>().is_err(), "{bad}");
        }
        let rev: Rev = "origin:a/b^^".parse().unwrap();
        assert_eq!(rev.ancestors, 2);
        assert_eq!(rev.to_string(), "origin:a/b^^");
        assert!(matches!("abc12".parse::<Rev>().unwrap().base, RevBase::Prefix(_)));
        assert!(matches!("abcg".parse::<Rev>().unwrap().base, RevBase::Ref(_)));
        assert!("^".parse::<Rev>().is_err());
        assert!("org.example.Os".parse::<CollectionId>().is_ok());
        assert!("org".parse::<CollectionId>().is_err());
        assert!("org.0a".parse::<CollectionId>().is_err());
    }
}
