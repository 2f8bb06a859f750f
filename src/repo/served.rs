//! What others see of a repository of any mode when it is served to them over HTTP: an archive.
//!
//! ```text
//! config                         mode=archive-z2; remotes, paths and whatever else is here stay here
//! summary                        made of the refs as they are, with the time of the youngest commit
//! objects/xx/….filez             as it lies here, or packed on the way
//! deltas/…, delta-indexes/…      as they lie here
//! ```
//! The same refs give the same bytes, whatever the clock says.

use std::fs::File;
use std::os::fd::AsFd;

use ostree_format::variant::Dict;
use ostree_format::{FileId, ObjectName, RepoMode};

use super::object::open_object;
use super::summary::SummaryFile;
use super::{Repo, read_config};
use crate::store::{Result, load_commit};

impl Repo {
    /// The `config` of the archive that others see, by the settings as they are on disk now: a server is not started again
    /// for them.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::store::Error::Invalid) if they are not understood; [`Error::Io`](crate::store::Error::Io).
    pub fn served_config(&self) -> Result<String> {
        let config = read_config(&self.dir)?;
        let mut text = format!("[core]\nrepo_version=1\nmode={}\n", RepoMode::Archive.as_str());
        let flags =
            [("tombstone-commits", config.tombstone_commits), ("indexed-deltas", config.indexed_deltas)];
        for (key, _) in flags.iter().filter(|(_, is_set)| *is_set) {
            text += &format!("{key}=true\n");
        }
        if let Ok(Some(collection)) = config.collection_id() {
            text += &format!("collection-id={}\n", collection.as_str());
        }
        Ok(text)
    }

    /// The summary that was written into an archive, and signed: whoever serves it passes on what was signed. `None` if
    /// there is none, or this is no archive.
    ///
    /// # Errors
    /// As [`Repo::read_summary`].
    pub fn signed_summary(&self) -> Result<Option<SummaryFile>> {
        if self.mode() != RepoMode::Archive {
            return Ok(None);
        }
        Ok(self.read_summary()?.filter(|summary| summary.signatures.is_some()))
    }

    /// The summary of the archive that others see, made now, of the refs and settings as they are on disk.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::store::Error::NotFound) or [`Error::Corrupt`](crate::store::Error::Corrupt) for the
    /// commit of a ref; [`Error::Io`](crate::store::Error::Io).
    pub fn served_summary(&self) -> Result<Vec<u8>> {
        let mut youngest_secs = 0;
        for id in self.list_of(None)?.values() {
            youngest_secs = youngest_secs.max(load_commit(self, id)?.timestamp);
        }
        Ok(self
            .make_summary(&read_config(&self.dir)?, &Dict::new(), youngest_secs, RepoMode::Archive)?
            .to_bytes())
    }

    /// Opens the file of a content object, where this repository or its parent is an archive; gives its size, too.
    /// `None` if it is not there, or kept in another way.
    ///
    /// # Errors
    /// [`Error::Io`](crate::store::Error::Io).
    pub fn open_packed(&self, id: &FileId) -> Result<Option<(File, u64)>> {
        if self.mode() == RepoMode::Archive {
            let path = ObjectName::from(*id).loose_path(RepoMode::Archive);
            if let Some((file, stat)) = open_object(self.objects.as_fd(), &path, id)? {
                return Ok(Some((file, stat.st_size.max(0).unsigned_abs())));
            }
        }
        self.parent.as_ref().map_or(Ok(None), |parent| parent.open_packed(id))
    }

    /// The level at which content objects are packed, from 1 to 9.
    pub fn packing_level(&self) -> u32 {
        self.config.zlib_level.into()
    }
}
