//! Finds what is kept: commits as deep as asked, and all that they name.

use std::collections::HashMap;

use ostree_format::{Commit, CommitId, DirTreeId, DirTreeRef, RefSpec};

use super::{Keep, PruneOptions, RefRules, Repo, Roots, Scope};
use crate::base::Ctx;
use crate::store::{Completeness, Depth, Error, ObjectRead, Reachable, Refs, Result};

/// What is kept.
#[derive(Default)]
pub(super) struct KeptObjects {
    /// The commits, each with the depth to which its history was followed.
    pub(super) commits: HashMap<CommitId, Depth>,
    pub(super) objects: Reachable,
}

impl Repo {
    pub(super) fn find_kept(&self, options: &PruneOptions, ctx: &Ctx) -> Result<KeptObjects> {
        let mut kept = KeptObjects::default();
        let mut roots = Vec::new();
        match &options.roots {
            Roots::Commits => {
                roots.extend(self.commits_with_prefix("")?.into_iter().map(|id| (id, Depth::Parents(0))));
            }
            Roots::Refs(depth) => {
                roots.extend(self.list()?.into_values().map(|id| (id, *depth)));
                roots.extend(self.collection_refs()?.into_values().map(|id| (id, *depth)));
            }
            Roots::Rules(rules) => roots = self.roots_by_rules(rules)?,
        }
        for (id, depth) in roots {
            self.keep(id, depth, options.scope, &mut kept, ctx)?;
        }
        Ok(kept)
    }

    fn roots_by_rules(&self, rules: &RefRules) -> Result<Vec<(CommitId, Depth)>> {
        for refspec in &rules.only {
            self.resolve(refspec)?.ok_or_else(|| Error::RefNotFound(refspec.clone()))?;
        }
        let mut roots = Vec::new();
        let mut add = |id, refspec: Option<&RefSpec>| {
            let keep = match refspec.and_then(|refspec| rules.retain.get(refspec)) {
                Some(depth) => Keep::Depth(*depth),
                None if !rules.only.is_empty() && refspec.is_none_or(|r| !rules.only.contains(r)) => {
                    Keep::Depth(Depth::All)
                }
                None => rules.others,
            };
            roots.push((id, self.depth_of(id, keep)?));
            Ok::<_, Error>(())
        };
        let refs = self.list()?;
        for (refspec, id) in &refs {
            add(*id, Some(refspec))?;
        }
        for ((_, name), id) in self.collection_refs()? {
            // The refs of the repository's own collection and of remotes were among the others.
            if !refs.iter().any(|(refspec, target)| refspec.name == name && *target == id) {
                add(id, None)?;
            }
        }
        Ok(roots)
    }

    /// The number of parents that a rule keeps of a commit.
    fn depth_of(&self, mut id: CommitId, keep: Keep) -> Result<Depth> {
        let oldest = match keep {
            Keep::Depth(depth) => return Ok(depth),
            Keep::YoungerThan { secs } => secs,
        };
        let mut parents = 0;
        while let Some(commit) =
            self.commit_if_there(&id)?.filter(|commit| commit.timestamp.cast_signed() >= oldest)
        {
            let Some(parent) = commit.parent else { break };
            let is_young =
                self.commit_if_there(&parent)?.is_some_and(|parent| parent.timestamp.cast_signed() >= oldest);
            if !is_young {
                break;
            }
            (id, parents) = (parent, parents + 1);
        }
        Ok(Depth::Parents(parents))
    }

    fn commit_if_there(&self, id: &CommitId) -> Result<Option<Commit>> {
        let bytes = self.read_meta(&(*id).into())?;
        bytes.map(|bytes| Commit::parse(&bytes).map_err(Error::corrupt(*id))).transpose()
    }

    /// Notes a commit, its parents, and what they name.
    fn keep(
        &self,
        mut id: CommitId,
        mut depth: Depth,
        scope: Scope,
        kept: &mut KeptObjects,
        ctx: &Ctx,
    ) -> Result<()> {
        loop {
            ctx.cancel.check()?;
            let before = kept.commits.get(&id).copied();
            if before.is_some_and(|before| before.covers(depth)) {
                return Ok(());
            }
            // The history may end anywhere: it may never have been pulled.
            let Some(commit) = self.commit_if_there(&id)? else { return Ok(()) };
            kept.commits.insert(id, depth);
            if before.is_none() && scope == Scope::Everything {
                let state = self.completeness(&id)?;
                kept.objects.dirmetas.insert(commit.root.meta);
                self.keep_tree(commit.root.tree, state, &mut kept.objects)?;
            }
            match (commit.parent, depth.parent()) {
                (Some(parent), Some(left)) => (id, depth) = (parent, left),
                _ => return Ok(()),
            }
        }
    }

    fn keep_tree(&self, root: DirTreeId, state: Completeness, kept: &mut Reachable) -> Result<()> {
        let mut todo = vec![root];
        while let Some(id) = todo.pop() {
            if !kept.dirtrees.insert(id) {
                continue;
            }
            let Some(bytes) = self.read_meta(&id.into())? else {
                // Another commit may need it and be complete, so it is looked for again.
                kept.dirtrees.remove(&id);
                match state {
                    Completeness::Complete => return Err(Error::NotFound(id.into())),
                    _ => continue,
                }
            };
            let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
            kept.files.extend(tree.files().map(|(_, file)| file));
            for (_, dir) in tree.dirs() {
                kept.dirmetas.insert(dir.meta);
                todo.push(dir.tree);
            }
        }
        Ok(())
    }
}
