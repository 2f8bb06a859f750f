//! What a caller says of a pull, and what it is told of it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use cap_std::fs::Dir;
use ostree_format::{CollectionId, CommitId, RefName, RemoteName};

use crate::base::debug_fields;
use crate::base::io::Spool;
use crate::store::{self, ArchivedCheck, Depth, ObjectRead, Refusal, Voucher};
use crate::transfer::{Extent, FileModes, Trust};

/// Requests under way at the same time: so many fill a line on which an answer takes 50 ms.
const REQUESTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// A judge of a summary: it gets the summary, and the signatures if there are any.
pub type SummaryJudge<'a> = dyn Fn(&[u8], Option<&[u8]>) -> Result<(), Refusal> + 'a;

/// Options for a pull from a remote.
#[derive(Clone)]
pub struct RemoteOptions<'a> {
    /// The remote that the refs are written for; with none, they become local ones.
    pub remote: Option<RemoteName>,
    /// Whether refs are written as those of a mirror: local ones, or those of collections.
    pub mirror: bool,
    /// Parents to pull as well. A parent that the remote does not have ends the history.
    pub depth: Depth,
    /// The part of each commit that is pulled.
    pub extent: Extent,
    /// The degree to which content objects of a directory of this machine are believed.
    pub trust: Trust,
    /// The degree to which content objects of a web server are believed.
    pub server_trust: ServerTrust,
    /// The modes of files that are let through.
    pub file_modes: FileModes,
    /// The voucher that is asked about every commit before anything of it is written; `None` accepts any commit.
    pub voucher: Option<&'a dyn Voucher>,
    /// The judge of the summary; `None` believes any.
    pub summary_judge: Option<&'a SummaryJudge<'a>>,
    /// The refs that commits have to be bound to.
    pub bindings: Bindings,
    /// The commits that others may not be older than.
    pub timestamps: Timestamps,
    /// Stores of this machine that may have some of the objects.
    pub local_caches: Vec<&'a dyn ObjectRead>,
    /// The place for parts of large objects; without one they are held in memory.
    pub parts: Option<PartsDir>,
    /// Requests under way at most.
    pub requests: NonZeroUsize,
    /// Whether static deltas are used. An archive has no use for them: it keeps files compressed as they are.
    pub deltas: DeltaUse,
    /// Makes the files in which parts of static deltas lie while they are applied; without it, none are used.
    pub spool: Option<&'a Spool<'a>>,
}

debug_fields!(RemoteOptions<'a> { remote, mirror, depth, extent, trust, server_trust, file_modes, bindings, timestamps, deltas });

/// A directory for files that are too large for memory.
#[derive(Clone)]
pub struct PartsDir {
    /// The directory.
    pub dir: Arc<Dir>,
    /// A check whether it has room for a number of bytes; it is called before they are written.
    pub room: Arc<dyn Fn(u64) -> store::Result<()> + Send + Sync>,
}

debug_fields!(PartsDir { dir });

/// The degree to which content objects of a web server are believed. Commits, dirtrees and dirmetas are verified always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerTrust {
    /// Every object has to have its checksum.
    #[default]
    Nothing,
    /// A mirror that is an archive stores objects as they come and does not look at them: whoever controls the server or
    /// the line can put anything into it. Where objects are unpacked, or modes are judged, they are verified as ever.
    Content,
}

/// Whether static deltas are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeltaUse {
    /// Deltas are not looked for.
    #[default]
    Never,
    /// A delta is used where the remote has one that starts from a commit which is here.
    IfThere,
    /// A pull that finds none fails.
    Required,
}

impl Default for RemoteOptions<'_> {
    fn default() -> Self {
        Self {
            remote: None,
            mirror: false,
            depth: Depth::Parents(0),
            extent: Extent::default(),
            trust: Trust::default(),
            server_trust: ServerTrust::default(),
            file_modes: FileModes::default(),
            voucher: None,
            summary_judge: None,
            bindings: Bindings::default(),
            timestamps: Timestamps::default(),
            local_caches: Vec::new(),
            parts: None,
            requests: REQUESTS,
            deltas: DeltaUse::default(),
            spool: None,
        }
    }
}

impl RemoteOptions<'_> {
    /// What is asked of objects that an archive takes over as they are.
    pub(super) fn archived_check(&self) -> ArchivedCheck {
        match (self.server_trust, self.mirror, self.file_modes) {
            (ServerTrust::Content, true, FileModes::Any) => ArchivedCheck::Nothing,
            _ => ArchivedCheck::Verified,
        }
    }
}

/// Whether commits have to be bound to the refs that led to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bindings {
    /// Bindings are checked, against this collection if it is known.
    Verified(Option<CollectionId>),
    /// Bindings do not matter.
    Ignored,
}

impl Default for Bindings {
    fn default() -> Self {
        Self::Verified(None)
    }
}

/// Whether commits may be older than those that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// Time does not matter.
    #[default]
    Any,
    /// The commit of a ref may not be older than the one that the ref names here.
    NotOlderThanRefs,
    /// No commit may be older than this one.
    NotOlderThan(CommitId),
}

/// Counts of what a pull brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteStats {
    /// Commits, their detached metadata, dirtrees and dirmetas that were fetched, and what tells of static deltas: indexes
    /// and superblocks.
    pub metadata_fetched: u64,
    /// Content objects that were fetched.
    pub content_fetched: u64,
    /// Metadata objects that came from this machine.
    pub metadata_imported: u64,
    /// Content objects that came from this machine.
    pub content_imported: u64,
    /// Bytes of files that were fetched.
    pub moved_bytes: u64,
    /// What was done with static deltas.
    pub deltas: DeltaStats,
}

/// Counts of what static deltas hold, and of what had to be fetched of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaStats {
    /// Parts that were fetched or whose objects are here, and objects beside the parts that are.
    pub parts_done: u64,
    /// Parts, and objects beside them.
    pub parts: u64,
    /// Bytes of what is done.
    pub bytes_done: u64,
    /// Bytes of all of it.
    pub bytes: u64,
    /// Bytes of the objects in it.
    pub unpacked_bytes: u64,
    /// Bytes of the content of the files that it made here.
    pub content_bytes: u64,
}

/// The refs that commits were asked for by.
pub(super) type RefsOf = BTreeMap<CommitId, Vec<RefName>>;
