//! `summary`: the refs of a repository and what else a client wants to know before it pulls.
//!
//! ```text
//! (a(s(taya{sv}))a{sv})
//!   each ref, sorted: name, size of the commit object (host order), checksum,
//!                     {ostree.commit.timestamp: t big endian, ostree.commit.version: s}
//!   metadata          ostree.static-deltas a{sv}: delta → checksum of its superblock, ay
//!                     ostree.summary.last-modified t, .expires t: big endian; .mode s, .tombstone-commits b,
//!                     .indexed-deltas b, .collection-id s, .collection-map a{sa(s(taya{sv}))}
//! ```
//!
//! Source: libostree ostree-core.h:157-181, ostree-repo-private.h:51-65, ostree-repo.c:5871-6270.

use crate::variant::{Basic, Dict, Type, Value};
use crate::{
    Checksum, CollectionId, CommitId, CommitRef, ParseError, ParseErrorKind, RefName, RepoMode, Result,
};

/// A summary.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The refs, as they stand in the file: sorted, if libostree wrote it.
    pub refs: Vec<SummaryRef>,
    /// Everything else.
    pub metadata: Dict,
}

/// A ref in a summary.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRef {
    /// The ref.
    pub name: RefName,
    /// The size of the commit object, in bytes.
    pub commit_bytes: u64,
    /// The commit.
    pub commit: CommitId,
    /// Timestamp and version of the commit.
    pub metadata: Dict,
}

/// The content of a new summary.
#[derive(Debug, Clone)]
pub struct SummaryContent {
    /// The refs, in any order.
    pub refs: Vec<SummaryRef>,
    /// The collection that the refs belong to.
    pub collection_id: Option<CollectionId>,
    /// The refs of other collections.
    pub collections: Vec<(CollectionId, Vec<SummaryRef>)>,
    /// The names of the static deltas, `FROM-TO` or `TO`, and the checksums of their superblocks.
    pub static_deltas: Vec<(String, Checksum)>,
    /// The time at which the summary was made, in seconds since 1970.
    pub last_modified_secs: u64,
    /// The mode of the repository.
    pub mode: RepoMode,
    /// Whether a deleted commit leaves a tombstone.
    pub tombstone_commits: bool,
    /// Metadata that the caller adds.
    pub additional: Dict,
}

