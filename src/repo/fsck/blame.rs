//! Finds the commits and paths that damaged objects belong to. Walks the commits once more, which is
//! only done when something is wrong.

use std::collections::{BTreeMap, HashSet};

use ostree_format::{CommitId, CommitRef, DirTreeId, DirTreeRef, ObjectName};

use super::super::Repo;
use super::Problem;
use super::error::is_unreadable;
use crate::base::Ctx;
use crate::store::{ObjectRead, Result};

/// Where an object is used.
#[derive(Default)]
pub(super) struct ObjectUsers {
    pub(super) commits: Vec<CommitId>,
    pub(super) path: Option<String>,
}

/// Finds the places of the objects in `wanted`.
pub(super) fn places(
    repo: &Repo,
    commits: &[CommitId],
    wanted: &BTreeMap<ObjectName, Problem>,
    ctx: &Ctx,
) -> Result<BTreeMap<ObjectName, ObjectUsers>> {
    let mut found = BTreeMap::new();
    for commit in commits {
        ctx.cancel.check()?;
        let is_told = |name: &ObjectName| wanted.contains_key(name);
        walk(repo, commit, &is_told, &mut |name, path| {
            if wanted.contains_key(&name) {
                let place: &mut ObjectUsers = found.entry(name).or_default();
                if place.commits.last() != Some(commit) {
                    place.commits.push(*commit);
                }
                place.path.get_or_insert_with(path);
            }
        })?;
    }
    Ok(found)
}

type Visit<'v> = &'v mut dyn FnMut(ObjectName, &dyn Fn() -> String);

/// Visits the objects of a commit with their paths. What is damaged or missing is told already, and so is what `is_told`
/// knows.
fn walk(
    repo: &Repo,
    commit: &CommitId,
    is_told: &dyn Fn(&ObjectName) -> bool,
    visit: Visit<'_>,
) -> Result<()> {
    let read = |name: ObjectName| match repo.read_meta(&name) {
        // Whatever is the matter with the machine: a commit that is passed over for it would count as complete.
        Err(error) if is_unreadable(&error) && !is_told(&name) => Err(error),
        read => Ok(read.ok().flatten().unwrap_or_default()),
    };
    visit((*commit).into(), &|| "/".into());
    let bytes = read((*commit).into())?;
    let Ok(root) = CommitRef::parse(&bytes).map(|commit| commit.root) else { return Ok(()) };
    visit(root.meta.into(), &|| "/".into());
    let (mut todo, mut seen) = (vec![(root.tree, String::new())], HashSet::<DirTreeId>::new());
    while let Some((id, path)) = todo.pop() {
        visit(id.into(), &|| if path.is_empty() { "/".into() } else { path.clone() });
        if !seen.insert(id) {
            continue;
        }
        let bytes = read(id.into())?;
        let Ok(tree) = DirTreeRef::parse(&bytes) else { continue };
        for (name, file) in tree.files() {
            visit(file.into(), &|| format!("{path}/{name}"));
        }
        for (name, dir) in tree.dirs() {
            visit(dir.meta.into(), &|| format!("{path}/{name}"));
            todo.push((dir.tree, format!("{path}/{name}")));
        }
    }
    Ok(())
}
