//! What stands in frames, as bytes; numbers are big-endian.
//!
//! ```text
//! Offer   depth 4 (all ones: everything) · for each ref: length of the name 2 · name · commit 32
//! Have    for each of these refs: 0, or 1 and the commit 32
//! Want    for each object: type 1 · checksum 32
//! File    length of the content 8 · header (uuuusa(ayay))
//! Meta    the object, or a commit's detached metadata
//! ```

use ostree_format::{Checksum, CommitId, FileHeader, ObjectName, ObjectType, RefName};

use super::{Error, Result};
use crate::store::Depth;

/// The name of an object in `Want`.
pub(super) const NAME_BYTES: usize = 33;

/// What a sender has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) depth: Depth,
    pub(super) refs: Vec<(RefName, CommitId)>,
}

impl Offer {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let depth = match self.depth {
            Depth::All => u32::MAX,
            // So many parents nobody has.
            Depth::Parents(parents) => parents.min(u32::MAX - 1),
        };
        let mut out = depth.to_be_bytes().to_vec();
        for (name, commit) in &self.refs {
            let name = name.as_str().as_bytes();
            // A name is a path, which is shorter.
            out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(name);
            out.extend_from_slice(commit.checksum().as_bytes());
        }
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut bytes = Bytes(bytes);
        let depth = match u32::from_be_bytes(bytes.array()?) {
            u32::MAX => Depth::All,
            parents => Depth::Parents(parents),
        };
        let mut refs = Vec::new();
        while !bytes.0.is_empty() {
            let len = u16::from_be_bytes(bytes.array()?);
            let name = std::str::from_utf8(bytes.take(len.into())?).ok().and_then(|name| name.parse().ok());
            let name = name.ok_or(Error::Protocol("it offers a ref whose name is none"))?;
            refs.push((name, CommitId::new(bytes.checksum()?)));
        }
        Ok(Self { depth, refs })
    }
}

pub(super) fn have(commits: &[Option<CommitId>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(commits.len() * NAME_BYTES);
    for commit in commits {
        out.push(commit.is_some().into());
        commit.iter().for_each(|commit| out.extend_from_slice(commit.checksum().as_bytes()));
    }
    out
}

/// Reads what `count` refs name.
pub(super) fn parse_have(bytes: &[u8], count: usize) -> Result<Vec<Option<CommitId>>> {
    let mut bytes = Bytes(bytes);
    let mut commits = Vec::with_capacity(count);
    for _ in 0..count {
        commits.push(match bytes.array()? {
            [0] => None,
            [1] => Some(CommitId::new(bytes.checksum()?)),
            _ => return Err(Error::Protocol("it says neither yes nor no")),
        });
    }
    if bytes.0.is_empty() { Ok(commits) } else { Err(Error::Protocol("it has refs that nobody asked for")) }
}

pub(super) fn want<'n>(names: impl Iterator<Item = &'n ObjectName>) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        out.push(name.kind as u8);
        out.extend_from_slice(name.checksum.as_bytes());
    }
    out
}

pub(super) fn parse_want(bytes: &[u8]) -> Result<Vec<ObjectName>> {
    let mut bytes = Bytes(bytes);
    let mut names = Vec::new();
    while !bytes.0.is_empty() {
        let [kind] = bytes.array()?;
        let kind = ObjectType::from_number(kind).ok_or(Error::Protocol("it wants an object of no type"))?;
        names.push(ObjectName::new(bytes.checksum()?, kind));
    }
    Ok(names)
}

/// The length of a file's content, and the file's header.
pub(super) fn parse_file(bytes: &[u8]) -> Result<(u64, FileHeader)> {
    let mut bytes = Bytes(bytes);
    let len = u64::from_be_bytes(bytes.array()?);
    let header = FileHeader::parse(bytes.0).map_err(|_| Error::Protocol("it sends a header that is none"))?;
    Ok((len, header))
}

/// Bytes that are read from their start.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Error::Protocol("it sends half a message"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Error::Protocol("it sends half a message"))
    }

    fn checksum(&mut self) -> Result<Checksum> {
        Ok(Checksum::new(self.array()?))
    }
}
