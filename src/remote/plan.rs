//! A pull: first what it will bring, then all of it into a transaction, the refs last.

use std::collections::{BTreeMap, HashMap};

use ostree_format::delta::DeltaName;
use ostree_format::{Checksum, CommitId, RefName, RepoMode, Summary};

use super::deltas::{self, DeltaFiles, RemoteDeltas, Target};
use super::error::{Error, Result};
use super::judge::Judge;
use super::local::LocalArchive;
use super::options::{
    Bindings, DeltaStats, DeltaUse, RefsOf, RemoteOptions, RemoteStats, SummaryJudge, Timestamps,
};
use super::server::RemoteServer;
use super::summary::{self, FetchedSummary, SummaryCache};
use super::walk::{self, Told};
use super::wanted::{self, FoundRef, RefFiles, WantedRefs};
use crate::base::{Ctx, debug_fields};
use crate::store::{Txn, load_commit, local_ref, remote_ref};
use crate::transfer::{self, Extent, TransferOptions};

/// The largest config of a remote that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Where a pull takes objects from.
pub enum Origin<'a> {
    /// A web server, and the place where its summary is kept for the next time.
    Server(&'a RemoteServer, Option<SummaryCache>),
    /// A repository of this machine.
    Directory(&'a dyn LocalArchive),
}

debug_fields!(
    enum Origin<'a> {
        Server,
        Directory,
    }
);

/// The summary of a remote; `None` if it has none.
///
/// # Errors
/// [`Error::Refused`] if `judge` refuses it, [`Error::NoSummaryToVerify`] if there is a judge and nothing to be judged;
/// [`Error::Summary`] if it is damaged; [`Error::Net`], [`Error::Store`].
pub fn fetch_summary(
    origin: &Origin<'_>,
    judge: Option<&SummaryJudge<'_>>,
    ctx: &Ctx,
) -> Result<Option<FetchedSummary>> {
    match origin {
        Origin::Server(server, cache) => summary::fetch(server, cache.as_ref(), judge, ctx),
        Origin::Directory(local) => summary::read(*local, judge),
    }
}

/// A pull before it begins: the refs were found, nothing was written.
pub struct RemotePlan<'a> {
    origin: Origin<'a>,
    options: RemoteOptions<'a>,
    /// The refs that will be written.
    pub refs: Vec<FoundRef>,
    /// Commits that are wanted without a ref.
    pub commits: Vec<CommitId>,
    /// The summary, if it was needed and the remote has one.
    pub summary: Option<FetchedSummary>,
    /// The static deltas that the summary names.
    known_deltas: HashMap<DeltaName, Checksum>,
    /// Whether the remote has indexes of static deltas.
    has_indexes: bool,
}

