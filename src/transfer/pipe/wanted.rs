//! What is to be asked for next, and what was asked for and is not answered.

use std::collections::{HashSet, VecDeque};

use ostree_format::{CommitId, DirMetaId, DirTreeId, DirTreeRef, FileId, ObjectName};

use super::WINDOW;
use crate::base::Cancel;
use crate::store::{Depth, Error, ObjectRead, Result};

/// A commit that is to be received.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitWanted {
    pub(super) id: CommitId,
    /// How much of its history is wanted, too.
    pub(super) depth: Depth,
    /// Whether another commit names it: the sender need not have it.
    pub(super) is_parent: bool,
}

/// An object that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// The detached metadata of a commit; the commit itself is stored, or comes next.
    Detached(CommitWanted),
    Commit(CommitWanted),
    DirTree(DirTreeId),
    DirMeta(DirMetaId),
    File(FileId),
}

impl Asked {
    pub(super) fn name(&self) -> ObjectName {
        match self {
            Self::Detached(commit) => ObjectName::commitmeta(&commit.id),
            Self::Commit(commit) => commit.id.into(),
            Self::DirTree(id) => (*id).into(),
            Self::DirMeta(id) => (*id).into(),
            Self::File(id) => (*id).into(),
        }
    }
}

/// The walk over what the target lacks: an identity is looked at once, and metadata comes before files.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) commits: Vec<CommitWanted>,
    dirtrees: Vec<DirTreeId>,
    dirmetas: Vec<DirMetaId>,
    files: Vec<FileId>,
    seen_dirtrees: HashSet<DirTreeId>,
    seen_dirmetas: HashSet<DirMetaId>,
    seen_files: HashSet<FileId>,
    asked: VecDeque<Asked>,
}

impl Wanted {
    /// The tree below a directory is wanted.
    pub(super) fn dirtree(&mut self, id: DirTreeId) {
        if self.seen_dirtrees.insert(id) {
            self.dirtrees.push(id);
        }
    }

    pub(super) fn dirmeta(&mut self, there: &dyn ObjectRead, id: DirMetaId) -> Result<()> {
        if self.seen_dirmetas.insert(id) && !there.contains(&id.into())? {
            self.dirmetas.push(id);
        }
        Ok(())
    }

    /// What a dirtree names is wanted.
    pub(super) fn below(&mut self, there: &dyn ObjectRead, id: DirTreeId, bytes: &[u8]) -> Result<()> {
        let tree = DirTreeRef::parse(bytes).map_err(Error::corrupt(id))?;
        for (_, file) in tree.files() {
            if self.seen_files.insert(file) && !there.contains(&file.into())? {
                self.files.push(file);
            }
        }
        for (_, dir) in tree.dirs() {
            self.dirmeta(there, dir.meta)?;
            self.dirtree(dir.tree);
        }
        Ok(())
    }

    /// The next objects to be asked for, once there is room for many: one question for each costs as much as they do.
    pub(super) fn next(&mut self, there: &dyn ObjectRead, cancel: &Cancel) -> Result<Vec<ObjectName>> {
        let mut names = Vec::new();
        if self.asked.len() > WINDOW / 2 {
            return Ok(names);
        }
        // A commit takes two of them.
        while self.asked.len() + 1 < WINDOW && self.ask_one(there, &mut names)? {
            cancel.check()?;
        }
        Ok(names)
    }

    fn ask_one(&mut self, there: &dyn ObjectRead, names: &mut Vec<ObjectName>) -> Result<bool> {
        if let Some(commit) = self.commits.pop() {
            self.ask(Asked::Detached(commit), names);
            if !there.contains(&commit.id.into())? {
                self.ask(Asked::Commit(commit), names);
            }
        } else if let Some(id) = self.dirtrees.pop() {
            match there.read_meta(&id.into())? {
                Some(bytes) => self.below(there, id, &bytes)?,
                None => self.ask(Asked::DirTree(id), names),
            }
        } else if let Some(id) = self.dirmetas.pop() {
            self.ask(Asked::DirMeta(id), names);
        } else if let Some(id) = self.files.pop() {
            self.ask(Asked::File(id), names);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn ask(&mut self, asked: Asked, names: &mut Vec<ObjectName>) {
        names.push(asked.name());
        self.asked.push_back(asked);
    }

    /// What the next answer is about; nothing if none is awaited.
    pub(super) fn answered(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }
}
