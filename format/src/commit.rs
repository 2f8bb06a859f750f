//! Commit objects: `(a{sv}aya(say)sstayay)` of metadata, parent (empty if none), related objects, subject,
//! body, timestamp (seconds since 1970, big endian), root dirtree, root dirmeta.
//!
//! Source: libostree ostree-core.h:154, ostree-core.c:2182 (validation).

use crate::checksum::{Checksum, CommitId, DirMetaId, DirTreeId};
use crate::error::{ParseErrorKind, Result};
use crate::variant::Dict;
use crate::wire::{Frame, Slice, Tuple, checksum, put_string};

/// The metadata key with the fs-verity digest of the tree's composefs image, 32 bytes.
pub const COMPOSEFS_DIGEST_KEY: &str = "ostree.composefs.digest.v0";

/// A commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Metadata, in the order in which the id was made of it.
    pub metadata: Dict,
    /// The commit before this one.
    pub parent: Option<CommitId>,
    /// Related objects (name, checksum); libostree writes none.
    pub related: Vec<(String, Checksum)>,
    /// First line of the message.
    pub subject: String,
    /// The rest of the message.
    pub body: String,
    /// The time at which the commit was made: seconds since 1970-01-01 UTC.
    pub timestamp: u64,
    /// The root directory.
    pub root: RootDir,
}

/// The root directory of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootDir {
    /// The dirtree object with the root directory's content.
    pub tree: DirTreeId,
    /// The dirmeta object with the root directory's owner, mode and xattrs.
    pub meta: DirMetaId,
}

impl RootDir {
    /// The "content checksum": SHA-256 of dirtree id and dirmeta id, the same for equal trees.
    pub fn content_checksum(&self) -> Checksum {
        Checksum::of(&[&self.tree.as_bytes()[..], &self.meta.as_bytes()[..]].concat())
    }
}

/// A parsed commit object that borrows its bytes; everything but the metadata's values was checked.
#[derive(Debug, Clone, Copy)]
pub struct CommitRef<'a> {
    metadata: Slice<'a>,
    /// The commit before this one.
    pub parent: Option<CommitId>,
    related: Slice<'a>,
    /// First line of the message.
    pub subject: &'a str,
    /// The rest of the message.
    pub body: &'a str,
    /// The time at which the commit was made: seconds since 1970-01-01 UTC.
    pub timestamp: u64,
    /// The root directory.
    pub root: RootDir,
}

impl<'a> CommitRef<'a> {
    /// Reads a commit object.
    ///
    /// # Errors
    /// If it is not in normal form, or a checksum is not 32 bytes (the parent's may be empty).
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut tuple = Tuple::new(Slice::new("commit", bytes), 6)?;
        let metadata = tuple.framed(8)?.named("commit metadata");
        let parent = tuple.framed(1)?.named("commit parent");
        let related = tuple.framed(1)?.named("related objects");
        let subject = tuple.framed(1)?.named("commit subject").string()?;
        let body = tuple.framed(1)?.named("commit body").string()?;
        let timestamp = tuple.u64_be()?;
        let tree = checksum(tuple.framed(1)?.named("root dirtree"))?;
        let meta = checksum(tuple.last(1)?.named("root dirmeta"))?;
        let parent = match parent.bytes {
            [] => None,
            _ => Some(CommitId::new(checksum(parent)?)),
        };
        for entry in related.elements(1)? {
            related_entry(entry?)?;
        }
        let root = RootDir { tree: DirTreeId::new(tree), meta: DirMetaId::new(meta) };
        Ok(Self { metadata, parent, related, subject, body, timestamp, root })
    }

    /// The metadata.
    ///
    /// # Errors
    /// If it is not a dictionary in normal form, or a key is empty.
    pub fn metadata(&self) -> Result<Dict> {
        let dict = Dict::parse(self.metadata.bytes).map_err(|mut e| {
            e.offset += self.metadata.offset;
            e
        })?;
        if dict.iter().any(|(key, _)| key.is_empty()) {
            return Err(self.metadata.error(0, ParseErrorKind::Invalid("Empty metadata key".into())));
        }
        Ok(dict)
    }

    /// An owned copy.
    ///
    /// # Errors
    /// As [`CommitRef::metadata`].
    pub fn to_owned(&self) -> Result<Commit> {
        let related: Result<Vec<_>> = self.related.elements(1)?.map(|e| related_entry(e?)).collect();
        Ok(Commit {
            metadata: self.metadata()?,
            parent: self.parent,
            related: related?,
            subject: self.subject.into(),
            body: self.body.into(),
            timestamp: self.timestamp,
            root: self.root,
        })
    }
}

fn related_entry(entry: Slice<'_>) -> Result<(String, Checksum)> {
    let mut tuple = Tuple::new(entry, 1)?;
    Ok((tuple.framed(1)?.string()?.into(), checksum(tuple.last(1)?.named("related checksum"))?))
}

impl Commit {
    /// Reads a commit object and all of its metadata.
    ///
    /// # Errors
    /// As [`CommitRef::parse`] and [`CommitRef::metadata`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        CommitRef::parse(bytes)?.to_owned()
    }

    /// The bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut tuple = Frame::begin(&mut out, 8);
        out.extend_from_slice(&self.metadata.to_bytes());
        tuple.end_member(&out);
        if let Some(parent) = &self.parent {
            out.extend_from_slice(parent.as_bytes());
        }
        tuple.end_member(&out);
        let mut related = Frame::begin(&mut out, 1);
        for (name, sum) in &self.related {
            let mut entry = Frame::begin(&mut out, 1);
            put_string(&mut out, name);
            entry.end_member(&out);
            out.extend_from_slice(sum.as_bytes());
            entry.finish_tuple(&mut out);
            related.end_member(&out);
        }
        related.finish_array(&mut out);
        tuple.end_member(&out);
        put_string(&mut out, &self.subject);
        tuple.end_member(&out);
        put_string(&mut out, &self.body);
        tuple.end_member(&out);
        crate::wire::pad(&mut out, 8);
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(self.root.tree.as_bytes());
        tuple.end_member(&out);
        out.extend_from_slice(self.root.meta.as_bytes());
        tuple.finish_tuple(&mut out);
        out
    }

    /// The id of the commit: the checksum of its bytes.
    pub fn id(&self) -> CommitId {
        CommitId::new(Checksum::of(&self.to_bytes()))
    }
}