debug_fields!(RemotePlan<'a> { origin, options, refs, commits });

impl<'a> RemotePlan<'a> {
    /// Finds the commits of what is `wanted`.
    ///
    /// # Errors
    /// [`Error::NoBranch`], [`Error::NoRev`]; [`Error::Refused`] if the summary was; [`Error::NotAnArchive`];
    /// [`Error::Net`], [`Error::Store`].
    pub fn new(
        origin: Origin<'a>,
        wanted: &WantedRefs,
        options: RemoteOptions<'a>,
        ctx: &Ctx,
    ) -> Result<Self> {
        ctx.phase("Looking up refs", None, None);
        let judge = options.summary_judge;
        let looks_for_deltas = options.uses_deltas(&origin);
        // An archive with indexes says of deltas what is needed without the summary, which may be large.
        let has_indexes = match wanted.needs_lookup() || !looks_for_deltas {
            true => false,
            false => {
                let config = delta_files(&origin).small("config", MAX_CONFIG_BYTES, ctx)?;
                config.is_some_and(|config| deltas::has_indexes(&config))
            }
        };
        let needs_summary = wanted.needs_lookup() || (looks_for_deltas && !has_indexes);
        let summary = match &origin {
            _ if !needs_summary => None,
            origin => fetch_summary(origin, judge, ctx)?,
        };
        let has_indexes = has_indexes || summary.as_ref().is_some_and(|s| s.parsed.indexed_deltas());
        if let (Some(summary), Origin::Server(..)) = (&summary, &origin)
            && let Some(mode) = summary.parsed.mode().map_err(|e| summary.damaged(e))?
            && mode != RepoMode::Archive
        {
            return Err(Error::NotAnArchive(mode.as_str().to_owned()));
        }
        let files = match &origin {
            Origin::Server(server, _) => RefFiles::Server(server),
            Origin::Directory(local) => RefFiles::Directory(*local),
        };
        let (refs, commits) = wanted::find(wanted, summary.as_ref(), files, ctx)?;
        let mut known = HashMap::new();
        if let Some(summary) = summary.as_ref().filter(|_| looks_for_deltas) {
            let deltas = summary.parsed.static_deltas().map_err(|e| summary.damaged(e))?;
            known.extend(deltas.into_iter().filter_map(|(name, sum)| Some((name.parse().ok()?, sum))));
        }
        if options.deltas == DeltaUse::Required && !has_indexes && known.is_empty() {
            return Err(Error::NoDeltas);
        }
        Ok(Self { origin, options, refs, commits, summary, known_deltas: known, has_indexes })
    }

    /// Brings everything into `txn`.
    ///
    /// # Errors
    /// [`Error::Net`] if something could not be fetched; [`Error::Store`] if an object is damaged, a commit was
    /// refused, or something could not be written; [`Error::Cancelled`].
    pub fn run(&self, txn: &dyn Txn, ctx: &Ctx) -> Result<RemoteStats> {
        let judge = self.judge(txn)?;
        let mut commits = self.commits.clone();
        for found in &self.refs {
            if !commits.contains(&found.commit) {
                commits.push(found.commit);
            }
        }
        let mut by_delta = RemoteStats::default();
        if let Some(spool) = self.options.spool.filter(|_| self.options.uses_deltas(&self.origin)) {
            let mut deltas = self.deltas();
            for target in self.targets(txn)? {
                deltas.apply(&target, txn, &judge, spool, &mut by_delta, ctx)?;
            }
        }
        let mut stats = match &self.origin {
            Origin::Server(server, _) => {
                let told = self.summary.as_ref().map(|summary| told(&summary.parsed)).unwrap_or_default();
                walk::pull(server, txn, &commits, &self.options, &judge, &told, ctx)?
            }
            Origin::Directory(local) => self.copy(*local, txn, &commits, &judge, ctx)?,
        };
        stats.metadata_fetched += by_delta.metadata_fetched;
        stats.moved_bytes += by_delta.moved_bytes;
        stats.deltas = by_delta.deltas;
        self.write_refs(txn)?;
        Ok(stats)
    }

    /// Says what static deltas would bring; nothing is written to `txn`.
    ///
    /// # Errors
    /// [`Error::NoDelta`]; as [`RemotePlan::run`].
    pub fn look_at_deltas(&self, txn: &dyn Txn, ctx: &Ctx) -> Result<DeltaStats> {
        let (mut deltas, mut stats) = (self.deltas(), DeltaStats::default());
        for target in self.targets(txn)? {
            deltas.look(&target, txn, &mut stats, ctx)?;
        }
        Ok(stats)
    }

    fn deltas(&self) -> RemoteDeltas<'_> {
        RemoteDeltas {
            files: delta_files(&self.origin),
            options: &self.options,
            known: self.known_deltas.clone(),
            has_indexes: self.has_indexes,
            small_files: 0,
            small_bytes: 0,
        }
    }

    /// The commits that deltas may lead to.
    fn targets(&self, txn: &dyn Txn) -> Result<Vec<Target>> {
        let alone = |id: &CommitId| Target { commit: *id, name: None, before: None };
        let mut targets: Vec<_> = self.commits.iter().map(alone).collect();
        for found in &self.refs {
            let before = self.known(txn, &found.name)?;
            targets.push(Target { commit: found.commit, name: Some(found.name.to_string()), before });
        }
        Ok(targets)
    }

    fn copy(
        &self,
        from: &dyn LocalArchive,
        txn: &dyn Txn,
        commits: &[CommitId],
        judge: &Judge<'_>,
        ctx: &Ctx,
    ) -> Result<RemoteStats> {
        let options = TransferOptions {
            depth: self.options.depth,
            trust: self.options.trust,
            extent: self.options.extent.clone(),
            file_modes: self.options.file_modes,
            voucher: Some(judge),
        };
        let copied = transfer::copy(from, txn, commits, &options, ctx)?;
        Ok(RemoteStats {
            metadata_imported: copied.metadata_objects,
            content_imported: copied.content_objects,
            ..RemoteStats::default()
        })
    }

    /// What is asked of each commit.
    fn judge(&self, txn: &dyn Txn) -> Result<Judge<'_>> {
        let mut refs = RefsOf::new();
        for found in &self.refs {
            refs.entry(found.commit).or_default().push(found.name.clone());
        }
        let bindings = match (&self.options.bindings, &self.origin) {
            (Bindings::Verified(_), Origin::Directory(local)) => Bindings::Verified(local.collection()),
            (bindings, _) => bindings.clone(),
        };
        let time = |id: CommitId| Ok::<_, Error>((id, load_commit(txn, &id)?.timestamp));
        let (mut for_all, mut for_some) = (None, BTreeMap::<_, Vec<_>>::new());
        match &self.options.timestamps {
            Timestamps::Any => {}
            Timestamps::NotOlderThan(id) => for_all = Some(time(*id)?),
            Timestamps::NotOlderThanRefs => {
                for found in &self.refs {
                    if let Some(id) = self.known(txn, &found.name)? {
                        for_some.entry(found.commit).or_default().push(time(id)?);
                    }
                }
            }
        }
        Ok(Judge { voucher: self.options.voucher, bindings, refs, for_all, for_some })
    }

    /// The commit that a ref names here.
    fn known(&self, txn: &dyn Txn, name: &RefName) -> Result<Option<CommitId>> {
        let of_remote = match &self.options.remote {
            Some(remote) => txn.resolve_exact(&remote_ref(remote.clone(), name.clone()))?,
            None => None,
        };
        match of_remote {
            Some(id) => Ok(Some(id)),
            None => Ok(txn.resolve(&local_ref(name.clone()))?),
        }
    }

    fn write_refs(&self, txn: &dyn Txn) -> Result<()> {
        for FoundRef { collection, name, commit } in &self.refs {
            match (collection, self.options.mirror, &self.options.remote) {
                (Some(id), true, _) => txn.set_collection_ref(id, name, Some(*commit))?,
                (None, true, _) | (_, false, None) => txn.set_ref(&local_ref(name.clone()), Some(*commit))?,
                (_, false, Some(remote)) => {
                    let refspec = remote_ref(remote.clone(), name.clone());
                    if txn.resolve_exact(&refspec)? != Some(*commit) {
                        txn.set_ref(&refspec, Some(*commit))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl RemoteOptions<'_> {
    /// Whether deltas of this origin are looked for: those of a directory only if nothing else will do.
    fn uses_deltas(&self, origin: &Origin<'_>) -> bool {
        match (self.deltas, origin) {
            (DeltaUse::Never, _) | (DeltaUse::IfThere, Origin::Directory(_)) => false,
            _ => self.extent == Extent::Full && self.spool.is_some(),
        }
    }
}

fn delta_files<'a>(origin: &Origin<'a>) -> DeltaFiles<'a> {
    match origin {
        Origin::Server(server, _) => DeltaFiles::Server(server),
        Origin::Directory(local) => DeltaFiles::Directory(*local),
    }
}

/// What a summary says besides refs.
fn told(summary: &Summary) -> Told {
    // 0 is the size of no commit, and taken for one that is not told, as by libostree.
    let told = summary.refs.iter().filter(|found| found.commit_bytes > 0);
    let sizes = told.map(|found| (found.commit, found.commit_bytes));
    Told { commit_bytes: sizes.collect(), has_tombstones: summary.tombstone_commits() }
}
