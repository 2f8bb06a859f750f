//! The layer that makes a commit of the layers of a base.
//!
//! ```text
//! whole commit without files                  directories only where the base has them otherwise
//! .wh.NAME                                    what the base has and the commit has not
//! { .file-xattrs-link }                       of content that the base has, where it has xattrs: no .file
//! { .file-xattrs-link · .file · its places }  of all other
//! ```
//! ostree-ext takes it for a layer that somebody put on top. It leaves out `sysroot`, and makes files of links into it
//! only where both say that they were changed: so the time of these is not 0. Links to symbolic links it would drop:
//! they are written as such.

use std::collections::BTreeSet;

use ostree_format::{CommitId, FileId};
use tar::{EntryType, Header};

use super::super::chunk::ChunkContent;
use super::super::error::Result;
use super::{Exporter, Files, new_header};
use crate::store;

/// What a commit has that its base has not.
#[derive(Debug, Clone, Default)]
pub struct OnBase {
    /// Content objects that are written, with the paths in the commit at which the base has something else.
    pub content: ChunkContent,
    /// All other content objects: the base has them.
    pub in_base: BTreeSet<FileId>,
    /// Paths in the checkout of directories that are listed: the base has them otherwise, or something below them.
    pub dirs: BTreeSet<String>,
    /// Paths in the checkout that the base has and the commit has not.
    pub gone: BTreeSet<String>,
}

impl<'a> Exporter<'a> {
    /// Writes the layer that makes `commit` of a base.
    pub(super) fn write_on_base(&mut self, commit: &CommitId, what: &'a OnBase) -> Result<()> {
        self.on_base = Some(&what.dirs);
        // The base has it, or the commit wants none.
        self.map.make_var_tmp = false;
        self.write_commit(commit, Files::LeaveOut)?;
        for path in &what.gone {
            self.write_whiteout(path)?;
        }
        for id in &what.in_base {
            self.ctx.cancel.check()?;
            let file = self.store.open_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
            if !file.header.xattrs.is_empty() {
                self.write_xattrs(id, &file.header)?;
            }
        }
        self.write_content(&what.content)
    }

    /// Gives what is on a base a time at which it was changed.
    pub(super) fn set_time(&self, header: &mut Header) {
        if self.on_base.is_some() {
            header.set_mtime(1);
        }
    }

    /// Whether a link to the object would not do. It names the owner again, and setting that takes capabilities away.
    pub(super) fn has_own_place(&self, id: &FileId, header: &Header, is_empty: bool) -> Result<bool> {
        if is_empty || header.entry_type() == EntryType::Symlink {
            return Ok(true);
        }
        let file = self.store.open_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
        Ok(file.header.xattrs.get(b"security.capability").is_some())
    }

    /// Writes what lies at a place as an entry of its own.
    pub(super) fn write_own(&mut self, id: &FileId, mut header: Header, place: &str) -> Result<()> {
        let file = self.store.open_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
        self.write_content_at(id, place, &mut header, file)
    }

    fn write_whiteout(&mut self, path: &str) -> Result<()> {
        let whiteout = match path.rsplit_once('/') {
            Some((dir, name)) => format!("{dir}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        let mut header = new_header(Some(EntryType::Regular), 0, 0, 0o644);
        header.set_size(0);
        self.out.append(&mut header, &whiteout)
    }
}
