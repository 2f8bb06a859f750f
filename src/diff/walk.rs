//! Walks two trees side by side and tells what differs.

use std::cmp::Ordering;

use super::side::{DirNode, FileNode, Listing, Node, Side};
use crate::base::Ctx;
use crate::store::Result;

/// Something that is not a directory, or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File,
    Dir,
}

/// One difference, with its path from the root: `/usr/bin`.
pub(super) enum Difference<'e> {
    Modified(What, &'e str),
    Removed(What, &'e str),
    Added(Node<'e>, &'e str),
    /// A directory became a file, or the other way round.
    Replaced {
        was: What,
        path: &'e str,
    },
}

type Visit<'v> = &'v mut dyn FnMut(Difference<'_>) -> Result<()>;

/// A directory that both sides have and whose content may differ.
struct Pair<'a> {
    path: String,
    from: Listing<'a>,
    to: Listing<'a>,
    /// How many directories of `from` are done.
    done: usize,
}

/// Compares two trees. In each directory come first the files, then each directory and what is in it, and
/// at last what was added: the order of `ostree diff`.
pub(super) fn walk(from: Side<'_>, to: Side<'_>, ctx: &Ctx, visit: Visit<'_>) -> Result<()> {
    let mut stack: Vec<_> = pair_of(String::new(), &from.into_root(), &to.into_root())?.into_iter().collect();
    while let Some(mut pair) = stack.pop() {
        ctx.cancel.check()?;
        if pair.done == 0 {
            pair.compare_files(visit)?;
        }
        let mut deeper = None;
        while deeper.is_none() && pair.done < pair.from.dirs.len() {
            deeper = pair.compare_next_dir(visit)?;
        }
        match deeper {
            // This directory goes on when the one below is done.
            Some(below) => stack.extend([pair, below]),
            None => pair.visit_added(visit)?,
        }
    }
    Ok(())
}

/// A pair to compare, unless both sides are known to be equal.
fn pair_of<'a>(path: String, from: &DirNode<'a>, to: &DirNode<'a>) -> Result<Option<Pair<'a>>> {
    if from.tree().is_some() && from.tree() == to.tree() {
        return Ok(None);
    }
    Ok(Some(Pair { path, from: from.list()?, to: to.list()?, done: 0 }))
}

impl<'a> Pair<'a> {
    fn compare_files(&self, visit: Visit<'_>) -> Result<()> {
        for (name, from) in &self.from.files {
            let path = format!("{}/{name}", self.path);
            match find(&self.to.files, name) {
                Some(to) if same(from, to)? => {}
                Some(_) => visit(Difference::Modified(What::File, &path))?,
                None if find(&self.to.dirs, name).is_some() => {
                    visit(Difference::Replaced { was: What::File, path: &path })?;
                }
                None => visit(Difference::Removed(What::File, &path))?,
            }
        }
        Ok(())
    }

    /// Compares the next directory of `from`, and gives it back if what is in it has to be compared.
    fn compare_next_dir(&mut self, visit: Visit<'_>) -> Result<Option<Self>> {
        let (name, from) = &self.from.dirs[self.done];
        self.done += 1;
        let path = format!("{}/{name}", self.path);
        match find(&self.to.dirs, name) {
            Some(to) => {
                if from.meta()? != to.meta()? {
                    visit(Difference::Modified(What::Dir, &path))?;
                }
                return pair_of(path, from, to);
            }
            None if find(&self.to.files, name).is_some() => {
                visit(Difference::Replaced { was: What::Dir, path: &path })?;
            }
            None => visit(Difference::Removed(What::Dir, &path))?,
        }
        Ok(None)
    }

    fn visit_added(&self, visit: Visit<'_>) -> Result<()> {
        let is_new =
            |name: &str| find(&self.from.files, name).is_none() && find(&self.from.dirs, name).is_none();
        for (name, _) in self.to.files.iter().filter(|(name, _)| is_new(name)) {
            visit(Difference::Added(Node::File, &format!("{}/{name}", self.path)))?;
        }
        for (name, dir) in self.to.dirs.iter().filter(|(name, _)| is_new(name)) {
            visit(Difference::Added(Node::Dir(dir), &format!("{}/{name}", self.path)))?;
        }
        Ok(())
    }
}

fn same(from: &FileNode, to: &FileNode) -> Result<bool> {
    Ok(from.identity()? == to.identity()?)
}

fn find<'l, T>(list: &'l [(Box<str>, T)], name: &str) -> Option<&'l T> {
    let at = list.binary_search_by(|(other, _)| -> Ordering { (**other).cmp(name) });
    at.ok().map(|at| &list[at].1)
}
