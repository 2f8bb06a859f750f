//! A check, step by step.

use std::collections::BTreeSet;

use ostree_format::{CollectionId, Commit, CommitId, ObjectName, ObjectType, RefName, RefSpec};

use super::super::Repo;
use super::{
    BindingChecks, Finding, FsckError, FsckOptions, FsckReport, FsckStep, MissingParents, OnCorruption,
    Problem, Result, blame, error, verify,
};
use crate::base::Ctx;
use crate::store::{
    COLLECTION_BINDING, Completeness, Error, ObjectRead, REF_BINDING, Refs, check_bindings, verify_meta,
};

/// One check under way.
struct Fsck<'a> {
    repo: &'a Repo,
    options: FsckOptions,
    steps: &'a mut dyn FnMut(FsckStep<'_>),
    ctx: &'a Ctx,
    report: FsckReport,
    /// Commit objects that were found intact.
    intact: BTreeSet<CommitId>,
    missing_parents: BTreeSet<CommitId>,
}

impl Repo {
    /// Checks everything that can be reached from refs and commits, and tells `steps` what goes on.
    ///
    /// # Errors
    /// [`FsckError`] for what ends the check; what does not is in the report, see [`FsckReport::result`].
    pub fn fsck(
        &mut self,
        options: &FsckOptions,
        steps: &mut dyn FnMut(FsckStep<'_>),
        ctx: &Ctx,
    ) -> Result<FsckReport> {
        let _lock = match options.corrupt {
            OnCorruption::Delete => self.lock_exclusive(ctx)?,
            _ => self.lock_shared(ctx)?,
        };
        let mut fsck = Fsck {
            repo: self,
            options: *options,
            steps: &mut *steps,
            ctx,
            report: FsckReport::default(),
            intact: BTreeSet::new(),
            missing_parents: BTreeSet::new(),
        };
        fsck.refs()?;
        let commits = fsck.commits()?;
        fsck.objects(&commits)?;
        let Fsck { mut report, missing_parents, .. } = fsck;
        for commit in missing_parents {
            self.add_tombstone(&commit)?;
            steps(FsckStep::AddedTombstone(commit));
            report.tombstones.push(commit);
        }
        Ok(report)
    }
}

impl Fsck<'_> {
    fn refs(&mut self) -> Result<()> {
        (self.steps)(FsckStep::Refs);
        for (refspec, commit) in self.repo.list()? {
            self.commit_of_ref(&commit, None, &refspec.name)?;
        }
        (self.steps)(FsckStep::CollectionRefs);
        for ((collection, name), commit) in self.repo.collection_refs()? {
            self.commit_of_ref(&commit, Some(&collection), &name)?;
        }
        Ok(())
    }

    fn commit_of_ref(
        &mut self,
        id: &CommitId,
        collection: Option<&CollectionId>,
        name: &RefName,
    ) -> Result<()> {
        if !self.intact.contains(id) {
            self.commit_object(id)?;
        }
        let failed = |source| FsckError::Ref { collection: collection.cloned(), name: name.clone(), source };
        let object = ObjectName::from(*id);
        let bytes = self.repo.read_meta(&object)?.ok_or_else(|| failed(Error::NotFound(object)))?;
        if self.options.bindings == BindingChecks::Ignore {
            return Ok(());
        }
        let commit = Commit::parse(&bytes).map_err(|e| failed(Error::corrupt(object)(e)))?;
        check_bindings(&commit.metadata, Some(name), collection)
            .map_err(|source| FsckError::Binding { commit: *id, source })
    }

    /// Checks the commit object of a ref by itself.
    fn commit_object(&mut self, id: &CommitId) -> Result<()> {
        let name = ObjectName::from(*id);
        let problem = match self.repo.read_meta(&name).and_then(|bytes| {
            let bytes = bytes.ok_or(Error::NotFound(name))?;
            verify_meta(&name, &bytes)
        }) {
            Ok(()) => {
                self.intact.insert(*id);
                return Ok(());
            }
            Err(e) => Problem::of(e)?,
        };
        self.take(Finding { name, problem, commits: Vec::new(), path: None })
    }

    /// Looks at every commit object; gives back those whose objects are to be checked.
    fn commits(&mut self) -> Result<Vec<CommitId>> {
        (self.steps)(FsckStep::Commits);
        let mut commits = self.repo.commits_with_prefix("")?;
        commits.sort_unstable();
        let mut complete = Vec::new();
        for id in commits {
            self.ctx.cancel.check().map_err(Error::from)?;
            match self.repo.completeness(&id)? {
                Completeness::Complete => complete.push(id),
                Completeness::Partial => self.report.partial_commits += 1,
                Completeness::PartialByFsck => {
                    self.report.partial_commits += 1;
                    self.report.partial_by_fsck += 1;
                }
            }
            let bytes = self.repo.read_meta(&id.into())?.unwrap_or_default();
            // A commit that is damaged is found with its objects.
            if let Ok(commit) = Commit::parse(&bytes) {
                self.commit_in_history(&id, &commit)?;
            }
        }
        Ok(complete)
    }

