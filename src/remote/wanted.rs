//! Refs and commits that are wanted, and the commits that these are.

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::{Checksum, CollectionId, CommitId, RefName};

use super::error::{Error, Result};
use super::local::LocalArchive;
use super::server::RemoteServer;
use super::summary::FetchedSummary;
use crate::base::Ctx;
use crate::store::{self, local_ref};

/// Characters of something that should be a checksum that go into an error.
const SHOWN_CHARS: usize = 64;

/// What is wanted of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedRefs {
    /// Every ref in the summary.
    All,
    /// Some refs and commits.
    These(Vec<WantedRef>),
}

/// A ref or commit that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedRef {
    /// A commit, with no ref for it.
    Commit(CommitId),
    /// A ref: the commit that the remote says, or a given one.
    Ref {
        /// The collection that the refs of the remote belong to, if it is known before a summary tells.
        collection: Option<CollectionId>,
        /// The name of the ref.
        name: RefName,
        /// The commit that it shall name.
        commit: Option<CommitId>,
    },
}

impl WantedRefs {
    /// Whether the remote has to be asked which commits are meant.
    pub(super) fn needs_lookup(&self) -> bool {
        let open = |wanted: &WantedRef| matches!(wanted, WantedRef::Ref { commit: None, .. });
        match self {
            Self::All => true,
            Self::These(wanted) => wanted.iter().any(open),
        }
    }
}

/// A ref that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRef {
    /// The collection that it belongs to, as far as the summary says.
    pub collection: Option<CollectionId>,
    /// The name of the ref.
    pub name: RefName,
    /// The commit that it names.
    pub commit: CommitId,
}

/// The place that knows the refs if no summary does.
#[derive(Clone, Copy)]
pub(super) enum RefFiles<'a> {
    Server(&'a RemoteServer),
    Directory(&'a dyn LocalArchive),
}

/// Finds the commits of what is wanted: the refs, and the commits without.
pub(super) fn find(
    wanted: &WantedRefs,
    summary: Option<&FetchedSummary>,
    files: RefFiles<'_>,
    ctx: &Ctx,
) -> Result<(Vec<FoundRef>, Vec<CommitId>)> {
    let wanted = match wanted {
        WantedRefs::All => return Ok((all(summary.ok_or(Error::NoSummaryToMirror)?)?, Vec::new())),
        WantedRefs::These(wanted) => wanted,
    };
    let (mut refs, mut commits) = (BTreeMap::new(), Vec::new());
    for one in wanted {
        match one {
            WantedRef::Commit(id) if commits.contains(id) => {}
            WantedRef::Commit(id) => commits.push(*id),
            // Who names a ref several times means the last of them.
            WantedRef::Ref { collection, name, commit } => {
                refs.insert(name.clone(), (collection.clone(), *commit));
            }
        }
    }
    let collection = match summary {
        Some(summary) => summary.parsed.collection_id().map_err(|e| summary.damaged(e))?,
        None => None,
    };
    let one = |(name, (known, commit)): (RefName, (Option<CollectionId>, Option<CommitId>))| {
        if let Some(commit) = commit {
            return Ok(FoundRef { collection: known, name, commit });
        }
        let commit = match summary {
            Some(summary) => summary.parsed.find(&name).map(|found| found.commit),
            None => Some(in_file(&name, files, ctx)?),
        };
        match commit {
            Some(commit) => Ok(FoundRef { collection: collection.clone(), name, commit }),
            None => Err(Error::NoBranch(name)),
        }
    };
    let refs = refs.into_iter().map(one).collect::<Result<Vec<_>>>()?;
    Ok((refs, commits))
}

/// Every ref of a summary, those of other collections too; of one that stands there twice the first, as where it is looked up
/// by its name.
fn all(summary: &FetchedSummary) -> Result<Vec<FoundRef>> {
    let own = summary.parsed.collection_id().map_err(|e| summary.damaged(e))?;
    let others = summary.parsed.collections().map_err(|e| summary.damaged(e))?;
    let own = summary.parsed.refs.iter().map(|found| (own.clone(), found));
    let others = others.iter().flat_map(|(id, refs)| refs.iter().map(|found| (Some(id.clone()), found)));
    let one = |(collection, found): (_, &ostree_format::SummaryRef)| FoundRef {
        collection,
        name: found.name.clone(),
        commit: found.commit,
    };
    let mut seen = BTreeSet::new();
    let is_first = |found: &FoundRef| seen.insert((found.collection.clone(), found.name.clone()));
    Ok(own.chain(others).map(one).filter(is_first).collect())
}

/// The commit that the file of a ref names.
fn in_file(name: &RefName, files: RefFiles<'_>, ctx: &Ctx) -> Result<CommitId> {
    let server = match files {
        RefFiles::Server(server) => server,
        RefFiles::Directory(local) => {
            let refspec = local_ref(name.clone());
            return Ok(local.resolve(&refspec)?.ok_or(store::Error::RefNotFound(refspec))?);
        }
    };
    let bytes = server.require(&format!("refs/heads/{name}"), ctx)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    match text.parse::<Checksum>() {
        Ok(checksum) => Ok(CommitId::new(checksum)),
        Err(_) => {
            let shown = |c: char| if c.is_control() { ' ' } else { c };
            let text = text.chars().take(SHOWN_CHARS).map(shown).collect();
            Err(Error::NoRev { name: name.clone(), text })
        }
    }
}