impl Summary {
    /// Reads a summary.
    ///
    /// # Errors
    /// If it is not in normal form, the name of a ref is none, or a checksum does not have 32 bytes.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let ty = Type::tuple(vec![refs_type(), Type::vardict()]);
        match parts(Value::from_bytes(&ty, data)?) {
            Some([refs, metadata]) => {
                Ok(Self { refs: parse_refs(refs)?, metadata: Dict::from_value(metadata)? })
            }
            None => Err(invalid("not a summary")),
        }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        Value::Tuple(vec![refs_value(&self.refs), self.metadata.to_value()]).to_bytes()
    }

    /// Makes a new summary, with the refs sorted and the metadata in the order in which libostree writes it.
    pub fn new(content: SummaryContent) -> Self {
        let SummaryContent { mut refs, mut collections, static_deltas, additional: mut metadata, .. } =
            content;
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        if !static_deltas.is_empty() {
            let digest = |(name, sum): (String, Checksum)| (name, Value::Bytes(sum.as_bytes().to_vec()));
            let deltas: Dict = static_deltas.into_iter().map(digest).collect();
            metadata.insert("ostree.static-deltas", deltas.hash_ordered().to_value());
        }
        metadata.insert("ostree.summary.last-modified", content.last_modified_secs.to_be());
        metadata.insert("ostree.summary.mode", content.mode.as_str());
        metadata.insert("ostree.summary.tombstone-commits", content.tombstone_commits);
        metadata.insert("ostree.summary.indexed-deltas", true);
        if let Some(id) = content.collection_id {
            metadata.insert("ostree.summary.collection-id", id.as_str());
        }
        if !collections.is_empty() {
            collections.sort_by(|a, b| a.0.cmp(&b.0));
            let entry = |(id, refs): (CollectionId, Vec<SummaryRef>)| {
                let mut refs = refs;
                refs.sort_by(|a, b| a.name.cmp(&b.name));
                Value::entry_unchecked(id.as_str().into(), refs_value(&refs))
            };
            let element = Type::entry(Basic::Str, refs_type());
            let map = Value::array_unchecked(element, collections.into_iter().map(entry).collect());
            metadata.insert("ostree.summary.collection-map", map);
        }
        Self { refs, metadata: metadata.hash_ordered() }
    }

    /// The ref `name`.
    pub fn find(&self, name: &RefName) -> Option<&SummaryRef> {
        self.refs.iter().find(|r| r.name == *name)
    }

    /// The collection that the refs belong to.
    ///
    /// # Errors
    /// If there is something that is no collection id.
    pub fn collection_id(&self) -> Result<Option<CollectionId>> {
        self.metadata.get_str("ostree.summary.collection-id").map(str::parse).transpose()
    }

    /// The refs of other collections.
    ///
    /// # Errors
    /// If there is a map of another type, or with something in it that is no collection id or no ref.
    pub fn collections(&self) -> Result<Vec<(CollectionId, Vec<SummaryRef>)>> {
        let Some(map) = self.metadata.get("ostree.summary.collection-map") else { return Ok(Vec::new()) };
        let wrong = || invalid("the type of the collection map is not 'a{sa(s(taya{sv}))}'");
        if !map.is(&Type::array(Type::entry(Basic::Str, refs_type()))) {
            return Err(wrong());
        }
        let Value::Array(map) = map.clone() else { return Err(wrong()) };
        let entry = |item| match item {
            Value::Entry(entry) => match entry.into_parts() {
                (Value::Str(id), refs) => Ok((id.parse()?, parse_refs(refs)?)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        };
        map.into_items().into_iter().map(entry).collect()
    }

    /// The names of the static deltas and the checksums of their superblocks.
    ///
    /// # Errors
    /// If a value is of another type, or not a checksum.
    pub fn static_deltas(&self) -> Result<Vec<(String, Checksum)>> {
        let deltas = self.metadata.get_dict("ostree.static-deltas")?.unwrap_or_default();
        let delta = |(name, digest)| match digest {
            Value::Bytes(digest) => Ok((name, Checksum::from_slice("static delta", 0, &digest)?)),
            _ => Err(invalid("the checksum of a static delta is not of type 'ay'")),
        };
        deltas.into_iter().map(delta).collect()
    }

    /// The time at which the summary was made, in seconds since 1970.
    pub fn last_modified_secs(&self) -> Option<u64> {
        self.metadata.get_u64("ostree.summary.last-modified").map(u64::from_be)
    }

    /// The time by which there ought to be a newer summary, in seconds since 1970.
    pub fn expires_secs(&self) -> Option<u64> {
        self.metadata.get_u64("ostree.summary.expires").map(u64::from_be)
    }

    /// The mode of the repository.
    ///
    /// # Errors
    /// If there is something that is no mode.
    pub fn mode(&self) -> Result<Option<RepoMode>> {
        self.metadata.get_str("ostree.summary.mode").map(str::parse).transpose()
    }

    /// Whether a deleted commit leaves a tombstone.
    pub fn tombstone_commits(&self) -> bool {
        self.metadata.get_bool("ostree.summary.tombstone-commits").unwrap_or(false)
    }

    /// Whether static deltas have an index each, so that those not in the summary may exist.
    pub fn indexed_deltas(&self) -> bool {
        self.metadata.get_bool("ostree.summary.indexed-deltas").unwrap_or(false)
    }
}

impl SummaryRef {
    /// The ref `name` of a commit object.
    ///
    /// # Errors
    /// If `data` is not a commit.
    pub fn new(name: RefName, commit: CommitId, data: &[u8]) -> Result<Self> {
        let parsed = CommitRef::parse(data)?;
        let mut metadata = Dict::new();
        // libostree leaves out what is not a date: the years 1 to 9999.
        if (-62_135_596_800..=253_402_300_799).contains(&parsed.timestamp.cast_signed()) {
            metadata.insert("ostree.commit.timestamp", parsed.timestamp.to_be());
        }
        if let Some(version) = parsed.metadata()?.get_str("version") {
            metadata.insert("ostree.commit.version", version);
        }
        Ok(Self { name, commit_bytes: data.len() as u64, commit, metadata: metadata.hash_ordered() })
    }

    /// The time at which the commit was made, in seconds since 1970.
    pub fn timestamp_secs(&self) -> Option<u64> {
        self.metadata.get_u64("ostree.commit.timestamp").map(u64::from_be)
    }

    /// The version of the commit.
    pub fn version(&self) -> Option<&str> {
        self.metadata.get_str("ostree.commit.version")
    }
}

fn invalid(why: &str) -> ParseError {
    ParseError::invalid("summary", 0, why)
}

/// The members of a tuple.
fn parts<const N: usize>(value: Value) -> Option<[Value; N]> {
    if let Value::Tuple(members) = value { members.try_into().ok() } else { None }
}

/// `a(s(taya{sv}))`
fn refs_type() -> Type {
    Type::array(ref_type())
}

fn ref_type() -> Type {
    let commit = Type::tuple(vec![Type::U64, Type::bytes(), Type::vardict()]);
    Type::tuple(vec![Type::STR, commit])
}

fn parse_refs(refs: Value) -> Result<Vec<SummaryRef>> {
    let Value::Array(refs) = refs else { return Err(invalid("not a list of refs")) };
    let one = |item| {
        let Some([Value::Str(name), commit]) = parts(item) else { return Err(invalid("not a ref")) };
        let Some([Value::U64(commit_bytes), Value::Bytes(commit), metadata]) = parts(commit) else {
            return Err(invalid("not a ref"));
        };
        let bad_name = |_| invalid(&format!("not the name of a ref: '{name}'"));
        let bad_sum = |e: ParseError| match e.kind {
            ParseErrorKind::BadChecksum => {
                invalid(&format!("the checksum of '{name}' does not have 32 bytes"))
            }
            _ => e,
        };
        Ok(SummaryRef {
            commit: CommitId::new(Checksum::from_slice("summary", 0, &commit).map_err(bad_sum)?),
            name: name.parse().map_err(bad_name)?,
            commit_bytes,
            metadata: Dict::from_value(metadata)?,
        })
    };
    refs.into_items().into_iter().map(one).collect()
}

fn refs_value(refs: &[SummaryRef]) -> Value {
    let one = |r: &SummaryRef| {
        let commit = Value::Bytes(r.commit.checksum().as_bytes().to_vec());
        let commit = Value::Tuple(vec![r.commit_bytes.into(), commit, r.metadata.to_value()]);
        Value::Tuple(vec![r.name.as_str().into(), commit])
    };
    Value::array_unchecked(ref_type(), refs.iter().map(one).collect())
}
