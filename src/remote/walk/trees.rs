//! Dirtrees, and what they name.

use ostree_format::{DirMetaId, DirTreeId, DirTreeRef, FileId, MetaKind};

use super::{Asked, MAX_WAITING_FILES, Walk};
use crate::remote::error::Result;
use crate::store;
use crate::transfer::{Filter, wanted_dirs, wanted_files};

impl<'env> Walk<'env, '_> {
    /// Looks at the dirtrees that are here, which are those of an earlier pull, or of another commit.
    pub(super) fn look_at_trees(&mut self) -> Result<()> {
        while self.files.len() < MAX_WAITING_FILES
            && let Some((id, filter)) = self.trees.pop()
        {
            self.shared.ctx.cancel.check()?;
            match self.shared.txn.read_meta(&id.into())? {
                Some(bytes) => self.look_at(id, &bytes, filter.as_ref())?,
                None => self.tree(id, filter)?,
            }
        }
        Ok(())
    }

    /// Makes sure that a dirtree will be here, and looked at.
    pub(super) fn tree(&mut self, id: DirTreeId, filter: Option<Filter<'env>>) -> Result<()> {
        if filter.is_none() && !self.seen_trees.insert(id) {
            return Ok(());
        }
        if let Some(waiting) = self.coming.get_mut(&id) {
            waiting.push(filter);
            return Ok(());
        }
        let name = id.into();
        if !self.shared.txn.contains(&name)? {
            let Some(bytes) = self.cached_meta(&name)? else {
                self.coming.insert(id, vec![filter]);
                self.metadata.push_back(Asked::DirTree(id));
                return Ok(());
            };
            self.write_meta(Asked::DirTree(id), MetaKind::DirTree, &bytes)?;
            self.stats.metadata_imported += 1;
        }
        self.trees.push((id, filter));
        Ok(())
    }

    /// Wants what a dirtree names, as far as `filter` lets it through.
    pub(super) fn look_at(
        &mut self,
        id: DirTreeId,
        bytes: &[u8],
        filter: Option<&Filter<'env>>,
    ) -> Result<()> {
        let tree = DirTreeRef::parse(bytes).map_err(store::Error::corrupt(id))?;
        for file in wanted_files(&tree, filter) {
            if self.seen_files.insert(file) {
                self.file(file)?;
            }
        }
        for (dir, below) in wanted_dirs(&tree, filter) {
            self.dirmeta(dir.meta)?;
            self.tree(dir.tree, below)?;
        }
        Ok(())
    }

    fn file(&mut self, id: FileId) -> Result<()> {
        if self.shared.txn.contains(&id.into())? {
            return Ok(());
        }
        match self.cached_file(&id)? {
            None => self.files.push_back(id),
            Some(cache) => {
                let content = self.shared.content;
                self.pool.submit(0, move || Ok(content.import(&id, cache)?))?;
            }
        }
        Ok(())
    }

    pub(super) fn dirmeta(&mut self, id: DirMetaId) -> Result<()> {
        if !self.seen_metas.insert(id) || self.shared.txn.contains(&id.into())? {
            return Ok(());
        }
        match self.cached_meta(&id.into())? {
            None => self.metadata.push_back(Asked::DirMeta(id)),
            Some(bytes) => {
                self.write_meta(Asked::DirMeta(id), MetaKind::DirMeta, &bytes)?;
                self.stats.metadata_imported += 1;
            }
        }
        Ok(())
    }
}