    fn commit_in_history(&mut self, id: &CommitId, commit: &Commit) -> Result<()> {
        if self.options.bindings == BindingChecks::CheckBack {
            self.refs_point_back(id, commit)?;
        }
        if self.options.missing_parents == MissingParents::AddTombstones
            && let Some(parent) = commit.parent
            && !self.repo.contains(&parent.into())?
            && !self.repo.contains(&ObjectName::new(*parent.checksum(), ObjectType::TombstoneCommit))?
        {
            self.missing_parents.insert(parent);
        }
        Ok(())
    }

    fn refs_point_back(&self, id: &CommitId, commit: &Commit) -> Result<()> {
        let collection = commit.metadata.get_str(COLLECTION_BINDING);
        for name in commit.metadata.get_strv(REF_BINDING).unwrap_or_default() {
            let found = self.resolve_bound(collection, name)?;
            let bound = || (collection.map(Into::into), name.into(), *id);
            match found {
                Some(found) if found == *id => {}
                Some(_) => {
                    let (collection, name, commit) = bound();
                    return Err(FsckError::BackRefElsewhere { collection, name, commit });
                }
                None => {
                    let (collection, name, commit) = bound();
                    return Err(FsckError::BackRefMissing { collection, name, commit });
                }
            }
        }
        Ok(())
    }

    /// The commit that a ref named in a binding points to; none if the name is none.
    fn resolve_bound(&self, collection: Option<&str>, name: &str) -> Result<Option<CommitId>> {
        let Ok(name) = name.parse::<RefName>() else { return Ok(None) };
        let Some(collection) = collection else {
            return Ok(self.repo.resolve(&RefSpec::from(name))?);
        };
        let Ok(collection) = collection.parse::<CollectionId>() else { return Ok(None) };
        Ok(self.repo.collection_refs()?.get(&(collection, name)).copied())
    }

    /// Checks the objects of commits, and deals with what is wrong.
    fn objects(&mut self, commits: &[CommitId]) -> Result<()> {
        (self.steps)(FsckStep::Objects { commits: commits.len() });
        self.report.commits = commits.len();
        let found = verify::verify(self.repo, commits, self.options.corrupt, self.ctx)?;
        self.report.objects = found.objects;
        if found.problems.is_empty() {
            return Ok(());
        }
        let mut places = blame::places(self.repo, commits, &found.problems, self.ctx)?;
        // The one that stops the check comes after those that do not.
        let mut problems: Vec<_> = found.problems.into_iter().collect();
        problems.sort_by_key(|(name, problem)| (matches!(problem, Problem::Corrupt(_)), *name));
        for (name, problem) in problems {
            let blame::ObjectUsers { commits, path } = places.remove(&name).unwrap_or_default();
            self.take(Finding { name, problem, commits, path })?;
        }
        Ok(())
    }

    /// Reports a finding, and does what is to be done about it.
    fn take(&mut self, finding: Finding) -> Result<()> {
        if self.options.corrupt == OnCorruption::Stop && matches!(finding.problem, Problem::Corrupt(_)) {
            return Err(FsckError::Corrupt(Box::new(finding)));
        }
        (self.steps)(FsckStep::Found(&finding));
        if self.is_gone(&finding)? && finding.name.kind != ObjectType::Commit && self.repo.is_writable() {
            for commit in &finding.commits {
                if self.repo.completeness(commit)? == Completeness::Complete {
                    (self.steps)(FsckStep::MarkedPartial(*commit));
                    self.repo.set_partial(commit, Completeness::PartialByFsck)?;
                }
            }
        }
        self.report.findings.push(finding);
        Ok(())
    }

    /// Whether the object is missing now, deleted if that was asked for.
    fn is_gone(&self, finding: &Finding) -> Result<bool> {
        match (&finding.problem, self.options.corrupt) {
            (Problem::Missing, _) => Ok(true),
            (Problem::Corrupt(e), OnCorruption::Delete) if !error::is_unreadable(e) => {
                match self.repo.delete_object(&finding.name) {
                    // In the parent repository, which is not ours.
                    Err(Error::NotFound(_)) => Ok(false),
                    other => Ok(other.map(|()| true)?),
                }
            }
            _ => Ok(false),
        }
    }
}
